"""Slots, fences and attempts between rivals, step by step on both databases; each has its safeguard in SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import psycopg
import pytest

from tallystick import Catalogue, Meter, Tally
from tallystick.delivery import due, flows
from tallystick.delivery.model import Attempt, Dispatch, Terms
from tallystick.providers import Answer, Outcome
from tallystick.providers.stripe.provider import PROFILE
from tallystick.storage import open_store
from tallystick.storage.port import Flow, Statement, drive
from tallystick.storage.queries import load
from tallystick.values.identifiers import SeededIds
from tallystick.values.instant import SECOND, FrozenClock

METERS = Catalogue([Meter("tokens", hold=False)])
DUPLICATE = Answer(Outcome.ACCEPTED, "the provider had it already")
LOST = Answer(Outcome.UNKNOWN, "no answer", answered=False)


class Rivals:
    """Two senders on one ledger with one entry to deliver, and a clock that both believe in."""

    def __init__(self, url: str) -> None:
        self.store = open_store(url, relaxed=True, auto_migrate=True)
        self.clock = FrozenClock()
        self.ids = SeededIds()
        self.tally = Tally(self.store, METERS, clock=self.clock, ids=self.ids)
        [entry] = self.tally.record("tokens", 5, customer="org_a").entries
        self.entry = (entry.lane, entry.entry)
        self.key = (entry.lane, "default", "test", "cus_a", "tokens")
        self.first, self.second = self._terms("first"), self._terms("second")

    def _terms(self, owner: str) -> Terms:
        return Terms(
            owner,
            "ts",
            PROFILE,
            METERS.__getitem__,
            self.ids.next,
            self.clock.now,
            self.clock.elapsed,
            30 * SECOND,
        )

    def do(self, flow: Flow[Any]) -> Any:
        """A flow in a transaction of its own."""
        with self.store.write() as transaction:
            return drive(transaction, flow)

    def claim(self, terms: Terms) -> list[Attempt]:
        """Take the slot and freeze the entry."""
        attempts: list[Attempt] = self.do(flows.claim({self.key: [self.entry]}, terms))
        return attempts

    def answer(self, attempt: Attempt, answer: Answer) -> None:
        """Write down an answer."""
        self.do(flows.write_answers([(attempt, answer)], self.clock.now()))

    def pass_seconds(self, seconds: int) -> None:
        """Time goes on."""
        self.clock._now += seconds * SECOND

    def dispatch(self) -> Dispatch:
        """The one dispatch, which is on its way."""
        every = self.clock._now + 10**15
        with self.store.read() as transaction:
            found, _ = drive(transaction, due.due_dispatches(self.tally.ledger.where, every, 10))
        assert len(found) == 1, "the dispatch is no longer on its way"
        dispatch: Dispatch = found[0]
        return dispatch

    def retake(self, due: Sequence[Dispatch], terms: Terms) -> list[Attempt]:
        """Take dispatches up again."""
        attempts: list[Attempt] = self.do(flows.retake(due, terms))
        return attempts

    def states(self) -> dict[str, int]:
        """How many dispatches are on their way, by state."""
        return self.tally.status().in_delivery


def a_held_slot_is_not_taken(rivals: Rivals) -> None:
    """The second sender gets nothing while the first one's right lasts."""
    assert len(rivals.claim(rivals.first)) == 1
    rivals.tally.record("tokens", 7, customer="org_a")
    assert rivals.do(flows.take_slots([rivals.key], rivals.second)) == {}


def a_stale_holder_does_not_free_the_slot(rivals: Rivals) -> None:
    """Who comes back after its right has run out must not end its successor's."""
    [stale] = rivals.claim(rivals.first)
    rivals.pass_seconds(31)
    assert len(rivals.retake([rivals.dispatch()], rivals.second)) == 1
    rivals.answer(stale, LOST)
    rivals.pass_seconds(5)
    assert rivals.do(flows.take_slots([rivals.key], rivals.first)) == {}


def a_stale_failure_changes_nothing(rivals: Rivals) -> None:
    """A late answer to an earlier attempt is news only if it says that the provider has it."""
    [stale] = rivals.claim(rivals.first)
    rivals.pass_seconds(31)
    [current] = rivals.retake([rivals.dispatch()], rivals.second)
    rivals.answer(stale, Answer(Outcome.REFUSED, "too late"))
    assert rivals.dispatch().state == "sending"
    assert rivals.dispatch().attempt == current.dispatch.attempt


def an_unknown_outcome_keeps_its_slot_closed(rivals: Rivals) -> None:
    """Until the same is told again: nobody adds to what is in doubt meanwhile."""
    [attempt] = rivals.claim(rivals.first)
    rivals.answer(attempt, LOST)
    assert rivals.do(flows.take_slots([rivals.key], rivals.second)) == {}
    rivals.pass_seconds(1)
    assert rivals.do(flows.take_slots([rivals.key], rivals.second))


def what_is_accepted_stays_accepted(rivals: Rivals) -> None:
    """Whatever a rival's attempt came to."""
    [stale] = rivals.claim(rivals.first)
    rivals.pass_seconds(31)
    [current] = rivals.retake([rivals.dispatch()], rivals.second)
    rivals.answer(stale, DUPLICATE)
    assert rivals.states() == {}
    rivals.answer(current, LOST)
    assert rivals.states() == {}


