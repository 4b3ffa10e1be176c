"""Whether a lost attempt is tried again: the same provider is also reached by a frequent schedule."""

from __future__ import annotations

import re

from tallystick.audit.case.case import SLOW, Case
from tallystick.audit.case.kept import caught
from tallystick.audit.entries.schedules import DAY
from tallystick.audit.program.program import Key
from tallystick.audit.rules.marks import (
    LEAVES,
    acknowledged,
    marks_lost,
    marks_sent,
    speaks_of_unsent,
    takes_unsent,
    texts,
)
from tallystick.audit.rules.one_day import asks_one_day
from tallystick.audit.trails.labels import STORED
from tallystick.audit.trails.sites import event_of
from tallystick.audit.trails.stored import is_counter
from tallystick.audit.trails.trails import Trail

MONTHLY = re.compile(  # what is left of a month that has ended is never asked for
    rb"(?i)for_month\(|(?:this|current)_?month|(?:beginning|start)_?of_?month|month\s*[:=]\s*(?:Date\.(?:current|today)|now)"
)
LOOKING = re.compile(  # in a database, or by a function that says so
    r"(?i)prisma|supabase|drizzle|\bdb\b|redis|\bkv\.|objects\.|(?-i:[A-Z]\w*\.find$)"
    r"|(?:^|\.)(?:find_?\w+|select\w*|query\w*|execute|fetch_?all|scan\w*|[lz]range\w*|collection\w*|where|rpc"
    r"|(?:get|list|load|fetch|claim|take|pop|drain)_?\w*"
    r"(?:pending|usage|event|row|record|org|customer|team|user|account|tenant|subscription|meter|batch|un[a-z]+ed)\w*)$"
)
REQUESTED = frozenset(["http", "action", "worker"])


def excused(case: Case, trail: Trail) -> bool:
    """Whether a lost attempt on this way is harmless: drained, asked for again, or a row beside a direct report."""
    return _beside(case, trail) or drained(case, trail) or acknowledged(case, trail)


def _beside(case: Case, trail: Trail) -> bool:
    """Whether a row is kept beside a direct report, which a failure of the row does not keep from being sent."""
    if not trail.site.stored or trail.entry is None:
        return False
    direct = [
        one
        for one in case.live
        if one.entry is not None and one.entry.key == trail.entry.key and not one.site.stored
    ]
    return bool(direct) and not any(_falls_with(case, one, trail) for one in direct)


def _falls_with(case: Case, direct: Trail, trail: Trail) -> bool:
    """Whether a direct report is not made either where its row was not kept, so that nothing is left of the usage."""
    steps = [(key[0], call) for key, call in direct.hops]
    guarded = any((path, guard.line) == trail.handler for path, call in steps for guard in call.handlers)
    if guarded and direct.handler != trail.handler:
        return True
    first = _stands_before(trail, direct)
    if first and trail.error == "swallowed" and not guarded and LEAVES.search(caught(case, trail).encode()):
        return any(path == trail.handler[0] and call.line > trail.handler[1] for path, call in steps)
    shared = {trail.floating, trail.deferred[:2]}
    put_off = any((path, call.line) in shared for path, call in steps)
    return first and put_off and drained(case, direct)  # else what becomes of the report counts


def _stands_before(trail: Trail, other: Trail) -> bool:
    """Whether one way turns off before another in the innermost function that both go through."""
    lines = {key: call.line for key, call in trail.hops}
    return next((lines[key] < call.line for key, call in other.hops if key in lines), False)


def drained(case: Case, trail: Trail) -> bool:
    """Whether another trail to the same provider runs often by the clock and keeps its own errors."""
    by_clock = trail.entry is not None and trail.entry.kind == "schedule"
    if by_clock and not trail.site.stored and _drains(case, trail):
        return True
    forgets = by_clock and not trail.site.stored and marks_lost(case, trail)
    for other in case.live:
        entry = other.entry
        if other is trail or entry is None or entry.kind != "schedule" or (entry.seconds or SLOW) >= SLOW:
            continue
        if other.site.stored != trail.site.stored or not _alike(case, other, trail):
            continue
        if other.site.stored and other.queued is not None:
            continue  # what such a clock puts on a queue is work, which keeps rows of its own
        apart = (trail.site.stored or forgets) and other.site.call != trail.site.call
        alike = forgets and _passes(other, trail.handler)
        if apart or alike or case.once(_does_the_same, other):
            continue  # its rows are others than those that were lost here, or are lost here as well
        left = trail.floating[1] and trail.floating == other.floating
        ended = trail.error == other.error == "swallowed" and trail.handler == other.handler
        if (left or (ended and not case.once(takes_unsent, other))) and not marks_sent(case, other):
            continue  # its own reports are lost in the same place
        if not by_clock and not trail.site.stored and case.once(_looks_up, other):
            return True
        if case.once(takes_unsent, other) and not case.once(marks_lost, other):
            return True
    return False


