"""Runs by the clock that hand the start of the open period on to what reads usage: its last part is never sent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from tallystick.audit.case.case import Case
from tallystick.audit.model import Place
from tallystick.audit.program.program import Key
from tallystick.audit.rules.marks import METERED, asks_unsent
from tallystick.audit.rules.open_period import OF_PERIOD, open_period, passed_by
from tallystick.audit.rules.period_starts import SINCE, asks_from, is_start, roots
from tallystick.audit.syntax.ir import Call, Expr
from tallystick.audit.syntax.patterns import LOGGING
from tallystick.audit.syntax.searches import finite
from tallystick.audit.trails.trails import Trail

EARLIER = re.compile(  # a run that also looks at what is over
    rb"(?i)prev(?!ent|iew)|last_?(?:month|period|hour|run)|earlier|sub(?:tract)?_?months?|minus_?months|AddDate\(\s*0\s*,\s*-"
    rb"|get(?:UTC)?Month\(\)\s*-\s*1|months\s*=\s*1|\bmonths?\.ago|\.Day\(\)\s*[<=]|get(?:UTC)?Date\(\)\s*[<=]|\.day\s*[<=]=?\s*\d"
)
FROM = re.compile(r"(?i)start|since|from|begin|after|lower|month|period")
COUNTS = re.compile(r"(?i)usage|sum|total|aggregat|count|meter|consum|requests|events|tokens|minutes|bytes")
WRITES = finite(
    rb"(?i)\b(?:insert|create|upsert|save|add|put|store|record|write|enqueue|bulk_?create|update_?or_?create)\w*!?\s*\("
    rb"|insert\s+into"
)
VERB = re.compile(
    r"^(?:bulk|insert|create|upsert|save|add|put|store|record(?=\w*usage|\w*meter)|write|enqueue|into)+"
)
NOUN = re.compile(rb"[A-Za-z_]{6,80}")
SHORTEST = 7
DEEPEST = 3


def unclosed_period(case: Case, trail: Trail) -> Place | None:
    """Where this run looks at the open period alone, by a query of its own or by what it hands on."""
    return open_period(case, trail) or _handed_period(case, trail)


def _handed_period(case: Case, trail: Trail) -> Place | None:
    for key, way in trail.hops:
        function = case.program.function(key)
        if not key[1] or case.once(_looks_back, key):
            continue
        for call in function.calls:
            places = [number for number, one in enumerate(call.args) if _opens(one, case, key)]
            if places and _matters(case, trail, key, call, way) and not passed_by(case, trail, key):
                return case.place(key, call.line)
    return None


def _opens(value: Expr, case: Case, key: Key) -> bool:
    """Whether an argument, or a field of one, is the start of the period that runs."""
    function = case.program.function(key)
    return any(is_start(one, function) for one in (value.parts if value.kind == "object" else (value,)))


def _looks_back(case: Case, key: Key) -> bool:
    """Whether a function speaks of what is over as well."""
    return EARLIER.search(LOGGING.sub(b"", case.said(key))) is not None


def _matters(case: Case, trail: Trail, key: Key, call: Call, way: Call) -> bool:
    """Whether what is read from there on is what is sent: by this call, in its answer, or by the rows it makes."""
    told = _told(case, key, call, way)
    called = [to for to, one in case.program.callees.get(key, ()) if one is call]
    if not called:
        return told and COUNTS.search(call.callee) is not None
    for to in called:
        way_on = _way_to_bound(case, to, _bound(case, key, call, to))
        if not way_on:
            continue
        if told or call is way:
            return not asks_unsent(case.said(way_on[-1]))
        if _makes_rows(case, trail, way_on):
            return True
    return False


def _told(case: Case, key: Key, call: Call, way: Call) -> bool:
    """Whether what a call answers is handed on to the report, under whatever names."""
    function = case.program.function(key)
    meant = {call.callee}
    for _ in range(DEEPEST):
        meant |= {name for name, value in function.assigns if meant & roots(value)}
    return any(meant & roots(one) for one in way.args)


def _bound(case: Case, key: Key, call: Call, to: Key) -> set[str]:
    """The names that the start of the period has in what is called."""
    function = case.program.function(key)
    found: set[str] = set()
    for number, value in enumerate(call.args):
        if value.kind == "object":
            found |= {
                name for name, one in zip(value.keys, value.parts, strict=False) if is_start(one, function)
            }
        elif is_start(value, function):
            found |= {one.name for one in case.program.function(to).bindings if one.index == number}
    return found


def _way_to_bound(case: Case, key: Key, names: set[str], depth: int = 0) -> list[Key]:
    """The functions from here to the one that reads usage from this moment on."""
    if not names or depth > DEEPEST or case.once(_looks_back, key):
        return []
    text = case.said(key)
    asked = (hit for one in (SINCE, OF_PERIOD) for hit in one.finditer(text))
    if any(name and name.decode() in names for hit in asked for name in hit.groups()):
        return [key]
    called = case.program.callees.get(key, ())
    for call in case.program.function(key).calls:
        given = {one.text for one in _values(call) if one.kind == "name" and one.text in names}
        if not given:
            continue
        if asks_from(call, partial(_is_one_of, given)):
            return [key]
        targets = [to for to, one in called if one is call]
        for to in targets:
            further = _way_to_bound(case, to, _passed(case, call, to, given), depth + 1)
            if further:
                return [key, *further]
        if not targets and _reads_usage(call) and any(map(FROM.search, given)):
            return [key]
    return []


def _reads_usage(call: Call) -> bool:
    """Whether a call that leads out of what is known reads usage by its name, and makes no row of it."""
    last = call.callee.rpartition(".")[2]
    made = call.callee == last and last[:1].isupper()
    return COUNTS.search(last) is not None and not made and not VERB.match(last.lower())


def _is_one_of(names: set[str], value: Expr) -> bool:
    return value.text in names


def _values(call: Call) -> Iterator[Expr]:
    for one in call.args:
        yield from (one, *one.parts)


def _passed(case: Case, call: Call, to: Key, given: set[str]) -> set[str]:
    bindings = case.program.function(to).bindings
    found = {
        one.name for one in bindings if one.index < len(call.args) and call.args[one.index].text in given
    }
    for value in call.args:
        found |= {key for key, one in zip(value.keys, value.parts, strict=False) if one.text in given}
    return found


def _makes_rows(case: Case, trail: Trail, way_on: list[Key]) -> bool:
    """Whether what is read there is written into rows that this way sends."""
    below = b"".join(case.said(key) for key, _ in trail.hops[:-1] or trail.hops)
    sent = _plain(below)
    return any(
        VERB.sub("", noun) in sent
        for key in way_on
        for line in case.said(key).split(b"\n")
        if WRITES.search(line)
        for noun in _nouns(line)
        if len(VERB.sub("", noun)) >= SHORTEST
    )


def _nouns(line: bytes) -> Iterator[str]:
    for hit in NOUN.finditer(line):
        if METERED.search(hit[0]):
            yield _plain(hit[0])


def _plain(text: bytes) -> str:
    return text.decode("utf-8", "replace").replace("_", "").lower()
