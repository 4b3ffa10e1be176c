"""Answers that stand for errors, on both sides of a function: how they are made, and who hands them on."""

from __future__ import annotations

from tallystick.audit.models.knowledge import compiled
from tallystick.audit.program.program import Key, Program
from tallystick.audit.syntax.ir import Call, Expr


def request_within(program: Program, key: Key, call: Call) -> tuple[Key, Call] | None:
    """The guarded request in the one function of the tree that a call means: `this.request("POST", "/events", row)`."""
    targets = program.targets(key, call.callee)
    if len(targets) != 1:
        return None
    request = compiled(program.knowledge.spelled("@request"))
    path, holder = targets[0]
    for index, function in enumerate(program.modules[path].functions):
        for one in function.calls if holder in (index, function.parent) else ():
            if one.handlers and request.search(one.callee):
                return (path, index), one
    return None


def given_back(program: Program, key: Key, call: Call) -> bool:
    """Whether an answer is kept only to be returned: `result = await send(event); return result is not None`."""
    if key[0].endswith(".go"):
        return False  # there an error is an answer, and giving it back is to raise it
    function = program.function(key)
    kept = {name for name, value in function.assigns if value.kind == "call" and value.text == call.callee}
    return any(_speaks_of(one, kept) for one in function.returns)


def _speaks_of(value: Expr, names: set[str]) -> bool:
    own = value.kind == "name" and value.text.partition(".")[0] in names
    return own or any(_speaks_of(part, names) for part in value.parts)
