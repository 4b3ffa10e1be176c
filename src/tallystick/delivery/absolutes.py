"""Dispatches of last, max and unique meters: where a period stands, told to a provider meter that takes the last.

What makes absolutes exact: of one slot and period each is stamped later than the one before, never in the
future, so that a late arrival of an older one changes nothing. Whatever of the older ones is still on its
way is overtaken by the newest; an unknown outcome needs no proof.
"""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.cycles import NOTHING_KNOWN, Period, periods_of
from tallystick.delivery import rules
from tallystick.delivery.due import postpone
from tallystick.delivery.model import PLACE, Attempt, Dispatch, Owed, Slot, Terms, to_dispatch
from tallystick.ledger.absolutes import standing
from tallystick.ledger.reading import Partition
from tallystick.meters import Formula, Meter
from tallystick.storage import Flow, Statement
from tallystick.values.instant import MINUTE, SECOND


def freeze(owed: Sequence[Owed], slot: Slot, terms: Terms) -> Flow[list[Attempt]]:
    """One dispatch for each period that these entries of a slot belong to; what must wait is postponed."""
    meter = terms.meter(owed[0].meter)
    spans, unplaced = yield from _by_span(owed, slot, meter)
    made: list[Attempt] = []
    if unplaced:
        yield from postpone(unplaced, terms.now() + MINUTE)
    for span in sorted(spans, key=lambda s: s.since):
        dispatch = yield from _of_span(span, spans[span], slot, meter, terms)
        if dispatch is not None:
            made.append(Attempt(dispatch, slot, None))
    return made


def _by_span(
    owed: Sequence[Owed], slot: Slot, meter: Meter
) -> Flow[tuple[dict[Period, list[tuple[int, Owed]]], list[Owed]]]:
    """The entries by the period they belong to, each with its second; and those whose period is not known.

    A correction belongs where the entry it corrects was recorded. A last meter needs no period: where none
    is known, each second's last value is told, so that the last of any period is among them.
    """
    known = (yield from periods_of([slot.key])).get(slot.key, NOTHING_KNOWN)
    homes = yield Statement("homes", rows=sorted((e.lane, e.entry) for e in owed))
    home = {bytes(row[0]): int(row[1]) // SECOND for row in homes}
    spans: dict[Period, list[tuple[int, Owed]]] = {}
    unplaced: list[Owed] = []
    for entry in owed:
        second = home[entry.entry]
        period = known.at(second)
        if period is None and meter.formula is not Formula.LAST:
            unplaced.append(entry)
            continue
        spans.setdefault(period or Period(second, second + 1), []).append((second, entry))
    return spans, unplaced


def _of_span(
    span: Period, placed: Sequence[tuple[int, Owed]], slot: Slot, meter: Meter, terms: Terms
) -> Flow[Dispatch | None]:
    now = terms.now()
    before = yield from newest(slot, span)
    wanted = max(second for second, _ in placed)
    if before is not None:
        wanted = max(wanted, before.happened_at + 1)
    owed = [entry for _, entry in placed]
    if wanted > now // SECOND and span.until > now // SECOND:
        yield from postpone(owed, wanted * SECOND)
        return None
    stamp = min(wanted, span.until - 1)  # at a period's very end the one that is received later stands
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
    yield from overtake(dispatch, span, now)
    yield Statement("insert_dispatches", rows=[dispatch.row()])
    return dispatch


def newest(slot: Slot, span: Period) -> Flow[Dispatch | None]:
    """The dispatch of a slot that stands in a span of seconds, once all that was sent has arrived."""
    return (yield from _newest("newest_dispatch", slot, span))


def newest_taken(slot: Slot, span: Period) -> Flow[Dispatch | None]:
    """The dispatch of a slot that stands in a span of seconds by what the provider is known to have."""
    return (yield from _newest("newest_taken_dispatch", slot, span))


def _newest(query: str, slot: Slot, span: Period) -> Flow[Dispatch | None]:
    rows = yield Statement(query, {**slot.place, "since": span.since, "until": span.until})
    return to_dispatch(rows[0]) if rows else None


def overtake(dispatch: Dispatch, span: Period, now: int) -> Flow[None]:
    """Give up what is older in the span and not settled: the newer one says all that it could say."""
    place = dict(zip(PLACE, dispatch.slot_key, strict=True))
    told = {"until": dispatch.happened_at, "reason": f"overtaken by {dispatch.identifier}", "now": now}
    yield Statement("overtake_dispatches", {**place, "since": span.since, **told})
