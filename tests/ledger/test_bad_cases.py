"""What a ledger does when its surroundings go wrong: one clear line, and nothing recorded is lost."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tallystick import Catalogue, Formula, Meter, Tally
from tallystick.errors import ConfigError, LedgerBusyError, LedgerError
from tallystick.storage import open_store
from tallystick.storage.sqlite import SqliteStore
from tallystick.values.instant import FrozenClock

METERS = Catalogue([Meter("tokens", hold=False)])


@pytest.fixture
def tally(store_url: str) -> Iterator[Tally]:
    with Tally(open_store(store_url, auto_migrate=True), METERS) as made:
        yield made


def used(tally: Tally) -> int:
    return int(sum(u.quantity for u in tally.usage("ada", "tokens")))


@pytest.mark.parametrize(
    ("meter", "said"),
    [
        (Meter("tokens", decimals=3), "decimals = 3 here, but .* recorded with 0"),
        (
            Meter("tokens", formula=Formula.LAST, carry=False),
            "formula = 'last' here, but .* recorded with 'sum'",
        ),
    ],
)
def test_another_declaration_of_a_meter_is_refused(
    tally: Tally, store_url: str, meter: Meter, said: str
) -> None:
    """Two processes, or one before and after a deploy: steps of another size would be added up as one."""
    tally.record("tokens", 5, customer="ada")
    with pytest.raises(ConfigError, match=said):
        Tally(open_store(store_url), Catalogue([meter]))
    with Tally(open_store(store_url), Catalogue([Meter("tokens", unit="tk"), Meter("calls")])) as other:
        other.record("tokens", 1, customer="ada")
    assert used(tally) == 6


def test_a_clock_that_steps_back(store_url: str) -> None:
    """Entries keep their order and their sum; the chain does not mind."""
    clock = FrozenClock()
    with Tally(open_store(store_url, auto_migrate=True), METERS, clock=clock) as tally:
        for step in (0, -7200, 60, -1, 86_400):
            clock.advance(timedelta(seconds=step))
            tally.record("tokens", 1, customer="ada")
            tally.ledger.sequencer.run()
        assert used(tally) == 5
        assert tally.ledger.totals() == tally.ledger.recomputed_totals()
        assert tally.ledger.broken_links() == []


STOPPED = """
import sys
from tallystick.storage.sqlite import SqliteStore

with SqliteStore(sys.argv[1]).write():
    print("in its turn", flush=True)
    sys.stdin.readline()
"""


def test_a_writer_stopped_inside_its_turn(sqlite_url: str) -> None:
    """The others wait as long as their budget, then say so; when it goes on, so do they."""
    path = sqlite_url.removeprefix("sqlite:///")
    store = SqliteStore(path, wait_seconds=0.2)
    with Tally(store, METERS) as tally:
        with subprocess.Popen(
            [sys.executable, "-c", STOPPED, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "in its turn\n"
            other.send_signal(signal.SIGSTOP)
            with pytest.raises(LedgerBusyError, match=r"kept the turn to write for 0\.2 s"):
                tally.record("tokens", 1, customer="ada")
            assert used(tally) == 0, "reading goes on"
            other.send_signal(signal.SIGCONT)
            other.communicate("\n", timeout=30)
        tally.record("tokens", 2, customer="ada")
        assert used(tally) == 2


def test_a_read_only_server(postgres_url: str) -> None:
    """As after a failover onto a standby: refused in one line; once it is writable again it goes on."""
    with Tally(open_store(postgres_url, auto_migrate=True), METERS) as tally:
        tally.record("tokens", 1, customer="ada")
        _set(postgres_url, "on")
        _drop_connections(postgres_url)
        with pytest.raises(LedgerError, match="read-only"):
            tally.record("tokens", 2, customer="ada")
        _set(postgres_url, "off")
        _drop_connections(postgres_url)
        tally.record("tokens", 4, customer="ada")
        assert used(tally) == 5


def _set(url: str, value: str) -> None:
    name = url.split("@/")[1].split("?")[0]
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("set default_transaction_read_only to off")
        server.execute(f"alter database {name} set default_transaction_read_only to {value}")  # type: ignore[arg-type]


def _drop_connections(url: str) -> None:
    query = (
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()"
    )
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(query)


@pytest.mark.parametrize("wrong", [lambda: 1 / 0, lambda: "many", lambda: -5, lambda: None])
def test_a_quantity_function_that_fails_after_the_work(tally: Tally, wrong: Any) -> None:
    """The work was done: its hold stays open, the answer says so, and a finding names it."""
    with Tally(tally.ledger.store, Catalogue([Meter("held")])) as held:

        @held.metered("held", customer=lambda: "ada", quantity=lambda result: wrong())
        def handler() -> str:
            return "done"

        with pytest.raises((ZeroDivisionError, ValueError)):
            handler()
        assert len(held.holds.open()) == 1
        assert [f.code for f in held.findings] == ["unmeasured_action"]
