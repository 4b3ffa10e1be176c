"""Which routes a meter stands before, and which it surely does not."""

from __future__ import annotations

import re
from functools import cache

from tallystick.audit.case.case import Case
from tallystick.audit.entries.controllers import Controllers
from tallystick.audit.entries.routers import GIVEN, Routers, Standing, Way
from tallystick.audit.program.program import Key
from tallystick.audit.syntax.ir import Call, Expr

Split = tuple[Call, Key, Call]  # what puts a route behind the meter, and where and what puts it beside

FAR = 5
DEEPEST = 4
NAMING = re.compile(  # where a meter is spoken of, and not put before anything that is not looked at already
    rb"^\s*(?:import\b|export\s*\{|//|\*|/\*|(?:export\s+)?(?:type|interface)\b|\}\s*from\b|@Use(?:Interceptors|Guards)\()"
    rb"|\bclass\s|\b(?:providers|exports)\s*:(?!.*\buse[A-Z])"  # `useClass: Meter` is everywhere
)
LISTED = re.compile(rb"^\s*\w+,?\s*$")  # a class among the providers of a module


class Coverage:
    """The routes of routers in JavaScript, told apart by whether a meter stands before them."""

    def __init__(self, case: Case) -> None:
        """Ask every route what stands before it."""
        self.case = case
        self.holds, self.reports = cache(self._meters), cache(self._reports)  # of many routes the same
        self.routers = Routers(case.program)
        self.controllers = Controllers(case.program)
        self.metered: set[Key] = set()
        self.free: set[Key] = set()
        self.split: dict[Key, Split] = {}
        self.meters: set[Key] = set()
        self.named: set[tuple[str, int]] = set()  # lines on which a meter is put before a route
        self.sending = {one.site.key for one in case.live}
        for key, entry in sorted(case.entries.found.items()):
            if entry.kind == "http" and not entry.handler[0]:
                nest = entry.framework == "nest"
                self._sort(key, self.controllers.before(entry) if nest else self.routers.before(key))
                self._tell_apart(key, self.routers.ways(key) if key in self.routers.handlers else [])

    def _tell_apart(self, route: Key, ways: list[Way]) -> None:
        """One handler for one method at several addresses, with the meter before some of them."""
        held = [(caller, call, self._held(standing)) for caller, call, standing in ways]
        metered = [call for _, call, meters in held if any(one[1].kind != GIVEN for one in meters)]
        for caller, call, meters in held:
            twin = next((one for one in metered if one.callee == call.callee), None)
            if not meters and twin is not None:
                self.split.setdefault(route, (twin, caller, call))

    def _held(self, standing: list[Standing]) -> list[Standing]:
        return [one for one in standing if self.holds(one[0], one[1])]

    def _sort(self, route: Key, standing: list[Standing] | None) -> None:
        if standing is None:
            return
        held = self._held(standing)
        for caller, _, call in held:
            self.named |= {(caller[0], line) for line in range(call.line, call.end_line + 1)}
        if any(value.kind != GIVEN for _, value, _ in held):
            self.metered.add(route)
        elif not held:
            self.free.add(route)

    def _meters(self, caller: Key, value: Expr, depth: int = 0) -> bool:
        """Whether what stands before a route reports usage, or holds what does."""
        program = self.case.program
        literal = program.literal(caller[0], value)
        found = [literal] if literal else program.targets(caller, value.text) if value.text else []
        told = False
        for key in found:  # all of them: each is remembered
            told = self.reports(key) or told
        for one in (*value.parts, *self._assigned(caller, value)) if depth < DEEPEST else ():
            told = self.holds(caller, one, depth + 1) or told
        return told

    def _reports(self, start: Key) -> bool:
        """Whether a function reports usage by itself, and not in a route that it adds."""
        seen, fringe = {start}, [start]
        for _ in range(FAR):
            below = {target for key in fringe for target, _ in self.case.program.callees.get(key, ())}
            below |= {target for key in fringe for target in self.case.program.contents.inside(key)}
            fringe = sorted(below - seen - self.routers.handlers)
            seen.update(fringe)
        if seen & self.sending:
            self.meters |= seen
        return bool(seen & self.sending)

    def _assigned(self, caller: Key, value: Expr) -> list[Expr]:
        """What a name stands for: `const paid = [auth, meter]`."""
        holders = (caller, (caller[0], 0)) if value.kind == "name" else ()
        return [
            given for one in holders for given in self.case.program.contents.given(one).get(value.text, ())
        ]

    def tells(self, meters: set[Key]) -> bool:
        """Whether all places are known where these are put before routes."""
        return meters <= self.meters and all(self._is_followed(one) for one in sorted(meters))

    def _is_followed(self, meter: Key) -> bool:
        functions = self.case.program.modules[meter[0]].functions
        name, index = functions[meter[1]].owner or functions[meter[1]].name, meter[1]
        while not name and functions[index].parent > 0 and functions[index].via < 0:  # what a factory makes
            index = functions[index].parent
            name = functions[index].name
        word = re.compile(rb"\b" + re.escape(name).encode() + rb"\b")
        listed = LISTED if functions[meter[1]].owner else NAMING
        own = {(meter[0], functions[index].line), (meter[0], functions[meter[1]].line)}
        return not any(
            word.search(line)
            and not (NAMING.search(line) or listed.search(line) or (path, number) in self.named | own)
            for path in (self.case.corpus.grep(word) if name else ())
            for number, line in enumerate(self.case.corpus.sources[path].split(b"\n"), 1)
        )
