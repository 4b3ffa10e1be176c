"""The spool: usage of meters that may go on while the ledger cannot write, replayed exactly once."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick import Catalogue, Meter, Tally
from tallystick.errors import ConfigError, LedgerError
from tallystick.ledger.model import Entry, Kind, Posting
from tallystick.meters import OnLedgerFailure
from tallystick.storage import open_store

METERS = Catalogue(
    [
        Meter("tokens", on_ledger_failure=OnLedgerFailure.ALLOW_AND_SPOOL),
        Meter("money"),
    ]
)


@pytest.fixture
def tally(store_url: str, tmp_path: Path) -> Iterator[Tally]:
    with Tally(open_store(store_url, auto_migrate=True), METERS, spool=tmp_path / "spool") as made:
        yield made


class Away:
    """Takes the ledger away and brings it back, where the writer asks for its transaction."""

    def __init__(self, tally: Tally) -> None:
        self._store = tally.ledger.store
        self._write = self._store.write

    def go(self) -> None:
        def refuse(**_: Any) -> Any:
            raise LedgerError("database or disk is full")

        self._store.write = refuse  # type: ignore[method-assign]

    def come_back(self) -> None:
        self._store.write = self._write  # type: ignore[method-assign]


@pytest.fixture
def away(tally: Tally) -> Away:
    return Away(tally)


@pytest.fixture
def used(tally: Tally) -> Callable[[], int]:
    return lambda: int(sum(u.quantity for u in tally.usage("ada", "tokens")))


def replay(tally: Tally) -> int:
    assert tally.spool is not None
    return tally.spool.replay(tally.ledger.post_many)


def test_a_whole_action_goes_on_without_the_ledger(tally: Tally, away: Away, used: Any) -> None:
    away.go()
    with tally.action("tokens", customer="ada", key="job 1") as action:
        action.add(7)
    assert action.posted is not None
    assert action.posted.spooled
    away.come_back()
    assert tally.status().spooled == 2, "the hold and its settlement"
    assert replay(tally) == 2
    assert used() == 7
    assert tally.status().spooled == 0
    assert tally.holds.open() == []
    (entry,) = tally.entries(customer="ada")
    assert entry.occurred_at is not None
    tally.record("tokens", 7, customer="ada", key="job 1")
    assert used() == 7, "the key was claimed by the replay"


def test_every_way_of_recording(tally: Tally, away: Away, used: Any) -> None:
    async def asynchronous() -> None:
        await tally.aio.record("tokens", 10, customer="ada")
        async with tally.action("tokens", customer="ada") as action:
            action.add(100)
        await tally.aio.record_many([{"meter": "tokens", "quantity": 1000, "customer": "ada"}])

    away.go()
    tally.record("tokens", 1, customer="ada")
    asyncio.run(asynchronous())
    away.come_back()
    replay(tally)
    assert used() == 1111


def test_other_meters_are_refused(tally: Tally, away: Away) -> None:
    away.go()
    with pytest.raises(LedgerError, match="disk is full"):
        tally.record("money", 1, customer="ada")
    with pytest.raises(LedgerError), tally.action("money", customer="ada"):
        raise AssertionError("the action must not run")
    rows = [{"meter": name, "quantity": 1, "customer": "ada"} for name in ("tokens", "money")]
    with pytest.raises(LedgerError):
        tally.record_many(rows)
    away.come_back()
    assert tally.status().spooled == 0, "of a call that was refused nothing is kept"


def test_replaying_twice_counts_once(tally: Tally, away: Away, used: Any) -> None:
    """As after a crash between the commit and the removal of the file."""
    away.go()
    tally.record("tokens", 5, customer="ada")
    away.come_back()
    assert tally.spool is not None
    (path,) = tally.spool.folder.glob("*.spool")
    text = path.read_bytes()
    replay(tally)
    tally.ledger.sequencer.run()
    path.write_bytes(text)
    assert replay(tally) == 1
    tally.ledger.sequencer.run()
    assert used() == 5
    assert tally.ledger.totals() == tally.ledger.recomputed_totals()


def test_a_line_that_was_cut_off_was_never_acknowledged(tally: Tally, away: Away, used: Any) -> None:
    away.go()
    tally.record("tokens", 5, customer="ada")
    tally.record("tokens", 6, customer="ada")
    away.come_back()
    assert tally.spool is not None
    (path,) = tally.spool.folder.glob("*.spool")
    for length in range(len(path.read_bytes().splitlines(keepends=True)[0]), path.stat().st_size):
        os.truncate(path, path.stat().st_size - 1)
        if path.stat().st_size <= length:
            break
        assert tally.spool.count() in (1, 2)
    replay(tally)
    assert used() == 5


def test_the_ledger_is_away_during_the_replay(tally: Tally, away: Away, used: Any) -> None:
    away.go()
    tally.record("tokens", 5, customer="ada")
    with pytest.raises(LedgerError):
        replay(tally)
    tally.record("tokens", 6, customer="ada")
    assert tally.status().spooled == 2
    away.come_back()
    assert replay(tally) == 2
    assert used() == 11


def test_what_the_ledger_refuses_does_not_hold_up_the_rest(
    tally: Tally, away: Away, used: Any, tmp_path: Path
) -> None:
    away.go()
    tally.record("tokens", 5, customer="ada")
    bad = Entry(0, b"short", Kind.USAGE, "default", "test", "", "ada", "tokens", 1)
    assert tally.spool is not None
    tally.spool.keep([Posting((bad,))])
    tally.record("tokens", 6, customer="ada")
    away.come_back()
    replay(tally)
    assert used() == 11
    assert [f.code for f in tally.findings] == ["spooled_posting_refused"]
    assert b'"quantity":1' in (tmp_path / "spool" / "postings.refused").read_bytes()


KILLED = """
import os, sys
from pathlib import Path
from tallystick import Catalogue, Meter, Tally
from tallystick.errors import LedgerError
from tallystick.meters import OnLedgerFailure
from tallystick.storage import open_store

meters = Catalogue([Meter("tokens", hold=False, on_ledger_failure=OnLedgerFailure.ALLOW_AND_SPOOL)])
tally = Tally(open_store(sys.argv[1]), meters, spool=Path(sys.argv[2]))
def away(**_):
    raise LedgerError("away")
tally.ledger.store.write = away
for number in range(100_000):
    tally.record("tokens", 1, customer="ada")
    print(number + 1, flush=True)
"""


def test_what_was_acknowledged_survives_a_kill(
    tally: Tally, store_url: str, used: Any, tmp_path: Path
) -> None:
    """While its process lives nobody else replays its file; afterwards anybody does."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, store_url, str(tmp_path / "spool")], stdout=subprocess.PIPE, text=True
    ) as victim:
        assert victim.stdout is not None
        acknowledged = 0
        while acknowledged < 50:
            acknowledged = int(victim.stdout.readline())
        assert replay(tally) == 0
        victim.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *map(int, victim.stdout.read().split())])
    assert acknowledged <= replay(tally) <= acknowledged + 1
    assert acknowledged <= used() <= acknowledged + 1


def test_a_place_is_needed(postgres_url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"meter 'tokens' has on_ledger_failure.*set \[store\] spool"):
        Tally(open_store(postgres_url, auto_migrate=True), METERS)
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot be used"):
        Tally(open_store(postgres_url), METERS, spool=tmp_path / "file" / "spool")
