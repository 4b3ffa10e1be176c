"""Dispatches of last, max and unique meters: where a period stands, told to a provider meter that takes the last.

What makes absolutes exact: of one slot and period each is stamped later than the one before, never in the
future, so that a late arrival of an older one changes nothing. Whatever of the older ones is still on its
way is overtaken by the newest; an unknown outcome needs no proof.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from tallystick.cycles import NOTHING_KNOWN, Period, Periods, periods_of
from tallystick.delivery import rules
from tallystick.delivery.due import postpone
from tallystick.delivery.model import PLACE, Attempt, Dispatch, Owed, Slot, Terms, to_dispatch
from tallystick.ledger.absolutes import standing
from tallystick.ledger.reading import Partition
from tallystick.meters import Formula, Meter
from tallystick.storage import Flow, Statement
from tallystick.values.instant import MINUTE, SECOND

LATE = MINUTE // SECOND  # the last seconds of a period, kept for what is told once it has ended


class Span(msgspec.Struct, frozen=True):
    """Seconds [since, until) of one period; `ended`: it has no later ones."""

    since: int
    until: int
    ended: bool = False


Placed = Mapping[
    Span | None, Sequence[tuple[int, Owed]]
]  # entries by span, each with the second it belongs to


def freeze(owed: Sequence[Owed], slot: Slot, terms: Terms) -> Flow[list[Attempt]]:
    """One dispatch for each period that these entries of a slot belong to; what must wait is postponed."""
    meter = terms.meter(owed[0].meter)
    known = (yield from periods_of([slot.key])).get(slot.key, NOTHING_KNOWN)
    placed = yield from _placed(owed, known, meter, terms.now())
    made: list[Attempt] = []
    for span in sorted((span for span in placed if span is not None), key=lambda s: s.since):
        dispatch = yield from _of_span(span, placed[span], slot, meter, terms, known)
        if dispatch is not None and dispatch.state == "sending":
            made.append(Attempt(dispatch, slot, None))
    yield from postpone([entry for _, entry in placed.get(None, ())], terms.now() + MINUTE)
    return made


def _placed(owed: Sequence[Owed], known: Periods, meter: Meter, now: int) -> Flow[Placed]:
    """The entries by span; a correction belongs where the entry it corrects was recorded."""
    homes = yield Statement("homes", rows=sorted((e.lane, e.entry) for e in owed))
    home = {bytes(row[0]): int(row[1]) // SECOND for row in homes}
    found: dict[Span | None, list[tuple[int, Owed]]] = {}
    for entry in owed:
        second = home[entry.entry]
        found.setdefault(span_of(second, known, meter, now), []).append((second, entry))
    return found


def span_of(second: int, known: Periods, meter: Meter, now: int) -> Span | None:
    """What is told together with what was recorded then; None: that is not known before the provider is asked.

    A last meter need not wait for that: each second's last value is told for itself, so that the last of any
    period is among them. Only in the last seconds that a period should have, it waits.
    """
    sure, period = known.sure(second), known.at(second)
    if sure is not None and period is not None:
        return Span(sure.since, sure.until, ended=sure.until == period.until)
    if meter.formula is not Formula.LAST:
        return None
    if period is not None:
        return None if second >= period.until - LATE else Span(second, second + 1)
    if not known.is_asked(second):
        return Span(second, second + 1)
    edges = [p.since for p in known.known if p.since > second]
    return Span(second, min([now // SECOND + 1, *edges]))  # no period runs: nothing to keep apart


def _of_span(
    span: Span,
    placed: Sequence[tuple[int, Owed]],
    slot: Slot,
    meter: Meter,
    terms: Terms,
    known: Periods,
) -> Flow[Dispatch | None]:
    now = terms.now()
    owed = [entry for _, entry in placed]
    stamp = _stamp(max(second for second, _ in placed), (yield from newest(slot, span)), span)
    if stamp >= span.until or stamp > now // SECOND:
        yield from postpone(owed, now + MINUTE)
        return None
    identity = terms.new_id()
    rows = sorted((e.lane, e.entry, identity) for e in owed)
    won = {bytes(row[1]) for row in (yield Statement("claim_obligations", rows=rows))}
    ours = [entry for entry in owed if entry.entry in won]
    if not ours:
        return None
    first = ours[0]
    where = Partition(first.tenant, first.mode)
    steps = yield from standing(where, first.customer, meter, span.since * SECOND, span.until * SECOND)
    dispatch = rules.dispatch(ours, identity, terms.prefix, slot, meter, steps, stamp, now)
    if why := rules.reason_to_park(dispatch, terms.profile, now, known, repeatable=True):
        dispatch = rules.parked(dispatch, why, now)
    yield from overtake(dispatch, span, now)
    yield Statement("insert_dispatches", rows=[dispatch.row()])
    return dispatch


def _stamp(second: int, before: Dispatch | None, span: Span) -> int:
    """The second to tell it for: its own, but later than what was told before.

    Of a period that has ended, the last minute is left to what comes later still: sixty values, of which only
    those after them share a second.
    """
    if span.ended:
        second = max(span.since, min(second, span.until - LATE))
    if before is not None:
        second = max(second, before.happened_at + 1)
    return min(second, span.until - 1) if span.ended else second


def newest(slot: Slot, span: Period | Span) -> Flow[Dispatch | None]:
    """The dispatch of a slot that stands in a span of seconds, once all that was sent has arrived."""
    return (yield from _newest("newest_dispatch", slot, span))


def newest_taken(slot: Slot, span: Period | Span) -> Flow[Dispatch | None]:
    """The dispatch of a slot that stands in a span of seconds by what the provider is known to have."""
    return (yield from _newest("newest_taken_dispatch", slot, span))


def newest_excluded(slot: Slot, span: Period | Span) -> Flow[Dispatch | None]:
    """The last dispatch of a slot in a span of seconds of which a person said that it was billed otherwise."""
    return (yield from _newest("newest_excluded_dispatch", slot, span))


def newest_billed(slot: Slot, span: Period | Span) -> Flow[Dispatch | None]:
    """What is billed of a span of seconds: by what the provider is known to have, or otherwise if that is newer."""
    taken = yield from newest_taken(slot, span)
    excluded = yield from newest_excluded(slot, span)
    if taken is None or (excluded is not None and excluded.happened_at > taken.happened_at):
        return excluded
    return taken


def _newest(query: str, slot: Slot, span: Period | Span) -> Flow[Dispatch | None]:
    rows = yield Statement(query, {**slot.place, "since": span.since, "until": span.until})
    return to_dispatch(rows[0]) if rows else None


def overtake(dispatch: Dispatch, span: Period | Span, now: int) -> Flow[None]:
    """Give up what is older in the span and not settled: the newer one says all that it could say."""
    place = dict(zip(PLACE, dispatch.slot_key, strict=True))
    told = {"until": dispatch.happened_at, "reason": f"overtaken by {dispatch.identifier}", "now": now}
    yield Statement("overtake_dispatches", {**place, "since": span.since, **told})