def a_dispatch_is_taken_up_once(rivals: Rivals) -> None:
    """Two that read the same due dispatch do not both send it, one after the other."""
    [attempt] = rivals.claim(rivals.first)
    rivals.answer(attempt, LOST)
    rivals.pass_seconds(600)
    due = rivals.dispatch()
    [again] = rivals.retake([due], rivals.first)
    rivals.answer(again, LOST)
    rivals.pass_seconds(600)
    assert rivals.retake([due], rivals.second) == []


def an_entry_is_claimed_once(rivals: Rivals) -> None:
    """Also by a sender that read what is owed before."""
    [attempt] = rivals.claim(rivals.first)
    rivals.answer(attempt, Answer(Outcome.ACCEPTED))
    assert rivals.claim(rivals.second) == []


def rivals_take_a_slot_once(rivals: Rivals) -> None:
    """PostgreSQL: both saw it free; the fence lets one of them have it."""
    if rivals.store.dialect != "postgres":
        return  # SQLite has one writer: a_held_slot_is_not_taken says the same there
    rivals.do(flows.take_slots([rivals.key], rivals.first))
    rivals.pass_seconds(31)
    other = open_store(rivals.store.url)
    slow = flows.take_slots([rivals.key], rivals.second)
    with other.write() as transaction:
        statement = slow.send(transaction.run(next(slow)))  # has looked, and is about to take
        assert isinstance(statement, Statement)
        assert len(rivals.do(flows.take_slots([rivals.key], rivals.first))) == 1
        with pytest.raises(StopIteration) as stop:
            slow.send(transaction.run(statement))
    other.close()
    assert stop.value.value == {}


CHECKS = [
    a_held_slot_is_not_taken,
    a_stale_holder_does_not_free_the_slot,
    a_stale_failure_changes_nothing,
    an_unknown_outcome_keeps_its_slot_closed,
    what_is_accepted_stays_accepted,
    a_dispatch_is_taken_up_once,
    an_entry_is_claimed_once,
    rivals_take_a_slot_once,
]
# What keeps each of them: words of a query, and what stands there when they are gone.
SAFEGUARDS: list[tuple[Callable[[Rivals], None], list[tuple[str, str, str]]]] = [
    (a_held_slot_is_not_taken, [("find_slots", "s.expires_at", "0")]),
    (a_stale_holder_does_not_free_the_slot, [("release_slots", "and s.fence = r.held", "")]),
    (
        a_stale_failure_changes_nothing,
        [("settle_dispatches", "(d.attempt = r.tried or r.new_state = 'accepted')", "true")],
    ),
    (an_unknown_outcome_keeps_its_slot_closed, [("release_slots", "expires_at = r.until", "expires_at = 0")]),
    (
        what_is_accepted_stays_accepted,
        [("settle_dispatches", "d.state not in ('accepted', 'confirmed', 'refused')", "true")],
    ),
    (a_dispatch_is_taken_up_once, [("retake_dispatches", "d.attempt = r.was", "true")]),
    (
        an_entry_is_claimed_once,
        [("owed_entries", "and o.dispatch is null", ""), ("claim_obligations", "and o.dispatch is null", "")],
    ),
    (rivals_take_a_slot_once, [("take_slots", "and s.fence = r.was", "")]),
]


@pytest.fixture
def rivals(store_url: str) -> Iterator[Rivals]:
    """Two senders, once on SQLite and once on PostgreSQL."""
    made = Rivals(store_url)
    yield made
    made.tally.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_between_rivals(check: Callable[[Rivals], None], rivals: Rivals) -> None:
    """As the name says."""
    check(rivals)


@pytest.mark.parametrize(("check", "words"), SAFEGUARDS, ids=lambda value: getattr(value, "__name__", ""))
def test_its_safeguard_is_missed(
    check: Callable[[Rivals], None],
    words: list[tuple[str, str, str]],
    rivals: Rivals,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the words that keep it the check turns red."""
    if check is rivals_take_a_slot_once and rivals.store.dialect == "sqlite":
        assert rivals.store.url.startswith("sqlite:///")  # one writer: nothing to take away
        return
    queries = load(rivals.store.dialect)
    for query, old, new in words:
        assert old in queries[query].sql, f"{query} no longer says {old!r}: adapt this safeguard"
        changed = msgspec.structs.replace(queries[query], sql=queries[query].sql.replace(old, new))
        monkeypatch.setitem(queries, query, changed)
    with pytest.raises(AssertionError):
        check(rivals)


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_whatever_isolation_the_database_gives_by_itself(postgres_url: str, level: str) -> None:
    """PostgreSQL: an operator's default for the application does not make rivals fail here."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            f"alter database {connection.info.dbname} set default_transaction_isolation = '{level}'"
        )
    rivals = Rivals(postgres_url)
    rivals_take_a_slot_once(rivals)
    rivals.tally.close()


def test_every_check_has_its_safeguard() -> None:
    """And none is left out."""
    assert [check for check, _ in SAFEGUARDS] == CHECKS
