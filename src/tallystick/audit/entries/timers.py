"""Clocks of a tree's own: functions that run what they are given by a timer, `every("usage", report, 60_000)`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tallystick.audit.program.program import Key, Program
from tallystick.audit.syntax.ir import Binding, Call, Expr, Function

SETS = re.compile(r"(?:^|\.)set(?:Interval|Timeout)$")

Clock = tuple[Binding, Binding]  # the parameter for what it runs, and the one for how often, in milliseconds


def clocks(program: Program) -> dict[Key, Clock]:
    """The functions of a program that are such a clock."""
    found = {}
    for path, module in program.modules.items():
        setting = [one for one, each in enumerate(module.functions) if any(map(_sets, each.calls))]
        for outer in {one for index in setting for one in _around(module.functions, index)}:
            clock = _clock(program, (path, outer))
            if clock is not None:
                found[path, outer] = clock
    return found


def started(clock: Clock, call: Call) -> tuple[Expr, ...]:
    """What a call of the clock gives it to run, and how often; nothing where it does not say both."""
    given = tuple(one for one in (_given(each, call.args) for each in clock) if one is not None)
    return given if len(given) == len(clock) else ()


def _sets(call: Call) -> bool:
    return SETS.search(call.callee) is not None and len(call.args) > 1


def _around(functions: tuple[Function, ...], index: int) -> Iterator[int]:
    """A function and those that it stands in, but for the top of the file."""
    while index > 0:
        yield index
        index = functions[index].parent


def _clock(program: Program, key: Key) -> Clock | None:
    taken = {one.name: one for one in program.function(key).bindings}
    held = (key, *program.contents.below(key))
    calls = [(one, call) for one in held for call in program.function(one).calls]
    for holder, call in calls:
        often = taken.get(call.args[1].text) if _sets(call) and call.args[1].kind == "name" else None
        if often is None:
            continue
        ran = call.args[0].text if call.args[0].kind == "name" else ""
        if call.callee.endswith("Timeout") and program.function(holder).name != ran:
            continue  # once: no function that sets the timer for itself
        run = taken.get(ran) or next(
            (taken[one.callee] for at, one in calls if one.callee in taken and at != key), None
        )
        if run is not None and run is not often:
            return run, often
    return None


def _given(binding: Binding, args: tuple[Expr, ...]) -> Expr | None:
    """What a call gives a parameter, or a field of the object it is taken from."""
    value = args[binding.index] if binding.index < len(args) else None
    if value is None or not binding.path:
        return value
    return dict(zip(value.keys, value.parts, strict=False)).get(binding.path)
