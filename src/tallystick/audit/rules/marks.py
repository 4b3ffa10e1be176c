"""What a program writes down of what it has sent: rows marked, cursors moved on, usage taken from its store."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tallystick.audit.case.case import Case
from tallystick.audit.case.reaching import spoken
from tallystick.audit.corpus.lexical import Lines
from tallystick.audit.program.program import Key
from tallystick.audit.syntax.ir import Call, Expr
from tallystick.audit.syntax.patterns import LOGGING
from tallystick.audit.syntax.searches import finite
from tallystick.audit.trails.trails import Trail

UNSENT = finite(
    rb"(?i)un(?:sent|reported|billed|synced|processed)|pending|outbox|is\s+null|isnull|where_?null|is_\(\s*none|cursor|watermark|last_?(?:report|sync|sent)"
    rb"|-\s*(?:\w+\()?(?:\w+(?:\.|->|\[[\"']))*\w*(?:synced|reported|(?<!ab)sent|billed|pushed)(?:(?-i:[A-Z_])\w*)?\b"
    rb"|(?:report|sync|sent|bill|process|export|invoic|deliver|flush|push|meter|ingest|dispatch|submit)\w*[\"'`]?\s*[:=,)]\s*(?:[\"']===?[\"'],\s*)?(?:false|null|none|nil|0\b)"
    rb"|(?:report|sync|sent|bill|process|export|invoic|deliver|flush|push|meter|ingest|dispatch|submit)\w*[\"'`]?\s*:\s*\{"
)
TAKEN = finite(
    r"(?i)(?:redis|kv|cache|prisma|\bdb|database|store|storage|outbox|queue|collection|repo\w*|[a-z]model|supabase)\S*\."
    r"(?:del|delete\w*|unlink|remove\w*|destroy|[hz]?decr\w*|[hlsz](?:del|rem))$"
)
METERED = re.compile(
    rb"(?i)usage|meter|consum|outbox|ledger|billable|overage|tally|event|count|pending|report"
)
AT_THE_END = frozenset(["workers", "sqs"])  # where what a handler leaves is acknowledged for it
LOWERED = finite(r"(?i)(?:h|z)?incr\w*$")
BY_SO_MUCH = finite(
    r"(?i)(?:redis|kv|cache|store)\S*\.[hz]?decr_?by\w*$"
)  # a number that was read, not a lock
ACKED = finite(  # what a queue or a stream hands out again until then
    r"(?i)(?:^|\.)(?:x_?|basic_?)?ack(?:nowledge)?$|(?:^|\.)delete_?message(?:_?batch)?(?:command)?$"
)
SQL_SENT = finite(
    r"(?is)\bupdate\s+\S+\s+set\b.*?\b(?:is_?)?(?:reported|sent|synced|processed|billed|delivered|exported|flushed|pushed|invoiced|metered|ingested|dispatched|submitted)"
)
KEYED = finite(r"(?:^|\.)(?:updateItem|update_item|UpdateItemCommand|UpdateCommand)$")
KEYED_SENT = finite(  # of DynamoDB: `UpdateExpression: "set failed = :f remove pending"`
    rb"(?i)update_?expression\W{1,9}[^\n]*\b(?:remove\s[^\n]*(?:pending|unsent|unreported|queued)"
    rb"|set\s[^\n]*(?:reported|sent|synced|processed|billed|metered|submitted))"
)
GATHERED = finite(rb"(\w+)\.(?:push|append|add)\(|(\w+)\s*=\s*append\(")
FLAGGED = finite(  # rows by a mark of their own
    rb"(?i)(?:report|sync|sent|bill|process|export|invoic|deliver|meter|flush|push|ingest|dispatch|submit)\w*[\"'`]?\s*[:=,]\s*(?:false|null|none|nil|0\b)"
    rb"|(?:where_?|is_?)null\(\s*[\"'`]?(?:\w+\.)?\w*?(?:report|sync|sent|bill|process|export|invoic|deliver|flush|push|ingest|submit)"
    rb"|(?:report|sync|sent|bill|process|export|invoic|deliver|flush|push|ingest|submit)\w*(?:\s+is\s+null|\.is_?\(\s*none|__isnull\s*=\s*true)"
)
CURSOR = re.compile(r"(?i)cursor|watermark|checkpoint|last")
STARTED = re.compile(rb"\b(\w+)\s*:?=\s*0\b")
NOTHING_YET = re.compile(  # a result, and no question: `return { billedUsd: 0 }`
    rb"(?i)\w*(?:usd|cents?|amount|cost|count|total|tokens|credits|units|seconds|minutes)[\"']?\s*:\s*0\b"
)
DECLARED = re.compile(rb"\b(?:let|var|int|long)\s+(\w+)\s*=\s*0\b")  # no query of a database begins so
READ = re.compile(rb"\bgetattr\([^()\n]*\)")
MARKING = re.compile(r"\.(?:update(?:_?(?:[mM]any|[oO]ne))?|set|patch)$")
SENT = re.compile(
    r"(?:^|_|[a-z](?=[A-Z]))(?i:reported|sent|synced|processed|billed|delivered|exported|flushed|pushed|invoiced|metered|ingested|dispatched|submitted)"
)
DONE = finite(
    rb"(?i)\b(?:status|state)[\"']?\s*[:=]\s*(?:[\w.]+\.)?[\"']?(?:done|completed?|finished|succe(?:ss|eded)|published|closed)\b"
)
MOVING = finite(
    r"(?:^|[._])(?i:mark|update|set|advance|save|store|touch|move)\w*?"
    r"(?:_(?:reported|sent|synced|billed|cursor|watermark|checkpoint)|(?:Reported|Sent|Synced|Billed|Cursor|Watermark|Checkpoint))\w*$"
)
LEAVES = re.compile(rb"\b(?:return|break|throw|raise)\b")  # what failed does not get there
CHECKED = re.compile(rb"\s*(?:\}?\s*else\s+)?if\b")  # what only some leave by
NEAR = 3
ABOVE = 15  # lines in which an update is put together before it is sent
NOTES = re.compile(r"(?:^|\.)(?i:create|insert(?:_?one)?|add|save|sadd|set_?nx)$")
ASKING = re.compile(r"(?i)(?:is|was|has|already|find|get|exists?|check|seen)|\w*(?:ed|sent)$")
KINDS = re.compile(r"(?i)(?:type|kind|status|state|action)$")
HELPERS = frozenset(
    ["c", "client", "conn", "ctx", "db", "env", "prisma", "self", "session", "store", "this", "tx"]
)
WHOLE = re.compile(rb"(?i)transaction|\batomic\b|\brollback|\.begin\w*\(")  # what fails takes its mark along
UNDOES = re.compile(rb"(?i)delete|\bdel\b|\brem\b|remove|release|unlock|revert|unmark|reset|update|\bset\(")
SKIPS = re.compile(rb"\b(?:continue|next)\b")


def marks_sent(case: Case, trail: Trail) -> bool:
    """Whether a row is marked, or a cursor moves on, below the report: what is not marked is left for the next run."""
    return any(
        _marks(case.corpus.lines(key[0]), one)
        for key, call in trail.hops
        for one in _calls(case, key)
        if one.line > call.end_line
    )


def _calls(case: Case, key: Key) -> Iterator[Call]:
    """The calls of a function, and of those that stand in it: `rows.map(async (row) => mark(row))`."""
    for one in (key, *case.program.contents.below(key)):
        yield from case.program.function(one).calls


def takes_unsent(case: Case, trail: Trail) -> bool:
    """Whether the rows this schedule goes over are those that were not sent yet."""
    return _removes(case, trail) or any(case.once(speaks_of_unsent, key) for key, _ in trail.hops)


def _removes(case: Case, trail: Trail) -> bool:
    """Whether what was reported leaves its store only afterwards: `redis.decrBy(key, count)`, `db.usage.delete`."""
    key, call = trail.site.key, trail.site.call
    text = case.corpus.lines(key[0])
    after = [one for one in case.program.function(key).calls if one.line > call.end_line]
    return any(
        _takes(text, one)
        and (len(one.handlers) >= len(call.handlers) or not _reached(text, trail.handler[1], one.line))
        for one in after
    )


def _takes(text: Lines, call: Call) -> bool:
    """Whether a call takes usage from a store: `redis.del(key)`, `redis.hIncrBy("usage", customer, -count)`."""
    if BY_SO_MUCH.search(call.callee):
        return True
    said = text.said(call.line, call.end_line)
    lowered = LOWERED.search(call.callee) and re.search(rb",\s*-", said)
    return bool(TAKEN.search(call.callee) or lowered) and METERED.search(said) is not None


def acknowledged(case: Case, trail: Trail) -> bool:
    """Whether a message is acknowledged only once its usage is told: one that failed is handed out again."""
    if trail.entry is None or trail.entry.framework in AT_THE_END:
        return False
    for key, call in (*trail.hops, *_running(case, trail)):
        guard = next((one for one in call.handlers if (key[0], one.line) == trail.handler), None)
        if guard is not None:
            text = case.corpus.lines(key[0])
            after = [one for one in case.program.function(key).calls if one.line > call.end_line]
            acks = [one for one in after if _acks(one)]
            lost = [one for one in acks if guard not in one.handlers and _reached(text, guard.line, one.line)]
            return bool(acks) and not lost and all(guard in one.handlers for one in acks)
    return False


def _acks(call: Call) -> bool:
    """Whether a call takes a message off its queue, itself or in a thread: `to_thread(sqs.delete_message, …)`."""
    return ACKED.search(call.callee) is not None or any(
        one.kind == "name" and ACKED.search(one.text) for one in call.args
    )


def _running(case: Case, trail: Trail) -> Iterator[tuple[Key, Call]]:
    """The calls, below the catch that ends an error, of what a function was given to run: `await handle(message)`."""
    path, line = trail.handler
    for index, function in enumerate(case.program.modules[path].functions if path else ()):
        given = {one.name for one in function.bindings if not one.path}
        for call in function.calls:
            if call.callee in given and any(one.line == line for one in call.handlers):
                yield (path, index), call


def speaks_of_unsent(case: Case, key: Key) -> bool:
    """Whether a function asks for what was not sent yet."""
    return asks_unsent(_text(case, key))


def texts(case: Case, trail: Trail) -> Iterator[bytes]:
    """The text of each function of a way."""
    yield from (_text(case, key) for key, _ in trail.hops)


def _text(case: Case, key: Key) -> bytes:
    function = case.program.function(key)
    return case.corpus.text(key[0], function.line, function.end_line) if key[1] else b""


def asks_unsent(text: bytes) -> bool:
    """Whether code asks for what was not sent yet; `getattr(org, "billing", None)`, or a log, says something else."""
    text = NOTHING_YET.sub(b"", LOGGING.sub(b"", text))
    counted = {name for name in STARTED.findall(text) if re.search(rb"\b" + name + rb"\s*(?:\+\+|\+=)", text)}
    counted |= set(DECLARED.findall(text))
    text = STARTED.sub(lambda hit: b"" if hit[1] in counted else hit[0], READ.sub(b"", text))
    return UNSENT.search(text) is not None  # `let reported = 0` only counts how many were


def marks_lost(case: Case, trail: Trail) -> bool:
    """Whether rows are marked, or a cursor moves on, before the try or behind the catch: the failed is told as sent."""
    caught, flagged = False, any(FLAGGED.search(one) for one in texts(case, trail))
    if _kept_behind(case, trail):
        return True
    for key, call in trail.hops:
        text = case.corpus.lines(key[0])
        after = [one for one in _calls(case, key) if one.line > call.end_line]
        later = [one for one in after if _closes(text, one) and not (flagged and CURSOR.search(one.callee))]
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
                one for one in case.program.function(key).calls if one.line < call.line and _closes(text, one)
            ]
            before = [one for one in before if not asks_unsent(text.said(one.end_line + 1, call.line - 1))]
            if any(guard not in one.handlers and _leads(text, one.line, call.line) for one in before):
                return True
    return False


def _kept_behind(case: Case, trail: Trail) -> bool:
    """Whether a step below the one that ends an error writes before the report that all is done, and leaves that so."""
    for key, call in trail.hops:
        text = case.corpus.lines(key[0])
        if any((key[0], one.line) == trail.handler for one in call.handlers) or WHOLE.search(
            _text(case, key)
        ):
            return False
        if any(UNDOES.search(text.said(one.line, one.line + NEAR)) for one in call.handlers):
            return False
        before = [one for one in case.program.function(key).calls if one.line < call.line]
        marks = [one for one in before if _closes(text, one) or _notes(case, trail, key, one)]
        marks = [one for one in marks if _of_the_same(case, key, call, one)]
        marks = [one for one in marks if not asks_unsent(text.said(one.end_line + 1, call.line - 1))]
        if any(_leads(text, one.line, call.line) for one in marks):
            return True
    return False


def _of_the_same(case: Case, key: Key, report: Call, mark: Call) -> bool:
    """Whether a mark speaks of what its function was given to report, or of what it reports."""
    function = case.program.function(key)
    given = dict(function.assigns)
    known = {one.name for one in function.bindings if not one.path} | set(map(_head, spoken(report.args)))
    values = [given.get(one.text, one) if one.kind == "name" else one for one in mark.args]
    return bool({_head(one) for one in spoken(tuple(values))} & known - HELPERS)


def _head(name: str) -> str:
    return name.partition(".")[0]


def _notes(case: Case, trail: Trail, key: Key, call: Call) -> bool:
    """Whether a row says of work that it is done, and the way asks for such rows: `if !fileProcessed(name)`."""
    if not NOTES.search(call.callee):
        return False
    given = dict(case.program.function(key).assigns)
    rows = [given.get(one.text, one) if one.kind == "name" else one for one in call.args]
    pairs = (pair for one in rows for pair in zip(one.keys, one.parts, strict=False))
    told = any(KINDS.search(name) and SENT.search(part.text) for name, part in pairs)
    told = told or SENT.search(call.callee.rpartition(".")[0]) is not None
    asked = (
        one.callee.rpartition(".")[2] for key, _ in trail.hops for one in case.program.function(key).calls
    )
    return told and any(ASKING.match(one) and SENT.search(one) for one in asked)


def _reached(text: Lines, caught: int, line: int) -> bool:
    """Whether code goes on from a catch to a line below it; `continue` leaves only the loop that both stand in."""
    if not caught:
        return True
    between = text.said(caught, line - 1)
    inside = _indent(text.said(line, line)) >= _indent(text.said(caught, caught))
    return line > caught and LEAVES.search(between) is None and not (inside and SKIPS.search(between))


def _leads(text: Lines, marked: int, line: int) -> bool:
    """Whether all that comes to a line comes from a mark above it, and not from beside its branch."""
    level = _indent(text.said(marked, marked))
    between = text.said(marked, line - 1).split(b"\n")
    own = [one for one in between if _indent(one) <= level and not CHECKED.match(one)]
    left = any(LEAVES.search(one) or SKIPS.search(one) for one in own)
    return level <= _indent(text.said(line, line)) and not left


def _indent(line: bytes) -> int:
    return len(line) - len(line.lstrip())


def _of_those_sent(text: Lines, call: Call, after: Call) -> bool:
    """Whether only what went through is marked: gathered behind the report, `sent.push(row.id)`."""
    behind = text.said(call.end_line, call.end_line + NEAR)
    names = [one for hit in GATHERED.findall(behind) for one in hit if one]
    said = text.said(after.line, after.end_line)
    return any(re.search(rb"\b" + re.escape(one) + rb"\b", said) for one in names)


def _marks(text: Lines, call: Call) -> bool:
    """Whether a call marks rows as sent, moves a cursor on, or takes usage away."""
    statement = next((one.text for one in call.args[:1]), "")
    if MOVING.search(call.callee) or SQL_SENT.search(statement) or _takes(text, call):
        return True
    if KEYED.search(call.callee) or any(KEYED.search(one.text) for one in call.args if one.kind == "call"):
        return KEYED_SENT.search(text.said(max(1, call.line - ABOVE), call.end_line)) is not None
    told = any(SENT.search(key) for one in call.args for key in _keys(one))
    return told and MARKING.search(call.callee) is not None


def _closes(text: Lines, call: Call) -> bool:
    """Whether a call marks rows as sent, or as done: what looks for open work does not come back to them."""
    if _marks(text, call):
        return True
    return (
        MARKING.search(call.callee) is not None
        and DONE.search(text.said(call.line, call.end_line)) is not None
    )


def _keys(value: Expr, depth: int = 0) -> list[str]:
    inner = [key for part in value.parts for key in _keys(part, depth + 1)] if depth < 3 else []
    return [*value.keys, *inner]
