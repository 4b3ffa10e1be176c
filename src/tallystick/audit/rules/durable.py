"""Whether a lost attempt is tried again: the same provider is also reached by a frequent schedule."""

from __future__ import annotations

import re

from tallystick.audit.case.case import SLOW, Case
from tallystick.audit.entries.schedules import DAY
from tallystick.audit.syntax.ir import Expr
from tallystick.audit.trails.trails import Trail

UNSENT = re.compile(
    rb"(?i)un(?:sent|reported|billed|synced|processed)|pending|outbox|is\s+null|isnull|cursor|watermark|last_?(?:report|sync|sent)"
    rb"|-\s*(?:\w+(?:\.|->|\[[\"']))*(?:\w+_)?(?:synced|reported|sent|billed)\b"  # the total less what was told already
    rb"|(?:report|sync|sent|bill|process|export|invoic|deliver)\w*[\"'`]?\s*[:=,)]\s*(?:false|null|none|nil|0\b|\{)"
)
MARKING = re.compile(r"\.(?:update(?:Many|One)?|set|patch)$")
SENT = re.compile(r"(?i)^(?:is_?)?(?:reported|sent|synced|processed|billed|delivered|exported)")


def excused(case: Case, trail: Trail) -> bool:
    """Whether a lost attempt on this way is harmless: drained, put on a queue, or a row beside a direct report."""
    beside = trail.site.stored and trail.entry is not None and trail.entry.key in case.direct
    return trail.queued or beside or drained(case, trail)


def drained(case: Case, trail: Trail) -> bool:
    """Whether another trail to the same provider runs often by the clock and keeps its own errors."""
    if trail.site.stored:
        return False  # the row itself was lost
    if trail.entry is not None and trail.entry.kind == "schedule":
        return _drains(case, trail)
    for other in case.live:
        entry = other.entry
        if entry is None or entry.kind != "schedule" or entry.seconds is None or entry.seconds >= SLOW:
            continue
        if (
            other is not trail
            and not other.site.stored
            and other.site.sink.provider == trail.site.sink.provider
        ):
            return True
    return False


def drained_late(case: Case, trail: Trail) -> bool:
    """Whether a schedule that is slow, but no slower than a day, sends again what this way left unsent."""
    return any(
        one.entry is not None
        and one.entry.kind == "schedule"
        and SLOW <= (one.entry.seconds or 0) <= DAY
        and one.site.call == trail.site.call
        and _takes_unsent(case, one)
        for one in case.live
        if one is not trail
    )


def sent_later(case: Case, trail: Trail) -> bool:
    """Whether a schedule, however slow, reaches the same provider: what a request lost may be among what it sends."""
    if trail.site.stored or trail.entry is None or trail.entry.kind == "schedule":
        return False
    return any(
        one.entry is not None
        and one.entry.kind == "schedule"
        and one.site.sink.provider == trail.site.sink.provider
        for one in case.live
    )


def _drains(case: Case, trail: Trail) -> bool:
    """Whether this schedule only sends again what is left: it takes unsent rows, or requests send as well."""
    entry = trail.entry
    if entry is None or entry.seconds is None or _marks_lost(case, trail):
        return False
    if _takes_unsent(case, trail):
        return True
    return entry.seconds < SLOW and any(
        one.entry is not None
        and one.entry.kind in ("http", "action", "worker")
        and one.site.sink.provider == trail.site.sink.provider
        for one in case.live
    )


def _takes_unsent(case: Case, trail: Trail) -> bool:
    """Whether the rows this schedule goes over are those that were not sent yet."""
    for key, _ in trail.hops:
        function = case.program.function(key)
        lines = case.corpus.sources[key[0]].split(b"\n")[function.line - 1 : function.end_line]
        if key[1] and UNSENT.search(b"\n".join(lines)):
            return True
    return False


def _marks_lost(case: Case, trail: Trail) -> bool:
    """Whether the row is marked as sent after the try, so that a failed attempt is marked as well."""
    call = trail.site.call
    return any(
        after.line > call.end_line
        and len(after.handlers) < len(call.handlers)
        and MARKING.search(after.callee) is not None
        and any(SENT.search(key) for one in after.args for key in _keys(one))
        for after in case.program.function(trail.site.key).calls
    )


def _keys(value: Expr, depth: int = 0) -> list[str]:
    inner = [key for part in value.parts for key in _keys(part, depth + 1)] if depth < 3 else []
    return [*value.keys, *inner]
