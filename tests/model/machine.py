"""A Hypothesis state machine that drives the real Tally on a real database beside the model."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tallystick import Catalogue, Formula, Meter, Tally
from tallystick.actions.action import Action, State
from tallystick.errors import (
    ActionError,
    EntryRefusedError,
    QuantityError,
    TransactionError,
    UnknownMeterError,
)
from tallystick.ledger.model import Entry, Kind, Outcome, Posted, Posting, Resolution
from tallystick.storage import open_store
from tallystick.values.identifiers import SeededIds, lane_of
from tallystick.values.instant import DAY, HOUR, SECOND, FrozenClock, to_datetime
from tests.model.book import Book, Line, Verdict, group_of
from tests.model.raw import connect, rows

METERS = Catalogue(
    [
        Meter("tokens", attributes=("model",)),
        Meter("calls", formula=Formula.COUNT),
        Meter("gb", decimals=3, hold=False),
    ]
)
CUSTOMERS = ["org_a", "org_b", "órg c"]
customers = st.sampled_from(CUSTOMERS)
meters = st.sampled_from([meter.name for meter in METERS])
steps = st.one_of(st.integers(0, 50), st.sampled_from([999_999_999, 10**9, 10**15 + 1, 10**17]))
keys = st.one_of(st.none(), st.sampled_from(["job:1", "job:2", "job:3"]))
labels = st.sampled_from([None, {"model": "x"}, {"model": "y", "call": 1}, {"call": 2}])
usages = st.tuples(customers, meters, steps, keys, labels)
Usage = tuple[str, str, int, str | None, dict[str, Any] | None]


class LedgerMachine(RuleBasedStateMachine):
    """Record, repeat, contradict, hold, settle, void, expire, batch, roll back, restart, sequence."""

    new_url: Callable[[], str]

    def __init__(self) -> None:
        super().__init__()
        self.clock = FrozenClock()
        self.ids = SeededIds()
        self.book = Book()
        self.actions: dict[str, Action] = {}
        self.url = type(self).new_url()
        self.findings: Counter[str] = Counter()
        self.tally = self._open()

    def _open(self) -> Tally:
        store = open_store(self.url, relaxed=True, auto_migrate=True)
        return Tally(store, METERS, clock=self.clock, ids=self.ids)

    def _line(self, usage: Usage) -> Line:
        customer, meter, amount, key, attributes = usage
        text = json.dumps(attributes, sort_keys=True, separators=(",", ":")) if attributes else ""
        return Line(customer, meter, amount, self.clock.now(), key, text)

    def _arguments(self, usage: Usage) -> dict[str, Any]:
        customer, meter, amount, key, attributes = usage
        quantity = Decimal(amount).scaleb(-METERS[meter].decimals)
        return {
            "meter": meter,
            "quantity": quantity,
            "customer": customer,
            "key": key,
            "attributes": attributes,
        }

    def _agree(self, posted: Posted, verdicts: list[Verdict]) -> None:
        assert [(e.customer, e.meter, e.quantity) for e in posted.entries] == [
            (v.standing.customer, v.standing.meter, v.standing.steps) for v in verdicts
        ]
        assert list(posted.repeated) == [i for i, v in enumerate(verdicts) if v.repeated]
        assert list(posted.conflicting) == [i for i, v in enumerate(verdicts) if v.conflicting]

    # Recording

    @initialize(usage=usages)
    def begin(self, usage: Usage) -> None:
        """Something is there from the start."""
        self.record(usage)

    @rule(usage=usages)
    def record(self, usage: Usage) -> None:
        """One record; with few keys most of the keyed ones are repeats, harmless or contradicting."""
        posted = self.tally.record(**self._arguments(usage))
        self._agree(posted, [self.book.record(self._line(usage))])

    @rule(batch=st.lists(usages, min_size=1, max_size=6))
    def record_many(self, batch: list[Usage]) -> None:
        """Many that share commits, repeats within the batch included."""
        results = self.tally.record_many([self._arguments(usage) for usage in batch])
        for usage, posted in zip(batch, results, strict=True):
            self._agree(posted, [self.book.record(self._line(usage))])

    @rule(batch=st.lists(usages, min_size=1, max_size=3), commits=st.booleans())
    def ride(self, batch: list[Usage], commits: bool) -> None:
        """On the application's transaction: all of it or nothing, and nobody else meanwhile on SQLite."""
        connection = connect(self.url)
        try:
            expected = Book(keys=dict(self.book.keys))
            for usage in batch:
                carried = self.tally.record(**self._arguments(usage), on=connection)
                self._agree(carried, [expected.record(self._line(usage))])
            self.book.conflicts += expected.conflicts  # told when it happens, whatever becomes of it
            if self.tally.ledger.store.dialect == "sqlite":
                with pytest.raises(TransactionError, match="open transaction"):
                    self.tally.record(**self._arguments(batch[0]))
            if commits:
                connection.commit()
                self.book.lines += expected.lines
                self.book.keys = expected.keys
            else:
                connection.rollback()
        finally:
            connection.close()

    @rule(
        customer=customers, wrong=st.sampled_from([-1, 1.5, Decimal("0.0001"), Decimal("NaN"), 10**30, None])
    )
    def refuse_quantity(self, customer: str, wrong: Any) -> None:
        """What is not exact, finite, non-negative or in bounds leaves no trace."""
        with pytest.raises(QuantityError):
            self.tally.record("gb", wrong, customer=customer)

    @rule(wrong=st.sampled_from(["", None, "a\0b", "\ud800", "x" * 256]))
    def refuse_customer(self, wrong: Any) -> None:
        """A customer that is no text, and a meter that is not declared."""
        with pytest.raises(ActionError):
            self.tally.record("tokens", 1, customer=wrong)
        with pytest.raises(UnknownMeterError):
            self.tally.record("nothing", 1, customer="org_a")

    @rule(customer=customers)
    def refuse_in_the_database(self, customer: str) -> None:
        """The second wall: negative usage is refused by a CHECK."""
        lane = lane_of("default", "test", customer)
        entry = Entry(lane, self.ids.next(), Kind.USAGE, "default", "test", "", customer, "tokens", -1)
        with pytest.raises(EntryRefusedError):
            self.tally.ledger.post(Posting((entry,)))

    # Holds

    @rule(customer=customers, meter=st.sampled_from(["tokens", "calls"]), key=keys)
    def hold(self, customer: str, meter: str, key: str | None) -> None:
        """An action begins: its hold is there before it runs."""
        action = self.tally.action(meter, customer=customer, key=key)
        action.__enter__()
        assert action._hold is not None
        self.actions[action._hold.id] = action
        self.book.hold(action._hold.id, customer, meter)

    def _pick(self, data: st.DataObject) -> tuple[str, Action]:
        name = data.draw(st.sampled_from(sorted(self.actions)))
        return name, self.actions.pop(name)

    @precondition(lambda self: self.actions)
    @rule(data=st.data(), counted=st.dictionaries(meters, steps, max_size=2), fails=st.booleans())
    def end(self, data: st.DataObject, counted: dict[str, int], fails: bool) -> None:
        """The action returns or raises: what it counted is recorded, nothing counted is voided."""
        name, action = self._pick(data)
        for meter, amount in counted.items():
            action.add(Decimal(amount).scaleb(-METERS[meter].decimals), meter)
        if not counted and not fails and action._meter.name == "calls":
            counted = {"calls": 1}
        lines = [Line(action._customer, m, n, self.clock.now(), action._key) for m, n in counted.items()]
        action.__exit__(RuntimeError if fails else None)
        verdicts = self.book.resolve(name, "settled" if lines else "voided", lines)
        assert action.posted is not None
        if verdicts is None:
            assert action.posted.resolved_before is not None
            assert action.posted.entries == ()
        else:
            self._agree(action.posted, verdicts)

    @precondition(lambda self: self.actions)
    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        """The action says that it does not count."""
        name, action = self._pick(data)
        action.void("the customer was not served")
        action.__exit__(None)
        self.book.resolve(name, "voided")

    @precondition(lambda self: self.book.open)
    @rule(data=st.data(), outcome=st.sampled_from([Outcome.VOIDED, Outcome.EXPIRED]))
    def resolve_from_outside(self, data: st.DataObject, outcome: Outcome) -> None:
        """Somebody else ends a hold, perhaps twice in one batch; the action itself comes too late."""
        name = data.draw(st.sampled_from(sorted(self.book.open)))
        lane, hold = int(name[1:3], 16), bytes.fromhex(name[4:])
        first = Posting((), Resolution(lane, hold, outcome, "first", "model"))
        second = Posting((), Resolution(lane, hold, Outcome.SETTLED, "second", "model"))
        won, lost = self.tally.ledger.post_many([first, second])
        assert won.resolved_before is None
        assert lost.resolved_before is not None
        assert lost.resolved_before.reason == "first"
        self.book.resolve(name, outcome.name.lower())

    # Time, sequencer, restart

    @rule(by=st.sampled_from([1, 999_999, SECOND, HOUR - 1, HOUR, DAY, 31 * DAY, -SECOND, -2 * HOUR]))
    def pass_time(self, by: int) -> None:
        """Time passes, or the clock is set back."""
        self.clock.advance(timedelta(microseconds=by))

    @rule(whole=st.booleans())
    def sequence(self, whole: bool) -> None:
        """Positions, chain and totals catch up."""
        sequencer = self.tally.ledger.sequencer
        sequencer._batch = 1000 if whole else 3
        if whole:
            sequencer.run()
        else:
            sequencer.step()

    @rule()
    def restart(self) -> None:
        """The process goes, its open actions with it: their holds stay open."""
        for action in self.actions.values():
            action._state = State.CLOSED
        self.actions.clear()
        self._close()
        self.tally = self._open()

    def _close(self) -> None:
        self.findings += self.tally.finding_counts
        self.tally.close()

    # What must hold

    @rule(data=st.data(), customer=customers, meter=meters, by=st.sampled_from([None, "hour", "day"]))
    def ask_usage(self, data: st.DataObject, customer: str, meter: str, by: str | None) -> None:
        """Usage of any window, in any buckets, is what the model adds up."""
        instants = sorted({line.at for line in self.book.lines} | {self.clock.now()})
        near = st.sampled_from(instants).flatmap(
            lambda at: st.one_of(st.just(at), st.integers(at - HOUR - 1, at + HOUR + 1))
        )
        since, until = sorted((data.draw(near), data.draw(near)))
        width = {None: 0, "hour": HOUR, "day": DAY}[by]
        expected = self.book.usage(
            customer, meter, since, until, lambda line: line.at // width * width if width else since
        )
        found = self.tally.usage(customer, meter, since=to_datetime(since), until=to_datetime(until), by=by)
        decimals = METERS[meter].decimals
        got = {u.start: (int(u.quantity.scaleb(decimals)), u.entries) for u in found if u.entries}
        assert got == expected

    @rule(customer=customers)
    def ask_groups(self, customer: str) -> None:
        """Usage by a declared attribute."""
        found = self.tally.usage(customer, "tokens", group_by="model")
        expected = self.book.usage(customer, "tokens", 0, 2**62, lambda line: group_of(line, "model"))
        assert {u.group: (int(u.quantity), u.entries) for u in found} == expected

    @invariant()
    def raw_sums_agree(self) -> None:
        """T6: what stands in the table is what the model holds, after every step."""
        if hasattr(self, "tally"):
            assert self.tally.ledger.recomputed_totals() == self.book.totals()

    @invariant()
    def open_holds_agree(self) -> None:
        """T5: a hold without a resolution is listed, one with a resolution is not."""
        assert {hold.id for hold in self.tally.ledger.open_holds()} == set(self.book.open)

    def teardown(self) -> None:
        """Everything once more, from the raw tables."""
        with suppress(AttributeError):
            for action in self.actions.values():
                action._state = State.CLOSED
        self.tally.ledger.sequencer.run()
        self._check_tables()
        assert self.tally.ledger.broken_links() == []
        assert self.tally.ledger.totals() == self.tally.ledger.recomputed_totals() == self.book.totals()
        self._close()
        assert self.findings["key_conflict"] == self.book.conflicts
        assert self.findings["late_settle"] == self.book.late

    def _check_tables(self) -> None:
        """T3, T5, T12: lines, keys, resolutions, obligations and positions, row by row."""
        sql = "select customer, meter, quantity, recorded_at, key, attributes from tallystick.entries where kind > 1"
        lines = Counter((x.customer, x.meter, x.steps, x.at, x.key, x.attributes) for x in self.book.lines)
        assert Counter(tuple(row) for row in rows(self.url, sql)) == lines
        found = rows(self.url, "select lane, hold, outcome from tallystick.resolutions")
        resolved = {
            f"e{lane:02x}-{bytes(hold).hex()}": Outcome(outcome).name.lower() for lane, hold, outcome in found
        }
        assert resolved == self.book.resolved
        owed = rows(self.url, "select count(*) from tallystick.obligations")
        assert owed == [(sum(line.steps != 0 for line in self.book.lines),)]
        places = rows(self.url, "select lane, position from tallystick.positions order by 1, 2")
        [(entries,)] = rows(self.url, "select count(*) from tallystick.entries")
        assert len(places) == entries
        seen: Counter[int] = Counter()
        for lane, position in places:
            seen[lane] += 1
            assert position == seen[lane], f"lane {lane} has a gap before {position}"
