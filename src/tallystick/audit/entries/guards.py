"""What stands before a route and lets in only the application's own: `app.post("/x", internalOnly, handler)`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, cached_property

from tallystick.audit.entries.forms import Entry
from tallystick.audit.program.dependencies import before
from tallystick.audit.program.program import Key, Program
from tallystick.audit.syntax.ir import Call, Expr, Function
from tallystick.audit.syntax.patterns import holds_secret
from tallystick.audit.syntax.searches import finite

OWN = finite(
    r"(?i)internal(?!\w*(?:error|log|metric))|service_?(?:key|token|secret|auth|only)|server_?to_?server|super_?(?:admin|user)"
    r"|cron_?(?:auth|secret|key|only)|(?:verify|check|validate|require)_?\w*(?:signature|hmac|webhook)"
)
ADMIN = re.compile(r"(?i)(?<!org)(?<!team)(?<!tenant)(?<!workspace)(?<!account)_?admin")
OFFICE = re.compile(r"(?i)(?:^|[/ ])(?:admin|internal|back-?office|staff)(?:[/\W]|$)")
STAFF_ONLY = re.compile(  # a handler that asks for it by itself
    rb"(?i)role\w*[\"'\])?.]*\s*[!=]==?\s*[\"'](?:super_?|platform_?)?admin|(?:\b|_)(?:is|require|assert|ensure|check|verify|only|with)_?"
    rb"(?:super|platform|site|system)?_?(?:admin|staff|superuser)|ADMIN_(?:EMAILS?|USER\w*|IDS?|SECRET|KEY|TOKEN|PASSWORD)"
)
SHARED = re.compile(
    r"(?i)(?:bearer|basic|static|shared|token|key)_?(?:auth|token|secret)$"
)  # asks for one word alone
OTHER = re.compile(
    r"(?i)csrf|cors|limit|session|cookie|logg|error|parse|captcha|rout(?:er|es)|controller|handler"
)
ROUTING = re.compile(r"\.(?:get|post|put|patch|delete|del|all|route|openapi|handle|mutation|query|register)$")
MOUNTING = re.compile(r"\.(?:use|route|register|mount|group)$")
STANDING = re.compile(r"\.(?:use|addHook|onBeforeHandle|guard|before)$")
LOOKUP = re.compile(
    r"(?i)(?:^|\.)(?:find\w*|select|query|from|where|scan|get_?(?:user|session|api_?key|token)\w*)$"
)  # of a customer


class Guards:
    """What stands before the routes of a program; each is looked at once, however many ways lead to it."""

    def __init__(self, program: Program) -> None:
        """Nothing is looked at yet."""
        self.program = program
        self.own = cache(self._own)
        self.asks = cache(self._asks)
        self.across = cache(self._across)

    def fenced(self, entry: Entry) -> bool:
        """Whether what stands before a route lets none but the application's own in."""
        keys = sorted({entry.key, entry.handler} - {("", 0)})
        office = OFFICE.search(entry.route) is not None
        return any(
            self.own(caller, value, office) for key in keys for caller, value in self._standing(key)
        ) or any(self.asks(one) for key in keys for one in before(self.program, key))

    def _standing(self, key: Key) -> Iterator[tuple[Key, Expr]]:
        """What runs before a handler, and where that is named."""
        function = self.program.function(key)
        for one in function.decorators:
            if one.text == "UseGuards":
                yield from (((key[0], 0), part) for part in one.parts)
        routes = [*self._routing(key, function)]
        routes += [one for caller, _ in routes[:1] for one in self._mounting.get(caller[0], ())]
        for caller, call in routes:
            procedure = call.callee.partition(".")[0]
            yield from [(caller, Expr("name", procedure))] if procedure.endswith("rocedure") else []
            yield from ((caller, one) for one in call.args if not self._is(caller, one, key))
            for other in self.across(caller):
                if _covers(other, call):
                    yield from ((caller, one) for one in other.args)

    def _is(self, caller: Key, value: Expr, key: Key) -> bool:
        """Whether a value is the handler itself."""
        return self.program.literal(caller[0], value) == key or (
            value.kind == "name" and key in self.program.targets(caller, value.text)
        )

    def _routing(self, key: Key, function: Function) -> Iterator[tuple[Key, Call]]:
        """The calls that give a handler to a router, by its name or as it stands there."""
        for edge in self.program.callers.get(key, ()):
            if edge.kind == "pass" and ROUTING.search(edge.call.callee):
                yield edge.caller, edge.call
        outer = (key[0], max(function.parent, 0))
        for call in self.program.function(outer).calls if function.via >= 0 else ():
            if call.line <= function.line <= call.end_line and ROUTING.search(call.callee):
                yield outer, call

    @cached_property
    def _mounting(self) -> dict[str, list[tuple[Key, Call]]]:
        """The calls that put the router of a file below another: `app.use("/internal", internalOnly, router)`."""
        found: dict[str, list[tuple[Key, Call]]] = {}
        for path, module in self.program.modules.items():
            names: dict[str, set[str]] = {}
            for one in module.imports:
                if router := self.program.resolver.resolve(path, one.source):
                    names.setdefault(one.local, set()).add(router)
            for index, function in enumerate(module.functions):
                for call in function.calls if names else ():
                    given = call.args if MOUNTING.search(call.callee) else ()
                    for other in sorted({other for one in given for other in names.get(one.text, ())}):
                        found.setdefault(other, []).append(((path, index), call))
        return found

    def _across(self, caller: Key) -> list[Call]:
        """The calls of a function that put something before its routes."""
        return [one for one in self.program.function(caller).calls if STANDING.search(one.callee)]

    def _own(self, caller: Key, value: Expr, office: bool, depth: int = 0) -> bool:
        """Whether a value is such a guard, or holds one: `{ preHandler: [internalOnly] }`."""
        if value.kind in ("name", "call"):
            name = value.text.rpartition(".")[2]
            if OTHER.search(name):
                return False
            if OWN.search(name) or (office and ADMIN.search(name)):
                return True
            if SHARED.search(name) and any(holds_secret(one.encode()) for one in _said(value)):
                return True
            targets = self.program.targets
            asked = [*targets(caller, value.text), *targets(caller, f"{value.text}.canActivate")]
            if any(self.asks(one) for one in asked):
                return True
        return depth < 3 and any(self.own(caller, part, office, depth + 1) for part in value.parts)

    def _asks(self, key: Key) -> bool:
        """Whether a function compares a secret of the application's own, and looks up nobody."""
        function = self.program.function(key)
        inner = map(self.program.function, self.program.contents.inside(key))
        calls = [call.callee for one in (function, *inner) for call in one.calls]
        said = set(function.flags)
        return (
            bool(said & {"secret", "verified"})
            and "session" not in said
            and not any(map(LOOKUP.search, calls))
        )


def _covers(other: Call, call: Call) -> bool:
    """Whether a call such as `router.use("/internal/*", guard)` stands before the route that another call gives."""
    receiver = call.callee.rpartition(".")[0]
    if other == call or not receiver.startswith(other.callee.rpartition(".")[0]):
        return False
    prefix = next(
        (one.text for one in other.args[:1] if one.kind == "const" and one.text.startswith("/")), ""
    )
    path = next((one.text for one in call.args[:1] if one.kind == "const"), "")
    return path.startswith(prefix.rstrip("*/"))


def _said(value: Expr, depth: int = 0) -> Iterator[str]:
    """The names inside a value."""
    yield value.text
    for part in value.parts if depth < 3 else ():
        yield from _said(part, depth + 1)
