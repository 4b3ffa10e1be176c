"""What runs before a procedure of tRPC: `metered.input(…).mutation(…)` where `metered = procedure.use(meter)`."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.audit.program.program import Key, Program
from tallystick.audit.syntax.ir import Call

DEEPEST = 6


def before(program: Program, route: Key) -> Iterator[Key]:
    """The middlewares of a procedure, and of those that it is made from."""
    function = program.function(route)
    if function.via >= 0:
        outer = (route[0], function.parent)
        yield from _chained(program, outer, program.function(outer).calls[function.via], 0)


def _chained(program: Program, caller: Key, last: Call, depth: int) -> Iterator[Key]:
    """The middlewares of a chain of calls, and of what it starts with."""
    for one in program.function(caller).calls:
        if one.callee.endswith(".use") and last.callee.startswith(one.callee) and _starts(one, last):
            for value in one.args:
                literal = program.literal(caller[0], value)
                yield from [literal] if literal is not None else program.targets(caller, value.text)
    for path, call in _made(program, caller[0], last.callee.partition(".")[0]) if depth < DEEPEST else ():
        yield from _chained(program, (path, 0), call, depth + 1)


def _starts(one: Call, last: Call) -> bool:
    return (one.line, one.column) == (last.line, last.column)


def _made(program: Program, path: str, name: str) -> Iterator[tuple[str, Call]]:
    """The call whose answer has this name, in the file or in the one it is imported from."""
    taken = program.imports[path].get(name)
    if taken is not None:
        path, name = program.resolver.resolve(path, taken.source), taken.name
    if path not in program.modules:
        return
    whole = program.function((path, 0))
    for given, value in whole.assigns:
        if given == name and value.kind == "call":
            yield from ((path, one) for one in whole.calls if one.callee == value.text)
