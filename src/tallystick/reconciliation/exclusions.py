"""Exclusion: what can no longer be reported and was billed otherwise, by a person's word. It is never sent.

What no dispatch carries yet gets one, so that nobody sends it later; every dispatch is refused, with a row that
says who excluded it, when and why. What an absolute stood at by them goes on standing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from tallystick.cycles import Period, Periods, Place
from tallystick.delivery import rules
from tallystick.delivery.absolutes import newest
from tallystick.delivery.model import Dispatch, Owed, Slot, to_dispatch
from tallystick.errors import ActionError
from tallystick.ledger.absolutes import standing
from tallystick.ledger.reading import Partition
from tallystick.ledger.sequencer import LIMB
from tallystick.meters import Meter
from tallystick.providers import Profile
from tallystick.storage import Flow, Statement
from tallystick.values.instant import HOUR, SECOND
from tallystick.values.quantity import from_steps

CHANGED = "what it would take has changed meanwhile; look again: tallystick proposals"
UNDER_WAY = (
    "some of it may have been counted: the relay learns its outcome, at the latest by the provider's totals, an hour "
    "after the duplicate window (Stripe: a day); look again then: tallystick proposals"
)


class Word(msgspec.Struct, frozen=True):
    """What a person says: why and who; `at` is when, in microseconds since 1970 UTC."""

    reason: str
    by: str
    at: int


class Late(msgspec.Struct, frozen=True):
    """What of one customer and meter was recorded before an instant and can no longer be reported."""

    place: Place
    customer: str
    meter: Meter
    periods: Periods
    before: int

    @property
    def about(self) -> dict[str, Any]:
        """The parameters that select it."""
        lane, tenant, mode = self.place[:3]
        where = {"lane": lane, "tenant": tenant, "mode": mode}
        return {**where, "customer": self.customer, "meter": self.meter.name, "cutoff": self.before}


class Settled(msgspec.Struct, frozen=True):
    """A proposal that was settled; `repeated`: it had been, by the same word, before."""

    customer: str
    meter: str
    quantity: Decimal
    dispatches: int
    reason: str
    by: str
    at: int
    repeated: bool = False


def exclude(
    late: Late, quantity: Decimal, word: Word, prefix: str, profile: Profile, new_id: Callable[[], bytes]
) -> Flow[Settled]:
    """Exclude all of it, which must be `quantity`; ActionError when it is not, or some of it is under way."""
    owed = [Owed(row[0], bytes(row[1]), *row[2:]) for row in (yield Statement("late_entries", late.about))]
    there = [to_dispatch(row) for row in (yield Statement("late_dispatches", late.about))]
    told_by = word.at - profile.duplicate_window_seconds * SECOND - HOUR
    if any(_may_be_told_yet(d, told_by) for d in there):
        raise ActionError(UNDER_WAY)
    groups = yield from _dispatches(late, owed, word.at, prefix, profile, new_id)
    made = [rules.parked(d, rules.TOO_LATE, word.at) for _, group in groups for d in group]
    claimed = sorted((e.lane, e.entry, group[0].dispatch) for entries, group in groups for e in entries)
    if claimed and len((yield Statement("claim_obligations", rows=claimed))) < len(claimed):
        raise ActionError(CHANGED)
    if made:
        yield Statement("insert_dispatches", rows=[d.row() for d in made])
    return (yield from _refused(late, [*there, *made], quantity, word))


def _may_be_told_yet(d: Dispatch, told_by: int) -> bool:
    """Whether the outcome of a dispatch may still be learned: by its answer, or, an hour past the window, by totals."""
    return d.state in ("sending", "unknown") or (d.first_sent_at is not None and d.first_sent_at > told_by)


def _refused(late: Late, found: Sequence[Dispatch], quantity: Decimal, word: Word) -> Flow[Settled]:
    """Refuse the dispatches and say why; of an absolute the newest stands for the whole difference."""
    steps = int(quantity.scaleb(late.meter.decimals))
    ordered = sorted(found, key=lambda d: (d.happened_at, d.dispatch, d.part))
    quantities = [d.quantity for d in ordered]
    if late.meter.formula.is_absolute:
        quantities = [0] * (len(ordered) - 1) + [steps]
    if not ordered or sum(quantities) != steps:
        raise ActionError(CHANGED)
    why = f"excluded by {word.by}: {word.reason}"
    rows = sorted((d.lane, d.dispatch, d.part, d.state, d.attempt, why, word.at) for d in ordered)
    if len((yield Statement("exclude_dispatches", rows=rows))) < len(rows):
        raise ActionError(CHANGED)
    said = (word.reason, word.by, word.at)
    kept = [
        (d.lane, d.dispatch, d.part, d.tenant, d.mode, d.customer, d.meter, billed, *said)
        for d, billed in zip(ordered, quantities, strict=True)
    ]
    yield Statement("insert_exclusions", rows=sorted(kept))
    return Settled(late.customer, late.meter.name, quantity, len(kept), *said)


def _dispatches(
    late: Late, owed: Sequence[Owed], now: int, prefix: str, profile: Profile, new_id: Callable[[], bytes]
) -> Flow[list[tuple[list[Owed], list[Dispatch]]]]:
    """The entries that no dispatch carries, by the dispatches they would have had."""
    slot, meter = Slot(late.place, 0, 0), late.meter
    if not meter.formula.is_absolute or not owed:
        return [
            (group, rules.dispatches(group, new_id(), prefix, slot, meter, profile, now))
            for group in rules.buckets(owed, late.periods, meter)
        ]
    ordered = sorted(owed, key=lambda e: (e.recorded_at, e.entry))
    first, last = (e.recorded_at // SECOND for e in (ordered[0], ordered[-1]))
    span = late.periods.at(first) or Period(first, late.before // SECOND)
    where = Partition(*late.place[1:3])
    steps = yield from standing(where, late.customer, meter, span.since * SECOND, span.until * SECOND)
    before = yield from newest(slot, span)
    second = last if before is None else max(last, min(before.happened_at + 1, span.until - 1))
    return [(ordered, [rules.dispatch(ordered, new_id(), prefix, slot, meter, steps, second, now)])]


def settled_before(late: Late, quantity: Decimal, word: Word) -> Flow[Settled | None]:
    """What the same word has settled before, if it was as much."""
    params = {**late.about, "reason": word.reason, "by": word.by}
    for at, count, high, low in (yield Statement("find_exclusions", params)):
        if from_steps(int(high) * LIMB + int(low), late.meter.decimals) == quantity:
            said = (word.reason, word.by, at)
            return Settled(late.customer, late.meter.name, quantity, count, *said, repeated=True)
    return None
