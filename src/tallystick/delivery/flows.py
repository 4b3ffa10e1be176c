"""The flows of delivery: take slots, freeze dispatches, write down answers.

Every flow runs inside a group commit, so that one durable commit serves many slots. A dispatch is
committed as `sending` before any byte leaves; a crash therefore leaves a dispatch that may have
arrived, never one that looks untouched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tallystick.cycles import NOTHING_KNOWN, Periods, periods_of
from tallystick.delivery import absolutes, rules
from tallystick.delivery.model import Attempt, Dispatch, Owed, Slot, SlotKey, Terms
from tallystick.providers import Answer
from tallystick.storage import Flow, Statement
from tallystick.values.failpoint import failpoint
from tallystick.values.instant import SECOND

Rows = list[tuple[Any, ...]]
Known = Mapping[SlotKey, Periods]


def take_slots(keys: Sequence[SlotKey], terms: Terms) -> Flow[dict[SlotKey, Slot]]:
    """Take those slots that are free; compare-and-set on the fence decides between rivals."""
    rows: Rows = sorted(set(keys))
    found = yield Statement("find_slots", rows=rows)
    if len(found) < len(rows):
        yield Statement("insert_slots", rows=rows)
        found = yield Statement("find_slots", rows=rows)
    now = terms.now()
    until, lasts_until = now + terms.lease, terms.elapsed() + terms.lease
    free: Rows = [(*row[:6], terms.owner, until) for row in found if row[6] <= now]
    if not free:
        return {}
    taken = yield Statement("take_slots", rows=free)
    return {tuple(row[:5]): Slot(tuple(row[:5]), row[5], until, lasts_until) for row in taken}


def claim(owed: Mapping[SlotKey, Sequence[tuple[int, bytes]]], terms: Terms) -> Flow[list[Attempt]]:
    """Take the slots and freeze what they still owe into dispatches, ready to be sent."""
    slots = yield from take_slots(list(owed), terms)
    failpoint("delivery.slots")
    wanted: Rows = sorted({entry for key in slots for entry in owed[key]})
    if not wanted:
        yield from release(list(slots.values()), {})
        return []
    rows = yield Statement("owed_entries", rows=wanted)
    place = {(lane, entry): key for key in slots for lane, entry in owed[key]}
    mine: dict[SlotKey, list[Owed]] = {}
    for row in rows:
        entry = Owed(row[0], bytes(row[1]), *row[2:])
        mine.setdefault(place[entry.lane, entry.entry], []).append(entry)
    attempts = yield from _freeze(mine, slots, terms)
    idle = [slot for key, slot in slots.items() if not any(a.slot.key == key for a in attempts)]
    if idle:
        yield from release(idle, {})
    return attempts


def _freeze(
    mine: Mapping[SlotKey, Sequence[Owed]], slots: Mapping[SlotKey, Slot], terms: Terms
) -> Flow[list[Attempt]]:
    added: dict[SlotKey, Sequence[Owed]] = {}
    made: list[Attempt] = []
    for key, entries in mine.items():
        if terms.meter(entries[0].meter).formula.is_absolute:
            made += yield from absolutes.freeze(entries, slots[key], terms)
        else:
            added[key] = entries
    made += yield from _freeze_added(added, slots, terms)
    failpoint("delivery.frozen")
    return made


def _freeze_added(
    mine: Mapping[SlotKey, Sequence[Owed]], slots: Mapping[SlotKey, Slot], terms: Terms
) -> Flow[list[Attempt]]:
    known = yield from periods_of(key for key, entries in mine.items() if _needs_periods(entries, terms))
    groups: list[tuple[Slot, bytes, list[Owed]]] = []
    for key, entries in mine.items():
        meter = terms.meter(entries[0].meter)
        for group in rules.buckets(entries, known.get(key, NOTHING_KNOWN), meter):
            groups.append((slots[key], terms.new_id(), group))
    rows: Rows = sorted((e.lane, e.entry, identity) for _, identity, group in groups for e in group)
    if not rows:
        return []
    claimed = yield Statement("claim_obligations", rows=rows)
    won = {(lane, bytes(entry)) for lane, entry in claimed}
    failpoint("delivery.claimed")
    made: list[Attempt] = []
    for slot, identity, group in groups:
        ours = [e for e in group if (e.lane, e.entry) in won]
        if ours:
            meter, now = terms.meter(ours[0].meter), terms.now()
            for dispatch in rules.dispatches(ours, identity, terms.prefix, slot, meter, terms.profile, now):
                made.append(Attempt(_sendable(dispatch, terms, now, known), slot, None))
    if made:
        yield Statement("insert_dispatches", rows=[attempt.dispatch.row() for attempt in made])
    return [attempt for attempt in made if attempt.dispatch.state == "sending"]


def _needs_periods(entries: Sequence[Owed], terms: Terms) -> bool:
    """Whether it matters in which periods entries lie: they could share a dispatch, or come too late."""
    seconds = {e.recorded_at // SECOND for e in entries}
    return len(seconds) > 1 or rules.may_be_too_late(min(seconds), terms.profile, terms.now())


def _sendable(d: Dispatch, terms: Terms, now: int, known: Known) -> Dispatch:
    """A new dispatch; what the provider would take and nobody would bill is parked instead."""
    fresh = msgspec.structs.replace(d, first_sent_at=None)
    why = rules.reason_to_park(fresh, terms.profile, now, known.get(d.slot_key, NOTHING_KNOWN))
    return rules.parked(d, why, now) if why else d


def retake(due: Sequence[Dispatch], terms: Terms) -> Flow[list[Attempt]]:
    """Take up dispatches whose time has come again; those past their window are parked instead."""
    now = terms.now()
    known = yield from periods_of(
        d.slot_key for d in due if rules.may_be_too_late(d.happened_at, terms.profile, now)
    )
    parked = [(d, why) for d in due if (why := _reason_to_park(d, terms, now, known))]
    if parked:
        yield Statement("settle_dispatches", rows=[_parked_row(d, why, now) for d, why in parked])
    out = {(d.lane, d.dispatch, d.part) for d, _ in parked}
    again = [d for d in due if (d.lane, d.dispatch, d.part) not in out]
    if not again:
        return []
    slots = yield from take_slots([d.slot_key for d in again], terms)
    ours = [d for d in again if d.slot_key in slots]
    if not ours:
        return []
    rows: Rows = []
    for d in ours:
        slot = slots[d.slot_key]
        first = now if d.first_sent_at is None else d.first_sent_at
        rows.append((d.lane, d.dispatch, d.part, d.attempt, slot.fence, first, slot.expires_at))
    taken = yield Statement("retake_dispatches", rows=rows)
    failpoint("delivery.retaken")
    won = {(lane, bytes(dispatch), part) for lane, dispatch, part in taken}
    return [_again(d, slots[d.slot_key], now) for d in ours if (d.lane, d.dispatch, d.part) in won]


def _reason_to_park(d: Dispatch, terms: Terms, now: int, known: Known) -> str:
    periods, repeatable = known.get(d.slot_key, NOTHING_KNOWN), terms.is_absolute(d.meter)
    return rules.reason_to_park(d, terms.profile, now, periods, repeatable=repeatable)


def _again(d: Dispatch, slot: Slot, now: int) -> Attempt:
    first = now if d.first_sent_at is None else d.first_sent_at
    taken = msgspec.structs.replace(
        d,
        state="sending",
        attempt=d.attempt + 1,
        fence=slot.fence,
        first_sent_at=first,
        due_at=slot.expires_at,
    )
    return Attempt(taken, slot, d.first_sent_at)


def _parked_row(d: Dispatch, why: str, now: int) -> tuple[Any, ...]:
    return (
        d.lane,
        d.dispatch,
        d.part,
        d.attempt,
        "parked",
        why,
        d.first_sent_at,
        now,
        d.idempotency_key,
        now,
    )


def write_answers(answered: Sequence[tuple[Attempt, Answer]], now: int) -> Flow[None]:
    """Write down what the attempts came to and free their slots; a retry keeps its slot closed till then."""
    rows: Rows = []
    blocked: dict[SlotKey, int] = {}
    slots: dict[SlotKey, Slot] = {}
    for attempt, answer in answered:
        d = attempt.dispatch
        s = rules.settle(d, answer, attempt.sent_before, now)
        rows.append(
            (
                d.lane,
                d.dispatch,
                d.part,
                d.attempt,
                s.state,
                s.reason,
                s.first_sent_at,
                s.due_at,
                s.idempotency_key,
                s.settled_at,
            )
        )
        slots[attempt.slot.key] = attempt.slot
        blocked[attempt.slot.key] = max(blocked.get(attempt.slot.key, 0), s.blocked_until)
    yield Statement("settle_dispatches", rows=sorted(rows))
    failpoint("delivery.settled")
    yield from release(list(slots.values()), blocked)


def release(slots: Sequence[Slot], blocked: Mapping[SlotKey, int]) -> Flow[None]:
    """Free slots, each at once or at the instant it is blocked until."""
    rows: Rows = sorted((*slot.key, slot.fence, blocked.get(slot.key, 0)) for slot in slots)
    if rows:
        yield Statement("release_slots", rows=rows)


def take_lease(name: str, owner: str, now: int, until: int) -> Flow[bool]:
    """Take or keep a lease; whether it is ours until then."""
    yield Statement("insert_lease", {"name": name})
    taken = yield Statement("take_lease", {"name": name, "owner": owner, "now": now, "until": until})
    return bool(taken == 1)


def release_lease(name: str, owner: str) -> Flow[None]:
    """Give a lease back before it runs out."""
    yield Statement("release_lease", {"name": name, "owner": owner})
