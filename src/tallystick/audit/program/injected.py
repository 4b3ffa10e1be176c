"""Functions under another name: what a factory or a wrapper made of them, and local names for a default."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tallystick.audit.program.program import Key, Program
    from tallystick.audit.syntax.ir import Function

PARTLY = re.compile(
    r"(?i)(?:^|\.)(?:partial\w*|bind|curry\w*|apply)$"
)  # what is called takes fewer values then
BESIDE = frozenset(["name", "const", "object"])


def injections(program: Program, path: str, common: frozenset[str]) -> list[tuple[str, Key]]:
    """`{ track: createTrack(key) }`: what the factory returns is called `x.track` by whoever is given that."""
    found: list[tuple[str, Key]] = []
    for index, function in enumerate(program.modules[path].functions):
        values = [value for _, value in function.assigns] + list(function.returns)
        values += [one for call in function.calls for one in call.args]
        for value in values:
            for name, part in zip(value.keys, value.parts, strict=False):
                if part.kind == "call" and "." not in part.text and name not in common:
                    found += [(name, key) for key in _produced(program, (path, index), part.text)]
        found += [one for one in _members(program, path, function) if one[0] not in common]
    return found


def _members(program: Program, path: str, function: Function) -> list[tuple[str, Key]]:
    """The methods of the object a factory returns, and of those in it: `return { async track(customer) { … } }`."""
    given = [*function.returns]
    given += [part for one in function.returns for part in one.parts if part.kind == "object"]
    pairs = [pair for one in given for pair in zip(one.keys, one.parts, strict=False)]
    made = [(name, program.literal(path, part)) for name, part in pairs if part.kind == "func"]
    return [(name, key) for name, key in made if key is not None and len(name) > 4]


def _produced(program: Program, caller: Key, factory: str) -> list[Key]:
    """The functions that a factory of the tree returns."""
    found = [
        program.literal(target[0], one)
        for target in program.targets(caller, factory)
        for one in program.function(target).returns
        if one.kind == "func"
    ]
    return [key for key in found if key is not None]


def aliased(program: Program, caller: Key, name: str) -> list[str]:
    """`const send = options.send ?? sendNow`: the functions that a local name may stand for."""
    path, index = caller
    while index > 0:
        values = program.contents.given((path, index)).get(name)
        if values:
            value = values[0]
            given = (value,) if value.kind == "name" else value.parts if value.kind == "mix" else ()
            names = [one.text for one in given if one.kind == "name" and "." not in one.text]
            return [one for one in names if one != name]
        index = program.function((path, index)).parent
    return []


def wrapped(program: Program, path: str, name: str) -> list[Key]:
    """`export const report = traced(send)`: the one function that a name of a file stands for, by way of a call."""
    given = program.modules[path].functions[0].assigns
    made = [value for one, value in given if one == name and value.kind == "call"]
    if len(made) != 1 or PARTLY.search(made[0].text) or any(one.kind not in BESIDE for one in made[0].parts):
        return []
    handed = [one.text for one in made[0].parts if one.kind == "name" and one.text not in ("", name)]
    found = program.at_the_top(path, handed[0]) if len(handed) == 1 and "." not in handed[0] else []
    return found if len(found) == 1 else []
