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
    rb"|-\s*(?:\w+(?:\.|->|\[[\"']))*\w*(?:synced|reported|sent|billed)\b"  # the total less what was told already
    rb"|(?:report|sync|sent|bill|process|export|invoic|deliver)\w*[\"'`]?\s*[:=,)]\s*(?:[\"']===?[\"'],\s*)?(?:false|null|none|nil|0\b|\{)"
)
MONTHLY = re.compile(  # what is left of a month that has ended is never asked for
    rb"(?i)for_month\(|(?:this|current)_?month|(?:beginning|start)_?of_?month|month\s*[:=]\s*(?:Date\.(?:current|today)|now)"
)
TAKEN = re.compile(
    r"(?i)(?:redis|kv|cache|prisma|\bdb|database|store|storage|outbox|queue|collection|repo\w*|[a-z]model|supabase)\S*\."
    r"(?:del|delete\w*|unlink|remove\w*|destroy|[hz]?decr\w*|[hlsz](?:del|rem))$"
)
METERED = re.compile(
    rb"(?i)usage|meter|consum|outbox|ledger|billable|overage|tally|event|count|pending|report"
)
LOWERED = re.compile(r"(?i)(?:h|z)?incr\w*$")
SQL_SENT = re.compile(
    r"(?is)\bupdate\s+\S+\s+set\b.*?\b(?:is_?)?(?:reported|sent|synced|processed|billed|delivered|exported)"
)
GATHERED = re.compile(rb"(\w+)\.(?:push|append|add)\(|(\w+)\s*=\s*append\(")
FLAGGED = re.compile(  # rows by a mark of their own
    rb"(?i)(?:report|sync|sent|bill|process|export|invoic|deliver|meter)\w*[\"'`]?\s*[:=,]\s*(?:false|null|none|nil|0\b)"
)
CURSOR = re.compile(r"(?i)cursor|watermark|checkpoint|last")
READ = re.compile(rb"\bgetattr\([^()\n]*\)")
REQUESTED = frozenset(["http", "action", "worker"])
MARKING = re.compile(r"\.(?:update(?:Many|One)?|set|patch)$")
SENT = re.compile(r"(?i)^(?:is_?)?(?:reported|sent|synced|processed|billed|delivered|exported)")
NOTED = re.compile(r"(?:^|_|[a-z](?=[A-Z]))(?i:reported|sent|synced|processed|billed|delivered|exported)")
MOVING = re.compile(
    r"(?:^|[._])(?i:mark|update|set|advance|save|store|touch|move)\w*?"
    r"(?:_(?:reported|sent|synced|billed|cursor|watermark|checkpoint)|(?:Reported|Sent|Synced|Billed|Cursor|Watermark|Checkpoint))\w*$"
)
LEAVES = re.compile(rb"\b(?:return|break|throw|raise)\b")  # what failed does not get there
NEAR = 3
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
        and not any(MONTHLY.search(text) for text in _texts(case, one))
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
    if _takes_unsent(case, trail) and (entry.seconds < SLOW or _marks_sent(case, trail)):
        return True
    return entry.seconds < SLOW and any(
        one.entry is not None
        and one.entry.kind in REQUESTED
        and one.site.sink.provider == trail.site.sink.provider
        for one in case.live
    )


def _marks_sent(case: Case, trail: Trail) -> bool:
    """Whether a row is marked, or a cursor moves on, below the report: what is not marked is left for the next run."""
    return any(
        _marks(case.corpus.sources[key[0]].split(b"\n"), one) or _notes_sent(one)
        for key, call in trail.hops
        for one in case.program.function(key).calls
        if one.line > call.end_line
    )


def _notes_sent(call: Call) -> bool:
    """Whether a row is written with a field that says it went, `stripe_reported_at`."""
    told = any(NOTED.search(key) for one in call.args for key in _keys(one))
    return told and MARKING.search(call.callee) is not None


def _takes_unsent(case: Case, trail: Trail) -> bool:
    """Whether the rows this schedule goes over are those that were not sent yet."""
    return _removes(case, trail) or any(_speaks_of_unsent(case, key) for key, _ in trail.hops)


def _removes(case: Case, trail: Trail) -> bool:
    """Whether what was reported leaves its store only afterwards: `redis.decrBy(key, count)`, `db.usage.delete`."""
    key, call = trail.site.key, trail.site.call
    text = case.corpus.sources[key[0]].split(b"\n")
    after = [one for one in case.program.function(key).calls if one.line > call.end_line]
    return any(
        _takes(text, one)
        and (len(one.handlers) >= len(call.handlers) or not _reached(text, trail.handler[1], one.line))
        for one in after
    )


