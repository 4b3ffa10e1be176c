"""Posting: one entry per key (T3), one resolution per hold (T5), nothing changed or deleted (T4)."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable

import psycopg
import pytest

from tallystick.errors import EntryRefusedError
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.model import Entry, Kind, Outcome, Piece, Posting, Resolution
from tallystick.ledger.posting import post
from tallystick.storage import drive

Make = Callable[..., Entry]


def test_a_posted_entry_is_there(ledger: Ledger, entry: Make) -> None:
    """What was acknowledged reads back as it was given, stamped by the database."""
    ledger.post(Posting((entry("org", 5, key="k", attributes='{"model":"x"}'),)))
    [found] = ledger.entries("org", ["tokens"])
    assert (found.quantity, found.key, found.attributes) == (5, "k", '{"model":"x"}')
    assert abs(found.recorded_at - ledger.clock.now()) < 60_000_000


def test_an_identical_repeat_counts_once(ledger: Ledger, entry: Make) -> None:
    """The second posting of a key gives back the first entry."""
    first = ledger.post(Posting((entry("org", 5, key="job:1"),)))
    again = ledger.post(Posting((entry("org", 5, key="job:1"),)))
    assert again.repeated == (0,)
    assert again.conflicting == ()
    assert again.entries[0].entry == first.entries[0].entry
    assert len(ledger.entries("org", ["tokens"])) == 1


def test_a_repeat_with_other_content_is_flagged(ledger: Ledger, entry: Make) -> None:
    """Different content under one key keeps the first and says so."""
    ledger.post(Posting((entry("org", 5, key="job:1"),)))
    again = ledger.post(Posting((entry("org", 6, key="job:1"),)))
    assert again.conflicting == (0,)
    assert again.entries[0].quantity == 5


def test_keys_are_per_customer_and_meter(ledger: Ledger, entry: Make) -> None:
    """The same key for somebody else, or another meter, is another operation."""
    for customer, meter in (("a", "tokens"), ("b", "tokens"), ("a", "calls")):
        assert ledger.post(Posting((entry(customer, 1, meter=meter, key="k"),))).repeated == ()


def test_one_resolution_wins(ledger: Ledger, entry: Make) -> None:
    """Of many that settle or void a hold at once one wins; the others read it back and post nothing."""
    hold = entry("org", 0, kind=Kind.HOLD)
    ledger.post(Posting((hold,)))
    results = []
    barrier = threading.Barrier(8)

    def resolve(number: int) -> None:
        resolution = Resolution(hold.lane, hold.entry, Outcome.SETTLED, by=str(number))
        posting = Posting((entry("org", 7, refers=hold.entry),), resolution)
        barrier.wait()
        results.append(ledger.post(posting))

    threads = [threading.Thread(target=resolve, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [r for r in results if r.resolved_before is None]
    assert len(winners) == 1
    assert len(ledger.entries("org", ["tokens"])) == 1
    assert ledger.open_holds() == []


def test_open_holds_are_listed(ledger: Ledger, entry: Make) -> None:
    """A hold is open until its resolution, sequenced or not."""
    holds = [entry("org", 0, kind=Kind.HOLD) for _ in range(3)]
    for hold in holds:
        ledger.post(Posting((hold,)))
    assert len(ledger.open_holds()) == 3
    ledger.sequencer.run()
    assert len(ledger.open_holds()) == 3
    ledger.post(Posting((), Resolution(holds[0].lane, holds[0].entry, Outcome.VOIDED, "why", "who")))
    assert [h.entry for h in ledger.open_holds()] == [h.entry for h in holds[1:]]


def test_running_a_posting_again_changes_nothing(ledger: Ledger, entry: Make) -> None:
    """After a commit of unknown outcome the same pieces give the same answer, and are there once."""
    hold = entry("org", 0, kind=Kind.HOLD)
    ledger.post(Posting((hold,)))
    settle = Posting((entry("org", 7, key="k"),), Resolution(hold.lane, hold.entry, Outcome.SETTLED))
    pieces = [Piece(settle, ledger.ids.next())]
    answers = []
    for _ in range(2):
        with ledger.store.write() as transaction:
            answers.append(drive(transaction, post(pieces, due_at=0, stamp=1)))
        ledger.sequencer.run()
    assert answers[0] == answers[1]
    assert ledger.recomputed_totals() == {("org", "tokens"): (1, 7)} == ledger.totals()


def test_the_database_refuses_what_cannot_be(ledger: Ledger, entry: Make) -> None:
    """A negative usage is refused by the table itself, and fails alone."""
    with pytest.raises(EntryRefusedError):
        ledger.post(Posting((entry("org", -1),)))
    ledger.post(Posting((entry("org", 1),)))


def test_entries_cannot_be_changed_or_deleted(ledger: Ledger, entry: Make, store_url: str) -> None:
    """The tables refuse UPDATE and DELETE, whoever asks."""
    ledger.post(Posting((entry("org", 1),)))
    for statement in ("update {} set quantity = 2", "delete from {}", "truncate {}"):
        if store_url.startswith("sqlite") and statement.startswith("truncate"):
            continue  # SQLite has no such statement
        if store_url.startswith("sqlite"):
            with (
                sqlite3.connect(store_url.removeprefix("sqlite:///")) as connection,
                pytest.raises(sqlite3.IntegrityError, match="immutable"),
            ):
                connection.execute(statement.format("tallystick_entries"))
        else:
            with (
                psycopg.connect(store_url) as server,
                pytest.raises(psycopg.errors.RaiseException, match="append-only"),
            ):
                server.execute(statement.format("tallystick.entries"))
