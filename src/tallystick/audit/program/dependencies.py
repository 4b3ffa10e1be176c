"""What runs before a route because its parameters ask for it: `Depends(meter)`, `Depends(require_credits(2))`."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.audit.program.program import Key, Program
from tallystick.audit.syntax.ir import Expr

ASKS = ("Depends", "Security")
DEEPEST = 4


def before(program: Program, route: Key, depth: int = 0) -> Iterator[Key]:
    """The functions that a route's parameters and decorators depend on, and those that these depend on."""
    function = program.function(route)
    values = [value for _, value in function.assigns]
    values += [part for one in function.decorators for part in _below(one)]
    for value in values if depth < DEEPEST else ():
        if value.kind == "call" and value.text.rpartition(".")[2] in ASKS and value.parts:
            for target in _meant(program, route, value.parts[0]):
                yield target
                yield from before(program, target, depth + 1)


def _below(value: Expr, depth: int = 0) -> Iterator[Expr]:
    """The values inside a decorator: `@app.post("/run", dependencies=[Depends(meter)])`."""
    for part in value.parts if depth < DEEPEST else ():
        yield part
        yield from _below(part, depth + 1)


def _meant(program: Program, route: Key, asked: Expr) -> list[Key]:
    """The function named, or what a factory of that name makes."""
    if asked.kind not in ("name", "call") or not asked.text:
        return []
    targets = program.targets((route[0], 0), asked.text)
    if asked.kind == "name":
        return targets
    return [
        (path, index)
        for path, outer in targets
        for index, one in enumerate(program.modules[path].functions)
        if one.parent == outer > 0
    ]