def _takes(text: list[bytes], call: Call) -> bool:
    """Whether a call takes usage from a store: `redis.del(key)`, `redis.hIncrBy("usage", customer, -count)`."""
    said = _said(text, call.line, call.end_line)
    lowered = LOWERED.search(call.callee) and re.search(rb",\s*-", said)
    return bool(TAKEN.search(call.callee) or lowered) and METERED.search(said) is not None


def _said(text: list[bytes], first: int, last: int) -> bytes:
    return b"\n".join(text[first - 1 : last])


def _speaks_of_unsent(case: Case, key: Key) -> bool:
    return asks_unsent(_text(case, key))


def _texts(case: Case, trail: Trail) -> Iterator[bytes]:
    """The text of each function of a way."""
    yield from (_text(case, key) for key, _ in trail.hops)


def _text(case: Case, key: Key) -> bytes:
    function = case.program.function(key)
    return case.corpus.text(key[0], function.line, function.end_line) if key[1] else b""


def asks_unsent(text: bytes) -> bool:
    """Whether code asks for what was not sent yet; `getattr(org, "billing", None)` asks for something else."""
    return UNSENT.search(READ.sub(b"", text)) is not None


def _marks_lost(case: Case, trail: Trail) -> bool:
    """Whether rows are marked, or a cursor moves on, before the try or behind the catch: the failed is told as sent."""
    caught, flagged = False, any(FLAGGED.search(one) for one in _texts(case, trail))
    for key, call in trail.hops:
        text = case.corpus.sources[key[0]].split(b"\n")
        after = [one for one in case.program.function(key).calls if one.line > call.end_line]
        later = [one for one in after if _marks(text, one) and not (flagged and CURSOR.search(one.callee))]
        later = [one for one in later if not _of_those_sent(text, call, one)]
        if caught and later:
            return True  # whoever called this was told of no failure
        ends = (*call.handlers, *([call.answered] if call.answered else []))
        guard = next((one for one in ends if (key[0], one.line) == trail.handler), None)
        if guard is not None and not caught:
            caught = True
            if any(guard not in one.handlers and _reached(text, guard.line, one.line) for one in later):
                return True
            before = [
                one for one in case.program.function(key).calls if one.line < call.line and _marks(text, one)
            ]
            if any(guard not in one.handlers and _leads(text, one.line, call.line) for one in before):
                return True
    return False


def _reached(text: list[bytes], caught: int, line: int) -> bool:
    """Whether code goes on from a catch to a line below it; `continue` leaves only the loop that both stand in."""
    between = b"\n".join(text[caught - 1 : line - 1])
    inside = _indent(text[line - 1]) >= _indent(text[caught - 1])
    return line > caught and LEAVES.search(between) is None and not (inside and SKIPS.search(between))


def _leads(text: list[bytes], marked: int, line: int) -> bool:
    """Whether all that comes to a line comes from a mark above it, and not from beside its branch."""
    return _indent(text[marked - 1]) <= _indent(text[line - 1]) and _reached(text, marked, line)


def _indent(line: bytes) -> int:
    return len(line) - len(line.lstrip())


def _of_those_sent(text: list[bytes], call: Call, after: Call) -> bool:
    """Whether only what went through is marked: gathered behind the report, `sent.push(row.id)`."""
    behind = _said(text, call.end_line, call.end_line + NEAR)
    names = [one for hit in GATHERED.findall(behind) for one in hit if one]
    said = _said(text, after.line, after.end_line)
    return any(re.search(rb"\b" + re.escape(one) + rb"\b", said) for one in names)


def _marks(text: list[bytes], call: Call) -> bool:
    """Whether a call marks rows as sent, moves a cursor on, or takes usage away."""
    statement = next((one.text for one in call.args[:1]), "")
    if MOVING.search(call.callee) or SQL_SENT.search(statement) or _takes(text, call):
        return True
    told = any(SENT.search(key) for one in call.args for key in _keys(one))
    return told and MARKING.search(call.callee) is not None


def _keys(value: Expr, depth: int = 0) -> list[str]:
    inner = [key for part in value.parts for key in _keys(part, depth + 1)] if depth < 3 else []
    return [*value.keys, *inner]
