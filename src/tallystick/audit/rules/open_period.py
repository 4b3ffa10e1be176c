"""Runs by the clock that look only at the billing period which is still open: its last part is never sent."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tallystick.audit.case.case import Case
from tallystick.audit.corpus.lexical import Lines
from tallystick.audit.model import Place
from tallystick.audit.program.program import Key
from tallystick.audit.rules.marks import FLAGGED, asks_unsent
from tallystick.audit.rules.period_starts import SINCE, is_start, lower_bounds
from tallystick.audit.syntax.ir import Call, Expr, Function
from tallystick.audit.syntax.searches import finite
from tallystick.audit.trails.labels import OURS, Labels
from tallystick.audit.trails.trails import Trail

FROM_START = finite(
    rb"(?i)(?:gte?\b|(?<![-=])>=?|since\b|from\b|after\b|start\w*\s*[:=])[^\n;]{0,60}?(?:current_?period_?start|period_?start"
    rb"|start_?of_?month|month_?start|(?:billing|cycle)_?(?:cycle|period)?_?start)"
    rb"|\bgte?\s*:\s*[^;{}]{0,80}?current_?period_?start"
    rb"|>=\s*date_trunc\(\s*'month'\s*,\s*(?:now\(\)|current_\w+)\s*\)(?!\s*-)"
    rb"|(?:__gte?\s*=|>=)\s*[^\n;]{0,60}?(?:\.year,\s*[\w.]+\.month,\s*1\b|replace\(\s*day\s*=\s*1\b)"
)
START = re.compile(
    r"(?i)period_?(?:start|bounds)|current_?(?:billing_?)?period|(?:month|cycle)_?start|start_?of_?month"
)
FIRST = finite(  # the first day of the month that runs
    rb"(\w+)\.set(?:UTC)?Date\(\s*1\s*\)|(\w+)\s*=\s*new Date\([^;\n]*?get(?:UTC)?Month\(\)\s*,\s*1\s*[,)]"
)
COUNTED = re.compile(rb"(?i)\bcount\b|\bhead\s*:\s*true|aggregate|\bsum\b")
MONTH = re.compile(  # the name of the month that runs
    rb"(\w+)\s*=\s*(?:(?:\w+\.)*(?:get_?)?(?:current|this)_?(?:year_?)?month\w*\(\s*\)|(?:\w+\.)*(?:get_?)?month_?key\(\s*\)"
    rb"|new Date\(\)\.toISOString\(\)\.(?:slice|substring|substr)\(0,\s*7\)"
    rb"|[\w.]*now\([\w.]*\)\.strftime\([\"']%Y-?%m[\"']\)|(?:dayjs|moment)(?:\.utc)?\(\)\.format\([\"']YYYY-?MM[\"']\)"
    rb"|format\(new Date\(\),\s*[\"']yyyy-?MM[\"']\))",
    re.IGNORECASE,
)
OF_MONTH = (
    rb"(?i:\bdoc|\beq|where|filter|\bm?get|find\w*|select|query)\w*\s*\([^;\n]{0,100}?(?:\{%s\}|\b%s\b)"
)
BEFORE = re.compile(rb"(?i)prev(?!ent|iew)|last_?month|earlier|sub(?:tract)?_?months?|\bmonths\b")
EARLIER = rb"\b%s\.set(?:UTC)?Month\("
LESS = re.compile(  # of a running total, what was not sent of it yet: `used - state.reported`
    rb"(?<![-\w])-\s*(?:\w+\()?(?:\w+(?:\??\.|->|\[[\"']))*\w*(?i:reported|synced|(?<!ab)sent|billed|pushed|charged)"
    rb"(?!\w*(?:At|_at|On|Date|_date|Time|_time)\b)\w*"
)
BACK = re.compile(  # before the month that runs
    rb"(?i)prev(?:ious)?_?(?:month|period|cycle|billing)|last_?(?:month|period)|sub(?:tract)?_?(?:months?|days?|hours?|minutes?)\b"
    rb"|minus_?(?:months|days|hours)|\.subtract\("
)
LINE = 80
ROW_READ = re.compile(r"(?i)(?:^|\.|_)(?:find\w*|select|get\w*|first|single|query\w*|where|eq)$")
OF_PERIOD = re.compile(  # `{ org, periodStart: sub.currentPeriodStart }`, `period_key=period.key`
    rb"(?i)\b\w*period\w*[\"']?\s*(?:==?|:|,)\s*(\w[\w.]*)"
)
NOW = re.compile(rb"(?i)^current_?(?:billing_?|usage_?)?period")
PERIOD = re.compile(
    r"(?i)current_?(?:billing_?|usage_?)?period|(?:billing|usage)_?period_?(?:from|for|of)\w*|get_?(?:billing|usage)_?period"
)
OF_IT_SENT = re.compile(  # what the row of a period says was sent of it
    rb"[\w\])]\??\.(?:last_?)?(?:already_?)?(?:reported|charged|billed|synced|invoiced)(?!\w*(?:At|_at|On|Date|_date|Time|_time|By)\b)"
    rb"(?=[A-Z_])\w*\b(?!\s*\()"
)
LEFT = re.compile(  # rows of any period, each with a mark of its own
    rb"(?i)\b(?:is_?)?(?:reported|sent|synced|billed|charged|invoiced)(?:_?at|_?on)?[\"'`]?\s*[:=,]\s*(?:false|null|none|nil)"
)
DEEPEST = 4
LONGEST = 20  # lines of a query


def open_period(case: Case, trail: Trail) -> Place | None:
    """Where this run takes rows of the open period alone, unless something else sends without that question."""
    row = _row_of_period(case, trail)
    if row is not None:
        same = (one for one in case.alike(trail) if one.entry is not None and one.entry.kind != "schedule")
        return None if any(_row_of_period(case, one) is None for one in same) else row
    looked_at = _looked_at(case, trail)
    total = _running_total(case, [key for _, key in looked_at])
    for step, key in looked_at:
        function = case.program.function(key)
        lines = case.corpus.lines(key[0])
        text = lines.said(function.line, function.end_line)
        found, months = (_lines(function, text, one) for one in (_bounds(function, text), _of_month(text)))
        found = sorted({*found, *lower_bounds(function)})
        if asks_unsent(text):
            found = [line for line in found if _unsent_there(function, lines, line)]
            if not found and not months and not total:
                return None
        found = [one for one in found if total or not _only_compared(function, lines, one, trail.quantity)]
        found = found or months
        if found and key[1]:
            return None if passed_by(case, trail, step) else case.place(key, found[0])
    return None


def _looked_at(case: Case, trail: Trail) -> list[tuple[Key, Key]]:
    """The functions of a way, and then those of the same files that they call, each with its step of the way."""
    steps = [key for key, _ in trail.hops]
    beside = {
        to: step
        for step in reversed(steps)
        for to, _ in case.program.callees.get(step, ())
        if to[0] == step[0] and to[1] and to not in steps
    }
    return [*((step, step) for step in steps), *((step, to) for to, step in beside.items())]


def _running_total(case: Case, keys: list[Key]) -> bool:
    """Whether what is sent is the total of a period less what was sent of it: a new period starts from nothing."""
    inside = [key for key in keys if key[1]]
    return any(case.once(_lessens, key) for key in inside) and not any(
        case.once(_looks_back, key) for key in inside
    )


def _lessens(case: Case, key: Key) -> bool:
    return LESS.search(case.said(key)) is not None


def _looks_back(case: Case, key: Key) -> bool:
    """Whether a function speaks of an earlier period."""
    return BEFORE.search(case.said(key)) is not None


def _has_marked_row(case: Case, key: Key) -> bool:
    """Whether a function reads what the row of a period says was sent of it, and no rows with marks of their own."""
    text = case.said(key)
    return bool(key[1]) and OF_IT_SENT.search(text) is not None and LEFT.search(text) is None


def passed_by(case: Case, trail: Trail, asking: Key) -> bool:
    """Whether requests or workers send the same on a way that does not come through here."""
    return any(
        one.site.call is trail.site.call
        and one.entry is not None
        and one.entry.kind != "schedule"
        and asking not in {key for key, _ in one.hops}
        for one in case.live
    )


def _bounds(function: Function, text: bytes) -> Iterator[int]:
    """Where the start of the period is a lower bound, by itself or by a name: `created_at__gte=start`."""
    given = {name.encode() for name, value in function.assigns if START.search(" ".join(_words(value)))}
    given |= {name.encode() for name, value in function.assigns if is_start(value, function)}
    firsts = {hit[1] or hit[2] for hit in FIRST.finditer(text)}
    given |= {name for name in firsts if not re.search(EARLIER % re.escape(name), text)}
    yield from (hit.start() for hit in FROM_START.finditer(text) if not _of_before(text, hit))
    yield from (hit.start() for hit in SINCE.finditer(text) if given & set(hit.groups()))


def _of_before(text: bytes, hit: re.Match[bytes]) -> bool:
    """Whether the line of a bound goes a month, or some hours, back: `gte: startOfMonth(subMonths(now, 1))`."""
    rest = text[hit.start() : hit.end() + LINE].split(b"\n")[0]
    return BACK.search(rest) is not None


def _of_month(text: bytes) -> Iterator[int]:
    """Where only the row of this month is read, `usage/${month}`; one with a mark of its own is found later."""
    if BEFORE.search(text) or FLAGGED.search(text):
        return
    for name in sorted({re.escape(hit[1]) for hit in MONTH.finditer(text)}):
        yield from (hit.start() for hit in re.finditer(OF_MONTH % (name, name), text))


def _row_of_period(case: Case, trail: Trail) -> Place | None:
    """Where only the row of the period that runs is read, which also says how much of it was sent."""
    for key, _ in trail.hops:
        if not case.once(_has_marked_row, key) or case.once(_looks_back, key):
            continue
        function = case.program.function(key)
        lines = case.corpus.lines(key[0])
        given = {name.encode() for name, value in function.assigns if PERIOD.search(" ".join(_words(value)))}
        for one in function.calls:
            if ROW_READ.search(one.callee) and one.end_line < one.line + LONGEST:
                told = {word for hit in OF_PERIOD.finditer(_text(lines, one)) for word in hit[1].split(b".")}
                if told & given or any(map(NOW.search, told)):
                    return case.place(key, one.line)
    return None


def _lines(function: Function, text: bytes, places: Iterator[int]) -> list[int]:
    return sorted({function.line + text.count(b"\n", 0, one) for one in places})


def _words(value: Expr, depth: int = 0) -> list[str]:
    inner = [word for part in value.parts for word in _words(part, depth + 1)] if depth < DEEPEST else []
    return [value.text, *inner]


def _unsent_there(function: Function, lines: Lines, line: int) -> bool:
    """Whether the query on this line asks for what is unsent and of the open period, both at once."""
    return any(FLAGGED.search(_text(lines, one)) for one in _around(function, line)[:1])


def _only_compared(function: Function, lines: Lines, line: int, sent: Labels) -> bool:
    """Whether the query on this line counts what is included, and what is sent beyond that comes from elsewhere."""
    around = _around(function, line)
    if not any(COUNTED.search(_text(lines, one)) for one in around):
        return False
    known = all(kind in OURS for kind, _ in sent)
    return known and not any(text.startswith(one.callee) for _, text in sent for one in around)


def _around(function: Function, line: int) -> list[Call]:
    """The calls around a line, the innermost first."""
    found = [one for one in function.calls if one.line <= line <= one.end_line < one.line + LONGEST]
    return sorted(found, key=lambda one: one.end_line - one.line)


def _text(lines: Lines, call: Call) -> bytes:
    return lines.said(call.line, call.end_line)
