"""Usage that is billed when its invoice is announced, days before the period ends."""

from __future__ import annotations

import re

from tallystick.audit.case.case import Case
from tallystick.audit.model import Place
from tallystick.audit.program.program import Key
from tallystick.audit.syntax.ir import Call
from tallystick.audit.trails.trails import Trail

EVENT = re.compile(rb"[\"'`]((?:invoice|customer|checkout|charge|payment_intent|billing)\.[\w.]+)[\"'`]")
UPCOMING = [b"invoice.upcoming"]
ASKED = re.compile(rb"\b(?:case|when|if|elif|unless)\b")
OTHERWISE = re.compile(rb"!==?|\bunless\b")  # whatever else came has left by then
FALLS = re.compile(rb"^\s*case\s+[\"'`][\w.]+[\"'`]\s*:\s*$")  # another event goes the same way
TABLE = rb"[\"'`]invoice\.upcoming[\"'`]\s*(?::|=>)\s*(?:\w+(?:\.|->))*:?%s\b"


def announced(case: Case, trail: Trail) -> Place | None:
    """Where a way turns off for `invoice.upcoming`, unless the same call is made on another way as well."""
    place = None if trail.site.stored else _turning(case, trail)
    same = (one for one in case.live if one.site.call is trail.site.call)
    return place if place and all(_turning(case, one) for one in same) else None


def _turning(case: Case, trail: Trail) -> Place | None:
    for key, call in trail.hops:
        again = (
            [one for one in case.program.function(key).calls if one.callee == call.callee] if key[1] else []
        )
        line = min((_branch(case, key, one) for one in again), default=0) or _listed(case, key)
        if line:
            return Place(key[0], line)
    return None


def _branch(case: Case, key: Key, call: Call) -> int:
    """The line of a question for this event alone, to which a call is the answer."""
    first = case.program.function(key).line
    above = case.corpus.text(key[0], first, call.line).split(b"\n")
    number = next((at for at in range(len(above) - 1, -1, -1) if EVENT.search(above[at])), -1)
    if number < 0 or EVENT.findall(above[number]) != UPCOMING or not ASKED.search(above[number]):
        return 0
    if number and FALLS.match(above[number - 1]):
        return 0
    below = number == len(above) - 1 or _indent(above[-1]) > _indent(above[number])
    return first + number if below or OTHERWISE.search(above[number]) else 0


def _listed(case: Case, key: Key) -> int:
    """The line of a table of handlers that gives this event to a function: `"invoice.upcoming": onUpcoming`."""
    name = case.program.function(key).name if key[1] else ""
    text = case.corpus.sources[key[0]]
    hit = re.search(TABLE % re.escape(name).encode(), text) if len(name) > 3 else None
    return text.count(b"\n", 0, hit.start()) + 1 if hit else 0


def _indent(line: bytes) -> int:
    return len(line) - len(line.lstrip())
