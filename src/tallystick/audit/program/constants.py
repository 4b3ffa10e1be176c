"""What a name that never changes stands for: `USAGE_QUEUE`, `QUEUES.USAGE`, a member of an enumeration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tallystick.audit.syntax.ir import Expr

if TYPE_CHECKING:
    from tallystick.audit.program.program import Program

FARTHEST = 4  # imports from a name to where it is written


def word(program: Program, path: str, value: Expr) -> str:
    """The text of a constant, or of the constant that a name of this file stands for; empty where none is known."""
    if value.kind == "const":
        return value.text
    return _named(program, path, value.text.split("."), 0) if value.kind == "name" else ""


def _named(program: Program, path: str, steps: list[str], depth: int) -> str:
    found = next((text for text in _here(program, path, steps) if text), "")
    taken = program.imports[path].get(steps[0])
    if found or taken is None or depth > FARTHEST:
        return found
    target = program.resolver.resolve(path, taken.source)
    if path.endswith(".py"):  # `from app import queues`
        target = program.resolver.resolve(path, f"{taken.source.rstrip('.')}.{taken.name}") or target
    if target not in program.modules:
        return ""
    name = [] if taken.name in ("*", "default") or target.endswith(f"/{taken.name}.py") else [taken.name]
    return _named(program, target, [*name, *steps[1:]], depth + 1) if name or steps[1:] else ""


def _here(program: Program, path: str, steps: list[str]) -> Iterator[str]:
    """The constants that a file keeps under these names, one below the other."""
    module = program.modules[path]
    for name, value in module.functions[0].assigns:
        if name == steps[0]:
            yield _below(value, steps[1:])
        elif len(steps) == 2 and name == steps[1] and value.kind == "const":  # of a class
            yield value.text
    for one in module.reexports:
        target = program.resolver.resolve(path, one.source) if one.source else ""
        if one.local in (steps[0], "*") and target in program.modules and target != path:
            yield from _here(program, target, [one.name if one.local != "*" else steps[0], *steps[1:]])


def _below(value: Expr, steps: list[str]) -> str:
    if value.kind == "call" and value.parts:  # `Object.freeze({ … })`
        value = value.parts[0]
    for step in steps:
        value = dict(zip(value.keys, value.parts, strict=False)).get(step, Expr("mix"))
    return value.text if value.kind == "const" else ""


def called(program: Program, text: str) -> set[str]:
    """The names by which files of a program speak of a constant: `USAGE_QUEUE`, `QUEUES.USAGE`."""
    assigns = (one for module in program.modules.values() for one in module.functions[0].assigns)
    found = {name for given, value in assigns for name in _naming(given, value, text)}
    return {one for one in found if len(one) > 3}


def _naming(name: str, value: Expr, text: str, depth: int = 0) -> Iterator[str]:
    if value.kind == "const" and value.text == text:
        yield name
    if value.kind == "call" and value.parts:
        value = value.parts[0]
    for key, part in zip(value.keys, value.parts, strict=False) if depth < FARTHEST else ():
        yield from _naming(f"{name}.{key}", part, text, depth + 1)
