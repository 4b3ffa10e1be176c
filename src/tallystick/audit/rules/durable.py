"""Whether a lost attempt is tried again: the same provider is also reached by a frequent schedule."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tallystick.audit.case.case import SLOW, Case
from tallystick.audit.entries.schedules import DAY
from tallystick.audit.program.program import Key
from tallystick.audit.syntax.ir import Call, Expr
from tallystick.audit.trails.labels import STORED
from tallystick.audit.trails.trails import Trail

UNSENT = re.compile(
    rb"(?i)un(?:sent|reported|billed|synced|processed)|pending|outbox|is\s+null|isnull|cursor|watermark|last_?(?:report|sync|sent)"
    rb"|-\s*(?:\w+(?:\.|->|\[[\"']))*(?:\w+_)?(?:synced|reported|sent|billed)\b"  # the total less what was told already
    rb"|(?:report|sync|sent|bill|process|export|invoic|deliver)\w*[\"'`]?\s*[:=,)]\s*(?:false|null|none|nil|0\b|\{)"
)
FLAGGED = re.compile(  # rows by a mark of their own
    rb"(?i)(?:report|sync|sent|bill|process|export|invoic|deliver|meter)\w*[\"'`]?\s*[:=,]\s*(?:false|null|none|nil|0\b)"
)
CURSOR = re.compile(r"(?i)cursor|watermark|checkpoint|last")
READ = re.compile(rb"\bgetattr\([^()\n]*\)")
REQUESTED = frozenset(["http", "action", "worker"])
MARKING = re.compile(r"\.(?:update(?:Many|One)?|set|patch)$")
SENT = re.compile(r"(?i)^(?:is_?)?(?:reported|sent|synced|processed|billed|delivered|exported)")
MOVING = re.compile(
    r"(?:^|[._])(?i:mark|update|set|advance|save|store|touch|move)\w*?"
    r"(?:_(?:reported|sent|synced|billed|cursor|watermark|checkpoint)|(?:Reported|Sent|Synced|Billed|Cursor|Watermark|Checkpoint))\w*$"
)
LEAVES = re.compile(rb"\b(?:return|break|throw|raise)\b")  # what failed does not get there
SKIPS = re.compile(rb"\b(?:continue|next)\b")


def excused(case: Case, trail: Trail) -> bool:
    """Whether a lost attempt on this way is harmless: drained, put on a queue, or a row beside a direct report."""
    return trail.queued or _beside(case, trail) or drained(case, trail)


def _beside(case: Case, trail: Trail) -> bool:
    """Whether a row is kept beside a direct report, which a failure of the row does not keep from being sent."""
    if not trail.site.stored or trail.entry is None:
        return False
    direct = [
        one
        for one in case.live
        if one.entry is not None and one.entry.key == trail.entry.key and not one.site.stored
    ]
    return bool(direct) and not any(
        (key[0], guard.line) == trail.handler
        for one in direct
        if one.handler != trail.handler  # where that ends both, what becomes of the report counts
        for key, call in one.hops
        for guard in call.handlers
    )


def drained(case: Case, trail: Trail) -> bool:
    """Whether another trail to the same provider runs often by the clock and keeps its own errors."""
    by_clock = trail.entry is not None and trail.entry.kind == "schedule"
    if by_clock and not trail.site.stored and _drains(case, trail):
        return True
    for other in case.live:
        entry = other.entry
        if other is trail or entry is None or entry.kind != "schedule" or (entry.seconds or SLOW) >= SLOW:
            continue
        if other.site.stored != trail.site.stored or other.site.sink.provider != trail.site.sink.provider:
            continue
        apart = other.site.call != trail.site.call if trail.site.stored else _does_the_same(case, other)
        if apart:
            continue
        if not by_clock and not trail.site.stored:
            return True
        if _takes_unsent(case, other) and not _marks_lost(case, other):
            return True
    return False


def _does_the_same(case: Case, trail: Trail) -> bool:
    """Whether a clock only starts the work that requests start as well: it sends its own usage, not what they left."""
    if any(kind == STORED for kind, _ in trail.quantity):
        return False  # it goes over rows
    own = _above_catch(case, trail)
    for other in case.live:
        if other.site.call != trail.site.call or other.entry is None or other.entry.kind not in REQUESTED:
            continue
        shared = own & _above_catch(case, other)
        if shared and not any(_speaks_of_unsent(case, key) for key in shared):
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
    same = [
        (one, one.entry) for one in case.live if one.site.call == trail.site.call and one.entry is not None
    ]
    return any(entry.kind in REQUESTED for _, entry in same) and any(
        entry.kind == "schedule"
        and SLOW <= (entry.seconds or 0) <= DAY
        and _takes_unsent(case, one)
        and not _does_the_same(case, one)
        for one, entry in same
    )


def sent_later(case: Case, trail: Trail) -> bool:
    """Whether a schedule, however slow, reaches the same provider: what a request lost may be among what it sends."""
    if trail.site.stored or trail.entry is None or trail.entry.kind == "schedule":
        return False
    return any(
        one.entry is not None
        and one.entry.kind == "schedule"
        and one.site.sink.provider == trail.site.sink.provider
        and not _does_the_same(case, one)
        for one in case.live
    )


def _drains(case: Case, trail: Trail) -> bool:
    """Whether this schedule only sends again what is left: it takes unsent rows, or requests send as well."""
    entry = trail.entry
    if entry is None or entry.seconds is None or _marks_lost(case, trail) or _does_the_same(case, trail):
        return False
    if _takes_unsent(case, trail):
        return True
    return entry.seconds < SLOW and any(
        one.entry is not None
        and one.entry.kind in REQUESTED
        and one.site.sink.provider == trail.site.sink.provider
        for one in case.live
    )


def _takes_unsent(case: Case, trail: Trail) -> bool:
    """Whether the rows this schedule goes over are those that were not sent yet."""
    return any(_speaks_of_unsent(case, key) for key, _ in trail.hops)


def _speaks_of_unsent(case: Case, key: Key) -> bool:
    return asks_unsent(_text(case, key))


def _texts(case: Case, trail: Trail) -> Iterator[bytes]:
    """The text of each function of a way."""
    yield from (_text(case, key) for key, _ in trail.hops)


def _text(case: Case, key: Key) -> bytes:
    function = case.program.function(key)
    lines = case.corpus.sources[key[0]].split(b"\n")[function.line - 1 : function.end_line]
    return b"\n".join(lines) if key[1] else b""


def asks_unsent(text: bytes) -> bool:
    """Whether code asks for what was not sent yet; `getattr(org, "billing", None)` asks for something else."""
    return UNSENT.search(READ.sub(b"", text)) is not None


def _marks_lost(case: Case, trail: Trail) -> bool:
    """Whether rows are marked, or a cursor moves on, behind the catch: a failed attempt is told as sent."""
    caught, flagged = False, any(FLAGGED.search(one) for one in _texts(case, trail))
    for key, call in trail.hops:
        after = [one for one in case.program.function(key).calls if one.line > call.end_line]
        later = [one for one in after if _marks(one) and not (flagged and CURSOR.search(one.callee))]
        if caught and later:
            return True  # whoever called this was told of no failure
        guard = next((one for one in call.handlers if (key[0], one.line) == trail.handler), None)
        if guard is not None and not caught:
            caught = True
            text = case.corpus.sources[key[0]].split(b"\n")
            if any(guard not in one.handlers and _reached(text, guard.line, one.line) for one in later):
                return True
    return False


def _reached(text: list[bytes], caught: int, line: int) -> bool:
    """Whether code goes on from a catch to a line below it; `continue` leaves only the loop that both stand in."""
    between = b"\n".join(text[caught - 1 : line - 1])
    inside = _indent(text[line - 1]) >= _indent(text[caught - 1])
    return line > caught and LEAVES.search(between) is None and not (inside and SKIPS.search(between))


def _indent(line: bytes) -> int:
    return len(line) - len(line.lstrip())


def _marks(call: Call) -> bool:
    if MOVING.search(call.callee):
        return True
    told = any(SENT.search(key) for one in call.args for key in _keys(one))
    return told and MARKING.search(call.callee) is not None


def _keys(value: Expr, depth: int = 0) -> list[str]:
    inner = [key for part in value.parts for key in _keys(part, depth + 1)] if depth < 3 else []
    return [*value.keys, *inner]
