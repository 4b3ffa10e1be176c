"""What Temporal runs for Go: activities that a workflow asks for by name, workflows that a worker registers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec import structs

from tallystick.audit.syntax.ir import Call, Expr

if TYPE_CHECKING:
    from tallystick.audit.program.program import Key, Program

ASKS = re.compile(r"\.Execute(?:Local)?Activity$")
REGISTERS = re.compile(r"\.RegisterWorkflow(?:WithOptions)?$")
OF_ACTIVITIES = re.compile(r"(?i)activit")
LIMIT = "MaximumAttempts"  # without one Temporal tries for ever
DEEPEST = 4


def asked(program: Program, path: str, call: Call) -> list[tuple[Key, Call]]:
    """The activity that `workflow.ExecuteActivity(ctx, "ReportUsage", input).Get(ctx, nil)` means, waited for there."""
    if not path.endswith(".go") or not ASKS.search(call.callee) or len(call.args) < 2:
        return []
    named = program.by_name.get(call.args[1].text.rpartition(".")[2], ())
    named = [key for key in named if key[0].endswith(".go")]
    held = [key for key in named if OF_ACTIVITIES.search(f"{key[0]} {program.function(key).owner}")]
    found = held or named
    if len(found) != 1:
        return []
    told = structs.replace(_got(program, path, call), args=(call.args[0], *call.args[2:]))
    return [(found[0], told)]


def _got(program: Program, path: str, call: Call) -> Call:
    """The call that takes the answer of what was asked for; nobody has to, where it is tried for ever."""
    functions = program.modules[path].functions
    got = (
        one
        for function in functions
        for one in function.calls
        if one.callee == f"{call.callee}().Get" and (one.line, one.column) == (call.line, call.column)
    )
    limited = any(_holds(value) for function in functions for _, value in function.assigns)
    found = next(got, call)
    return found if limited or found.state != "floating" else structs.replace(found, state="awaited")


def _holds(value: Expr, depth: int = 0) -> bool:
    inside = value.parts if depth < DEEPEST else ()
    return LIMIT in value.keys or any(_holds(one, depth + 1) for one in inside)


def workflows(program: Program, path: str) -> Iterator[Key]:
    """The workflows that a worker registers: `w.RegisterWorkflow(workflows.Enrich)`."""
    functions = program.modules[path].functions if path.endswith(".go") else ()
    for index, function in enumerate(functions):
        for call in function.calls:
            if REGISTERS.search(call.callee) and call.args:
                yield from program.targets((path, index), call.args[0].text)
