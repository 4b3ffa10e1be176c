"""Usage that is billed when its invoice is announced, days before the period ends."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator

from tallystick.audit.case.case import Case
from tallystick.audit.model import Place
from tallystick.audit.program.program import Key
from tallystick.audit.trails.trails import Trail

EVENT = re.compile(rb"[\"'`]((?:invoice|customer|checkout|charge|payment_intent|billing)\.[\w.]+)[\"'`]")
WORD = b"invoice.upcoming"
ASKED = re.compile(rb"\b(?:case|when|if|elif|unless)\b")
OTHERWISE = re.compile(rb"!==?|\bunless\b")  # whatever else came has left by then
FALLS = re.compile(rb"^\s*case\s+[\"'`][\w.]+[\"'`]\s*:\s*$")  # another event goes the same way
TABLE = rb"[\"'`]invoice\.upcoming[\"'`]\s*(?::|=>)\s*(?:\w+(?:\.|->))*:?%s\b"


def announced(case: Case) -> Iterator[tuple[Trail, Place]]:
    """Ways that turn off for `invoice.upcoming`, where the same call is made on no other way."""
    turns = Turns(case)
    same: dict[int, list[Trail]] = defaultdict(list)
    for trail in case.live if turns.files else ():
        same[id(trail.site.call)].append(trail)
    for trails in same.values():
        places = [None if one.site.stored else turns.of(one) for one in trails]
        if all(places):
            yield from ((trail, place) for trail, place in zip(trails, places, strict=True) if place)


class Turns:
    """Where code turns off for the announcement; each function is read once."""

    def __init__(self, case: Case) -> None:
        """Only files that say the word count."""
        self.case = case
        self.files = frozenset(case.corpus.holding([WORD]))
        self.lines: dict[str, list[bytes]] = {}
        self.asked: dict[Key, list[int]] = {}
        self.known: dict[tuple[Key, str], int] = {}

    def of(self, trail: Trail) -> Place | None:
        """Where a way turns off."""
        for key, call in trail.hops:
            if key[0] not in self.files or not key[1]:
                continue
            told = (key, call.callee)
            if told not in self.known:
                again = [
                    one.line for one in self.case.program.function(key).calls if one.callee == call.callee
                ]
                self.known[told] = min(
                    (self._branch(key, line) for line in again), default=0
                ) or self._listed(key)
            if self.known[told]:
                return Place(key[0], self.known[told])
        return None

    def _branch(self, key: Key, line: int) -> int:
        """The line of a question for this event alone, to which a call on a line is the answer."""
        text = self._text(key[0])
        asked = self._asked(key)
        number = asked[at - 1] if (at := bisect_right(asked, line)) else 0
        said = text[number - 1] if number else b""
        if EVENT.findall(said) != [WORD] or not ASKED.search(said) or FALLS.match(text[number - 2]):
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
        hit = re.search(TABLE % re.escape(name).encode(), text) if len(name) > 3 else None
        return text.count(b"\n", 0, hit.start()) + 1 if hit else 0

    def _text(self, path: str) -> list[bytes]:
        if path not in self.lines:
            self.lines[path] = self.case.corpus.sources[path].split(b"\n")
        return self.lines[path]


def _indent(line: bytes) -> int:
    return len(line) - len(line.lstrip())
