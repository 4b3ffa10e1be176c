"""Usage that is billed when its invoice is announced, days before the period ends, or told when the period is over."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator

from tallystick.audit.case.case import Case
from tallystick.audit.model import Place
from tallystick.audit.program.program import Key
from tallystick.audit.syntax.ir import Call
from tallystick.audit.trails.trails import Trail

EVENT = re.compile(rb"[\"'`]((?:invoice|customer|checkout|charge|payment_intent|billing)\.[\w.]+)[\"'`]")
ANNOUNCED = frozenset([b"invoice.upcoming"])
OVER = frozenset([b"invoice.created", b"invoice.finalized", b"invoice.paid", b"invoice.payment_succeeded"])
RENEWED = frozenset([b"customer.subscription.updated", b"customer.subscription.created"])
BY_TIME = "stripe-meters"  # goes to the period of its moment; an invoice's item goes to the draft
ASKED = re.compile(rb"\b(?:case|when|if|elif|unless)\b")
OTHERWISE = re.compile(rb"!==?|\bunless\b")  # whatever else came has left by then
FALLS = re.compile(rb"^\s*case\s+[\"'`][\w.]+[\"'`]\s*:\s*$")  # another event goes the same way
TABLE = rb"[\"'`]%s[\"'`]\s*(?::|=>)\s*(?:\w+(?:\.|->))*:?%s\b"


def announced(case: Case) -> Iterator[tuple[Trail, Place]]:
    """Ways that turn off for `invoice.upcoming`, where the same call is made on no other way."""
    yield from _alone(case, Turns(case, ANNOUNCED))


def over(case: Case) -> Iterator[tuple[Trail, Place]]:
    """Meter events without a moment of their own that are sent only once there is an invoice: the next one has them."""
    for trail, place in _alone(case, Turns(case, OVER)):
        if trail.site.sink.provider == BY_TIME and not trail.site.stamped:
            yield trail, place


def renewed(case: Case) -> Iterator[tuple[Trail, Place]]:
    """Meter events that are sent only when a subscription changes: of one that is cancelled nothing is sent."""
    for trail, place in _alone(case, Turns(case, RENEWED)):
        if trail.site.sink.provider == BY_TIME and trail.entry is not None and trail.entry.kind == "http":
            yield trail, place


def _alone(case: Case, turns: Turns) -> Iterator[tuple[Trail, Place]]:
    same: dict[int, list[Trail]] = defaultdict(list)
    for trail in case.live if turns.files else ():
        if trail.entry is not None and (trail.entry.kind != "schedule" or trail.entry.seconds is not None):
            same[id(trail.site.call)].append(trail)  # a schedule that nothing keeps makes up for nothing
    for trails in same.values():
        places = [None if one.site.stored else turns.of(one) for one in trails]
        if all(places):
            yield from ((trail, place) for trail, place in zip(trails, places, strict=True) if place)


class Turns:
    """Where code turns off for some events; each function is read once."""

    def __init__(self, case: Case, events: frozenset[bytes]) -> None:
        """Only files that name one of the events count."""
        self.case = case
        self.events = events
        self.files = frozenset(case.corpus.holding(sorted(events)))
        self.lines: dict[str, list[bytes]] = {}
        self.asked: dict[Key, list[int]] = {}
        self.known: dict[tuple[Key, str], int] = {}

    def of(self, trail: Trail) -> Place | None:
        """Where a way turns off."""
        below = ""
        for key, call in trail.hops:
            lines, below = self._made(key, call, below), call.callee
            if key[0] not in self.files or not key[1]:
                continue
            told = (key, f"{call.callee} {lines}")
            if told not in self.known:
                self.known[told] = min(
                    (self._branch(key, line) for line in lines), default=0
                ) or self._listed(key)
            if self.known[told]:
                return Place(key[0], self.known[told])
        return None

    def _made(self, key: Key, call: Call, below: str) -> list[int]:
        """The lines where a function makes this call; of those given literals, the ones that call what is below."""
        calls = self.case.program.function(key).calls
        literals = [
            one
            for one in self.case.program.modules[key[0]].functions
            if one.parent == key[1] and one.via >= 0 and any(below == each.callee for each in one.calls)
        ]
        if below and any(calls[one.via].line == call.line for one in literals):
            return [
                *(calls[one.via].line for one in literals),
                *(one.line for one in calls if one.callee == below),
            ]
        return [one.line for one in calls if one.callee == call.callee]

    def _branch(self, key: Key, line: int) -> int:
        """The line of a question for these events alone, to which a call on a line is the answer."""
        text = self._text(key[0])
        asked = self._asked(key)
        number = asked[at - 1] if (at := bisect_right(asked, line)) else 0
        said = text[number - 1] if number else b""
        named = EVENT.findall(said)
        if (
            not named
            or not self.events.issuperset(named)
            or not ASKED.search(said)
            or FALLS.match(text[number - 2])
        ):
            return 0
        below = number == line or _indent(text[line - 1]) > _indent(said)
        return number if below or OTHERWISE.search(said) else 0

    def _asked(self, key: Key) -> list[int]:
        """The lines of a function that name an event."""
        if key not in self.asked:
            function = self.case.program.function(key)
            inside = enumerate(self._text(key[0])[function.line - 1 : function.end_line], function.line)
            self.asked[key] = [number for number, text in inside if EVENT.search(text)]
        return self.asked[key]

    def _listed(self, key: Key) -> int:
        """The line of a table of handlers that gives this event to a function: `"invoice.upcoming": onUpcoming`."""
        name = self.case.program.function(key).name
        text = self.case.corpus.sources[key[0]]
        events = b"(?:" + b"|".join(map(re.escape, sorted(self.events))) + b")"
        hit = re.search(TABLE % (events, re.escape(name).encode()), text) if len(name) > 3 else None
        return text.count(b"\n", 0, hit.start()) + 1 if hit else 0

    def _text(self, path: str) -> list[bytes]:
        if path not in self.lines:
            self.lines[path] = self.case.corpus.sources[path].split(b"\n")
        return self.lines[path]


def _indent(line: bytes) -> int:
    return len(line) - len(line.lstrip())
