"""Runs that ask for one past day, or hour, by itself: no later run comes back to what failed in it."""

from __future__ import annotations

import re

from tallystick.audit.case.case import Case
from tallystick.audit.program.program import Key
from tallystick.audit.rules.marks import FLAGGED
from tallystick.audit.rules.period_starts import roots
from tallystick.audit.syntax.ir import Call, Expr, Function
from tallystick.audit.syntax.searches import finite
from tallystick.audit.trails.trails import Trail

PAST = re.compile(r"(?i)yesterday|(?:prev(?:ious)?|last)_?(?:day|date|hour)(?![a-z])")
ONE_BACK = finite(  # a name that is given what lies one day, or one hour, back
    rb"\b(\w+)\s*:?=\s*[^\n;=]*?(?:sub(?:Days|Hours)\([^\n;]*?,\s*1\s*\)|subtract\(\s*1\s*,\s*[\"'](?:day|hour)|timedelta\((?:days|hours)=1\)"
    rb"|AddDate\(0,\s*0,\s*-1\)|Add\(-(?:24\s*\*\s*)?time\.Hour\)|->sub(?:Day|Hour)\(\)|\b1\.(?:day|hour)\.ago|minus(?:Days|Hours)\(1\)"
    rb"|-\s*\(?(?:86_?400_?000|3_?600_?000|(?:24\s*\*\s*)?60\s*\*\s*60\s*\*\s*1000)\b)"
)
QUERY = re.compile(
    r"(?i)(?:^|\.)(?:find\w*|filter\w*|where\w*|select\w*|query\w*|aggregate\w*|group_?by|count\w*|sum\w*|eq|exec\w*|scan\w*)$"
)
DAY = re.compile(r"(?i)(?:^|[a-z_])(?:day|date|hour|bucket)(?:_?(?:key|start|utc|bucket|hour))?$")
IN_WORDS = re.compile(r"(?i)\b\w*(?:day|date|hour)\w*(?:\([^)]{0,40}\))?\s*=\s*(?:\$\d|\?|%s|:\w|@\w)")
BEYOND = re.compile(rb"(?i)backfill|catch_?up|look_?back|\b(?:days|hours)_?(?:ago|back)\b|missed")
FURTHER = 2  # names that are made of names
DEEPEST = 4


def asks_one_day(case: Case, trail: Trail) -> bool:
    """Whether a run by the clock takes the usage of one past day, or hour, alone."""
    return any(case.once(_takes_one, key) for key, _ in trail.hops if key[1])


def _takes_one(case: Case, key: Key) -> bool:
    function = case.program.function(key)
    text = case.said(key)
    past = _past(function, text)
    if not past or BEYOND.search(text):
        return False
    asked = [call for call in function.calls if QUERY.search(call.callee)]
    ones = [call for call in asked if _of_one(call, past)]
    lines = case.corpus.lines(key[0])
    marked = [call for call in asked if FLAGGED.search(lines.said(call.line, call.end_line))]
    return bool(ones) and all(any(_meet(one, call) for one in ones) for call in marked)


def _meet(one: Call, other: Call) -> bool:
    """Whether two calls stand in the same lines, as those of one query do."""
    return one.line <= other.end_line and other.line <= one.end_line


def _past(function: Function, text: bytes) -> set[str]:
    """The names of a moment that is one day, or one hour, over."""
    found = {hit[1].decode() for hit in ONE_BACK.finditer(text)}
    found |= {name for name, value in function.assigns if PAST.search(name) or PAST.search(value.text)}
    for _ in range(FURTHER):
        found |= {name for name, value in function.assigns if roots(value) & found}
    return found


def _of_one(call: Call, past: set[str]) -> bool:
    """Whether a query asks that a day be this one: `{ day }`, `day=yesterday`, `eq("day", day)`, `WHERE day = $1`."""
    args = call.args
    for number, value in enumerate(args):
        told = number + 1 < len(args) and bool(roots(args[-1]) & past)
        if value.kind == "const" and told and (DAY.search(value.text) or IN_WORDS.search(value.text)):
            return len(args) < 3 or args[1].text in ("=", "==") or IN_WORDS.search(value.text) is not None
    return any(_under_day(value, past) for value in args)


def _under_day(value: Expr, past: set[str], depth: int = 0) -> bool:
    for name, part in zip(value.keys, value.parts, strict=False):
        plain = part.kind in ("name", "call", "member")
        if plain and DAY.search(name) and roots(part) & past:
            return True
    return depth < DEEPEST and any(_under_day(part, past, depth + 1) for part in value.parts)