def _passes(trail: Trail, handler: tuple[str, int]) -> bool:
    """Whether a way leads through the try that a catch belongs to."""
    return any((key[0], one.line) == handler for key, call in trail.hops for one in call.handlers)


def _alike(case: Case, one: Trail, other: Trail) -> bool:
    """Whether two reports go to the same provider, and not under two names that are both known."""
    known = [event_of(case.program, trail.site.key[0], trail.site.call) for trail in (one, other)]
    names = {name for name in known if name is not None and (name.text or name.parts)}
    differ = len(names) == 2 and len({name.kind for name in names}) == 1
    return one.site.sink.provider == other.site.sink.provider and not differ


def _looks_up(case: Case, trail: Trail) -> bool:
    """Whether a run by the clock, or what it calls, looks up what there is to send: other runs do work of their own."""
    if any(kind == STORED for kind, _ in trail.quantity | trail.customer) or takes_unsent(case, trail):
        return True
    steps = [key for key, _ in trail.hops]
    steps += [to for key in steps for to, _ in case.program.callees.get(key, ())]
    return any(LOOKING.search(call.callee) for key in steps for call in case.program.function(key).calls)


def _does_the_same(case: Case, trail: Trail) -> bool:
    """Whether a clock only starts the work that requests start as well: it sends its own usage, not what they left."""
    if any(kind == STORED for kind, _ in trail.quantity):
        return False  # it goes over rows
    own = _above_catch(case, trail)
    for other in case.alike(trail):
        if other.entry is None or other.entry.kind not in REQUESTED:
            continue
        shared = own & _above_catch(case, other)
        if shared and not any(case.once(speaks_of_unsent, key) for key in shared):
            return True
    return False


def _above_catch(case: Case, trail: Trail) -> set[Key]:
    """The functions that lie above the catch where an error on this way ends; none where none ends there."""
    path, line = trail.handler
    for number, (key, _) in enumerate(trail.hops if trail.error == "swallowed" else ()):
        function = case.program.function(key)
        if key[0] == path and function.line <= line <= function.end_line:
            return {above for above, _ in trail.hops[number + 1 :]}
    return set()


def drained_late(case: Case, trail: Trail) -> bool:
    """Whether requests or their jobs send at once, and a daily run sends again what they left unsent."""
    same = [(one, one.entry) for one in case.alike(trail) if one.entry is not None]
    return any(entry.kind in REQUESTED for _, entry in same) and any(
        entry.kind == "schedule"
        and SLOW <= (entry.seconds or 0) <= DAY
        and case.once(takes_unsent, one)
        and not case.once(_does_the_same, one)
        and not any(MONTHLY.search(text) for text in texts(case, one))
        for one, entry in same
    )


def sent_later(case: Case, trail: Trail) -> bool:
    """Whether a schedule, however slow, reaches the same provider: what a request lost may be among what it sends."""
    if trail.site.stored or trail.entry is None or trail.entry.kind == "schedule":
        return False
    return any(
        one.entry is not None
        and one.entry.kind == "schedule"
        and _alike(case, one, trail)
        and not case.once(_does_the_same, one)
        for one in case.live
    )


def _drains(case: Case, trail: Trail) -> bool:
    """Whether this schedule only sends again what is left: it takes unsent rows, or requests send as well."""
    entry = trail.entry
    if entry is None or case.once(marks_lost, trail) or case.once(_does_the_same, trail):
        return False
    if case.once(asks_one_day, trail):
        return False
    soon = entry.seconds is not None and entry.seconds < SLOW
    if case.once(takes_unsent, trail) and (soon or marks_sent(case, trail)):
        return True
    return soon and any(
        one.entry is not None
        and one.entry.kind in REQUESTED
        and _alike(case, one, trail)
        and not is_counter(one.site.call)
        for one in case.live
    )
