"""What runs before a route because its parameters ask for it: `Depends(meter)`, `Depends(require_credits(2))`."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.audit.program.program import Key, Program
from tallystick.audit.syntax.ir import Expr

ASKS = ("Depends", "Security")
ROUTERS = frozenset(["APIRouter", "FastAPI", "Router", "NinjaAPI"])
DEEPEST = 4


def before(program: Program, route: Key, depth: int = 0) -> Iterator[Key]:
    """The functions that a route's parameters and decorators depend on, and those that these depend on."""
    function = program.function(route)
    values = [value for _, value in function.assigns]
    values += [part for one in function.decorators for part in _below(one)]
    if route[0].endswith(".py") and not depth:
        heads = {one.text.partition(".")[0] for one in function.decorators}
        values += [part for name in sorted(heads) for part in _of_router(program, route[0], name)]
    for value in values if depth < DEEPEST else ():
        if value.kind == "call" and value.text.rpartition(".")[2] in ASKS and value.parts:
            for target in _meant(program, route, value.parts[0]):
                yield target
                yield from before(program, target, depth + 1)


def _of_router(program: Program, path: str, name: str, depth: int = 0) -> Iterator[Expr]:
    """What a router's routes depend on: `APIRouter(dependencies=[…])`, `include_router(router, dependencies=[…])`."""
    for given, value in program.modules[path].functions[0].assigns:
        if given == name and value.kind == "call" and value.text.rpartition(".")[2] in ROUTERS:
            yield from _below(value)
    for other, call in program.includes if depth < DEEPEST else ():
        if _is_router(program, other, call.args[0], path, name):
            yield from (part for one in call.args[1:] for part in _below(one))
            yield from _of_router(program, other, call.callee.partition(".")[0], depth + 1)


def _is_router(program: Program, other: str, value: Expr, path: str, name: str) -> bool:
    """Whether `v1.router`, or `v1_router`, of one file is the router of this name of another."""
    head, _, last = value.text.partition(".")
    taken = program.imports[other].get(head)
    if taken is None:
        return other == path and value.text == name
    whole = program.resolver.resolve(other, f"{taken.source.rstrip('.')}.{taken.name}")
    return (last == name and whole == path) or (
        taken.name == name and program.resolver.resolve(other, taken.source) == path
    )


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
    return [inner for target in targets for inner in program.contents.inside(target)]
