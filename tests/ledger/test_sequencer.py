"""The sequencer: gapless positions, an unbroken chain, totals that add up again bit for bit (T12)."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable

from tallystick.ledger.ledger import Ledger
from tallystick.ledger.model import Entry, Posting
from tallystick.ledger.sequencer import Sequencer
from tests.ledger.conftest import CATALOGUE

Make = Callable[..., Entry]


def test_totals_equal_what_the_entries_add_up_to(ledger: Ledger, entry: Make) -> None:
    """Also where sums leave 64 bits: 20,000 entries of nearly 10^18."""
    big = 10**18 - 1
    ledger.post_many([Posting((entry(f"org_{n % 7}", big),)) for n in range(20_000)])
    assert ledger.sequencer.run() == 20_000
    totals = ledger.totals()
    assert totals == ledger.recomputed_totals()
    assert sum(steps for _, steps in totals.values()) == 20_000 * big
    assert ledger.broken_links() == []


def test_two_sequencers_never_both_win(ledger: Ledger, entry: Make) -> None:
    """Racing sequencers leave every position once."""
    ledger.post_many([Posting((entry(f"org_{n % 5}", 1),)) for n in range(3000)])
    barrier = threading.Barrier(3)

    def work() -> None:
        mine = Sequencer(ledger.store, CATALOGUE, batch=100)
        barrier.wait()
        while ledger.read(_count()):
            mine.step()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.broken_links() == []
    assert ledger.totals() == ledger.recomputed_totals()


def test_tampering_is_found(sqlite_url: str) -> None:
    """A row changed behind the triggers' back breaks the chain where it stands."""
    from tallystick.storage import open_store
    from tallystick.values.identifiers import lane_of

    ledger = Ledger(open_store(sqlite_url), CATALOGUE)
    lane = lane_of("default", "test", "org")
    from tallystick.ledger.model import Kind

    made = [
        Entry(lane, ledger.ids.next(), Kind.USAGE, "default", "test", "", "org", "tokens", n)
        for n in (1, 2, 3)
    ]
    ledger.post_many([Posting((e,)) for e in made])
    ledger.sequencer.run()
    assert ledger.broken_links() == []
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        connection.execute("drop trigger tallystick_entries_no_update")
        connection.execute("update tallystick_entries set quantity = 9 where quantity = 2")
    assert ledger.broken_links() == [f"lane {lane}: the hash at position 2 does not match its entry"]
    ledger.close()


def _count():  # type: ignore[no-untyped-def]
    from tallystick.storage import Statement

    rows = yield Statement("count_unsequenced")
    return rows[0][0]
