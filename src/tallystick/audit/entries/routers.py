"""Routers of a server in JavaScript: what is put on which, in which order, and what so stands before a route."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache

from tallystick.audit.program.program import Key, Program
from tallystick.audit.syntax.ir import Call, Expr

ROUTING = re.compile(r"\.(?:get|post|put|patch|delete|del|all|openapi|route|on)$")
STANDING = re.compile(r"\.(?:use|all|addHook|on[A-Z]\w+|derive|resolve|guard|before)$")
MOUNTING = re.compile(r"\.(?:use|route|mount|register|group|guard)$")
ANYTIME = re.compile(r"\.addHook$")  # Fastify's are for all routes of their scope, whenever they are added
SERVER = re.compile(r"(?:^|\.)(?:express|fastify|Fastify|Koa|polka|restify\.createServer)$")
PART = re.compile(r"(?:^|\.)(?:Hono|OpenAPIHono|Elysia)$")  # an application by itself, or a part of one
SCRIPTS = ("typescript", "tsx")
CHAIN = "@"
GIVEN = "given"  # a function that is given the router, and may do anything to it
DEEPEST, WRAPPED, MANY = 6, 2, 99

Home = tuple[str, int, str]  # file, function (0 for the file itself), name
Standing = tuple[Key, Expr, Call]  # where it is named, what it is, and the call that puts it there
Way = tuple[Key, Call, list[Standing]]  # where and what makes a route, and what stands before it there


class UnknownError(Exception):
    """A router that is put somewhere in a way that was not followed."""


class Routers:
    """The routers of a program, each by the place where it is made or given."""

    def __init__(self, program: Program) -> None:
        """Every call on a router, by that."""
        self.program = program
        self.standing, self.handed = cache(self._standing), cache(self._by_name)
        self.is_whole, self.ways = cache(self._is_whole), cache(self._ways)
        self.calls: dict[Home, list[tuple[Key, Call]]] = defaultdict(list)
        self.mounts: dict[Home, list[tuple[Key, Call]]] = defaultdict(list)
        self.routes: dict[Key, list[tuple[Key, Call]]] = defaultdict(list)
        self.mounting: set[str] = set()
        self.handlers: set[Key] = set()  # what stands last in its route
        for path, module in program.modules.items():
            for index, function in enumerate(module.functions) if module.language in SCRIPTS else ():
                for call in function.calls:
                    self._take((path, index), call)

    def _take(self, caller: Key, call: Call) -> None:
        name = _receiver(call)
        if ROUTING.search(call.callee):
            given = [key for one in call.args for key in self._functions(caller, one)]
            self.handlers.update(given[-1:])
            for key in given:
                self.routes[key].append((caller, call))
        if ROUTING.search(call.callee) or STANDING.search(call.callee) or MOUNTING.search(call.callee):
            self.calls[self.home(caller, name)].append((caller, call))
        if MOUNTING.search(call.callee):
            self.mounting.add(caller[0])
            for home in (home for one in call.args for home in self._put(caller, one)):
                self.mounts[home].append((caller, call))

    def _functions(self, caller: Key, value: Expr, depth: int = 0) -> Iterator[Key]:
        """The functions that a call on a router is given, in whatever they are wrapped."""
        literal = self.program.literal(caller[0], value)
        if literal is not None:
            yield literal
        elif value.kind == "name":
            yield from self.program.targets(caller, value.text)
        elif depth < WRAPPED:
            yield from self.program.targets(caller, value.text[:-5]) if value.text.endswith(".bind") else ()
            for one in value.parts:
                yield from self._functions(caller, one, depth + 1)

    def home(self, caller: Key, name: str) -> Home:
        """Where a router is made, or whose parameter it is."""
        path, index = caller
        functions = self.program.modules[path].functions
        if name.startswith(CHAIN):
            name = self._kept(caller, name)
        while index > 0 and not name.startswith("this."):
            function = functions[index]
            given = any(one.name == name and not one.path for one in function.bindings)
            if given or name in self.program.contents.given((path, index)):
                return path, index, name
            index = function.parent
        taken = self.program.imports[path].get(name)
        target = self.program.resolver.resolve(path, taken.source) if taken is not None else ""
        if taken is None or target not in self.program.modules:
            return path, 0, name
        return target, 0, self._exported(target, taken.name)

    def _kept(self, caller: Key, place: str) -> str:
        """The name that is given to what a chain of calls makes."""
        function = self.program.function(caller)
        whole = {one.callee for one in function.calls if _receiver(one) == place}
        kept = (name for name, value in function.assigns if value.kind == "call" and value.text in whole)
        return next(kept, place)

    def _exported(self, path: str, name: str) -> str:
        own = (
            one.name for one in self.program.modules[path].reexports if one.local == name and not one.source
        )
        return next(own, name)

    def _put(self, caller: Key, value: Expr) -> list[Home]:
        """The routers that an argument stands for: by name, by `router.routes()`, by what a plugin is given."""
        path = caller[0]
        literal = self.program.literal(path, value)
        if value.kind == "call" and value.text == "require" and value.parts:
            target = self.program.resolver.resolve(path, value.parts[0].text)
            return [(target, 0, self._exported(target, "default"))] if target in self.program.modules else []
        name = value.text.removesuffix(".routes").removesuffix(".router")
        if value.kind not in ("name", "call") or not name:
            return self._given(literal) if literal is not None else []
        plugins = self.program.targets(caller, name) if value.kind == "name" else []
        return [self.home(caller, name), *(home for one in plugins for home in self._given(one))]

    def _given(self, plugin: Key) -> list[Home]:
        first = next((one.name for one in self.program.function(plugin).bindings if one.index == 0), "")
        return [(*plugin, first)] if first else []

    def before(self, route: Key) -> list[Standing] | None:
        """What stands before a route on every way to it; None where a way is not known."""
        ways = self.ways(route)
        return [one for _, _, standing in ways for one in standing] if ways else None

    def _ways(self, route: Key) -> list[Way]:
        """Each call that makes a function a route, and what stands before it there; none where that is not known."""
        found: list[Way] = []
        try:
            for caller, call in self.routes.get(route, ()):
                beside = [
                    (caller, one, call) for arg in call.args for one in self._beside(caller, arg, route)
                ]
                above = self._above(caller, call, _path(call, self.program.function(caller).calls), 0)
                found.append((caller, call, [*beside, *above]))
        except UnknownError:
            return []
        return found

    def _beside(self, caller: Key, value: Expr, route: Key) -> list[Expr]:
        """What a call on a router is given but the handler itself: what wraps it, `{ preHandler: meter }` beside it."""
        if route not in self._functions(caller, value):
            return [value]
        wrapper = [Expr("call", value.text)] if value.kind == "call" else []
        return [*wrapper, *(one for part in value.parts for one in self._beside(caller, part, route))]

    def _above(self, caller: Key, call: Call, path: str, depth: int) -> Iterator[Standing]:
        """What stands on the same router before a call, and before all that this router is put on."""
        if depth > DEEPEST:
            raise UnknownError
        name = _receiver(call)
        home = self.home(caller, name)
        for holder, other in self.standing(home):
            later = holder == caller and _end(other) >= _end(call) and not ANYTIME.search(other.callee)
            if other is call or later:
                continue
            if covers(next(iter(other.args), None), path):
                yield from ((holder, one, other) for one in other.args)
        for one in self.handed(caller).get(name, ()):  # `useMiddleware(app)`
            if one is not call:
                yield caller, Expr(GIVEN, one.callee), one
        mounts = [one for one in self.mounts[home] if one[1] is not call] or [*self._handed(home)]
        if not mounts and not self.is_whole(home):
            raise UnknownError
        for holder, other in mounts:
            yield from ((holder, one, other) for one in other.args if home not in self._put(holder, one))
            below = _path(other, ()).rstrip("/") + "/" + path.lstrip("/")
            yield from self._above(holder, other, below, depth + 1)

    def _standing(self, home: Home) -> list[tuple[Key, Call]]:
        """The calls on a router that put something before its routes."""
        return [one for one in self.calls[home] if STANDING.search(one[1].callee)]

    def _by_name(self, caller: Key) -> dict[str, list[Call]]:
        """The calls of a function by the names they are given."""
        found: dict[str, list[Call]] = {}
        for call in self.program.function(caller).calls:
            for name in dict.fromkeys(one.text for one in call.args if one.kind == "name"):
                found.setdefault(name, []).append(call)
        return found

    def _handed(self, home: Home) -> Iterator[tuple[Key, Call]]:
        """`registerRoutes(app)`: calls that give a function the router it puts routes on."""
        path, index, name = home
        bindings = self.program.modules[path].functions[index].bindings if index else ()
        position = next((one.index for one in bindings if one.name == name), MANY)
        for edge in self.program.callers.get((path, index), ()):
            given = edge.call.args[position : position + 1] if edge.kind == "call" else ()
            for one in given:
                if one.kind == "name":
                    yield edge.caller, Call(f"{one.text}.use", (), *_span(edge.call), edge.call.state)

    def _is_whole(self, home: Home) -> bool:
        """Whether a router is the application itself, and no part that somebody may put elsewhere."""
        path, index, name = home
        functions = self.program.modules[path].functions
        near = functions if name.startswith("this.") else functions[index : index + 1]
        values = [
            value for one in near for given, value in one.assigns if given == name and value.kind == "call"
        ]
        chained = [one.callee for one in functions[index].calls if _receiver(one) == name]
        made = next((one.partition("()")[0] for one in (*(one.text for one in values), *chained)), "")
        return SERVER.search(made) is not None or (PART.search(made) is not None and not self._taken(path))

    def _taken(self, path: str) -> bool:
        """Whether others take what a file makes: those that put routers somewhere, or hand it on."""
        return any(
            self.program.resolver.resolve(other, one.source) == path
            for other, module in self.program.modules.items()
            for one in (*(module.imports if other in self.mounting else ()), *module.reexports)
            if one.source
        )


def _receiver(call: Call) -> str:
    """The router that a call is made on; a chain goes on with its first, or is known by where it starts."""
    parts = call.callee.split(".")
    first = next((number for number, one in enumerate(parts) if one.endswith("()")), len(parts) - 1)
    return ".".join(parts[:first]) if first else f"{CHAIN}{call.line}:{call.column}"


def _end(call: Call) -> tuple[int, int]:
    return call.end_line, call.end_column


def _span(call: Call) -> tuple[int, int, int, int]:
    return call.line, call.column, call.end_line, call.end_column


def address_of(call: Call) -> str:
    """What a call on a router adds: `POST /runs`."""
    said = next((one.text for one in call.args[:1] if one.kind in ("const", "mix")), "")
    return f"{call.callee.rpartition('.')[2].upper()} {said}".strip()


def _path(call: Call, beside: tuple[Call, ...]) -> str:
    """The address in a call on a router: its first word, that of `app.route("/x")`, a `url`, a `prefix`."""
    if "route()" in call.callee:
        opening = (
            one
            for one in beside
            if one.callee.endswith(".route") and (one.line, one.column) == (call.line, call.column)
        )
        call = next(opening, call)
    for one in call.args:
        if one.kind in ("const", "mix") and one.text.startswith(("/", "*")):
            return one.text
        pairs = zip(one.keys, one.parts, strict=False)
        named = (part.text for key, part in pairs if key in ("url", "path", "prefix"))
        found = next(named, "")
        if found:
            return found
    return ""


def covers(first: Expr | None, path: str) -> bool:
    """Whether what stands at one address is for another as well; one that is not written out is for all."""
    if first is None or first.kind != "const" or not first.text.startswith(("/", "*")):
        return True
    asked = [one for one in first.text.split("/") if one and not one.startswith(("*", "(.*"))]
    given = [one for one in path.split("/") if one]
    return len(asked) <= len(given) and all(
        one == other or one.startswith(":") or other.startswith(":")
        for one, other in zip(asked, given, strict=False)
    )
