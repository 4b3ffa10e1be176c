"""Controllers of Nest: what their decorators, and their module, put before the methods that are routes."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.audit.entries.forms import Entry
from tallystick.audit.entries.routers import Standing, covers
from tallystick.audit.program.program import Program
from tallystick.audit.syntax.ir import Call, Expr, Function

RUNS = {"UseInterceptors": "intercept", "UseGuards": "canActivate"}
NOWHERE = Call("", (), 0, 0, 0, 0, "")


class Controllers:
    """The routes of a program's controllers."""

    def __init__(self, program: Program) -> None:
        """Find what the modules apply."""
        self.program = program
        self.applied = [
            ((path, index), call, opening)
            for path, module in program.modules.items()
            for index, function in enumerate(module.functions)
            for call in function.calls
            if call.callee.endswith(".apply().forRoutes")
            for opening in function.calls
            if opening.callee == call.callee.removesuffix("().forRoutes") and opening.line == call.line
        ]

    def before(self, entry: Entry) -> list[Standing]:
        """What runs before a method: its own and its class's decorators, and what is applied to its address."""
        function = self.program.function(entry.key)
        found: list[Standing] = [
            ((entry.key[0], 0), Expr("name", f"{part.text}.{RUNS[one.text]}"), NOWHERE)
            for one in function.decorators
            if one.text in RUNS
            for part in one.parts
        ]
        address = _address(entry, function)
        for caller, call, opening in self.applied:
            if any(_is_for(one, call, function.owner, address) for one in call.args):
                found += [(caller, Expr("name", f"{one.text}.use"), call) for one in opening.args]
        return found


def _address(entry: Entry, function: Function) -> str:
    """The whole path of a method: its controller's, then its own."""
    of = next((_first(one) for one in function.decorators if one.text == "Controller"), "")
    return "/".join(one.strip("/") for one in (of, entry.route.partition(" ")[2]) if one)


def _first(value: Expr) -> str:
    return next((one.text for one in value.parts[:1] if one.kind == "const"), "")


def _is_for(value: Expr, call: Call, owner: str, address: str) -> bool:
    """Whether `forRoutes` names this controller, or this address, alone or with a method."""
    if value.kind == "name":
        return value.text == owner
    path = next(_paths(value), "")
    return not path or covers(Expr("const", "/" + path.lstrip("/")), address)


def _paths(value: Expr) -> Iterator[str]:
    if value.kind == "const":
        yield value.text
    yield from (part.text for key, part in zip(value.keys, value.parts, strict=False) if key == "path")
