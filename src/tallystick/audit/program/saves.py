"""Functions that Django runs whenever a row is saved: `@receiver(post_save, sender=Usage)`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import structs

from tallystick.audit.syntax.ir import Call, Expr, Function

if TYPE_CHECKING:
    from tallystick.audit.program.program import Key, Program

SAVED = re.compile(r"(?:^|\.)(?:pre|post)_save$")
CONNECTS = re.compile(r"(?:^|\.)(?:pre|post)_save\.connect$")
WRITES = re.compile(r"^(?:\w+\.)*(\w+)\.objects\.a?(create|get_or_create|update_or_create)$")
MADE = re.compile(r"^(?:\w+\.)*([A-Z]\w*)$")
SAVES = re.compile(r"^(\w+)(\(\))?\.a?save$")


def listens(program: Program, key: Key) -> bool:
    """Whether a function is run by the saves of a model."""
    return any(name.endswith(".save") and key in keys for name, keys in program.listeners.items())


def senders(decorator: Expr) -> list[str]:
    """The models whose saves a decorator subscribes to; those of every model are `.save` alone."""
    first = decorator.parts[0] if decorator.parts else None
    given = (first, *first.parts) if first is not None else ()
    if not any(one.kind == "name" and SAVED.search(one.text) for one in given):
        return []
    return _sent(decorator.parts)


def connected(program: Program, path: str) -> list[tuple[str, Key]]:
    """The functions that a call subscribes: `post_save.connect(report, sender=Usage)`."""
    return [
        (name, key)
        for index, function in enumerate(program.modules[path].functions if path.endswith(".py") else ())
        for call in function.calls
        if CONNECTS.search(call.callee) and call.args and call.args[0].kind == "name"
        for key in program.targets((path, index), call.args[0].text)
        for name in _sent(call.args)
    ]


def _sent(given: tuple[Expr, ...]) -> list[str]:
    """`sender=Usage`, `sender="billing.Usage"`."""
    pairs = [pair for one in given for pair in zip(one.keys, one.parts, strict=False)]
    named = [value.text.rpartition(".")[2] for key, value in pairs if key == "sender"]
    return [f"{one}.save" for one in named or [""]]


def heard(program: Program, caller: Key, call: Call) -> list[tuple[Key, Call]]:
    """Who a write of a row runs: given the sender, and the row as it is written."""
    if not caller[0].endswith(".py"):
        return []
    model, row = _written(program.function(caller), call)
    told = structs.replace(call, args=(Expr("name", model), *row))
    return [(key, told) for key in program.listeners.get(f"{model}.save", ())] if model else []


def _written(function: Function, call: Call) -> tuple[str, tuple[Expr, ...]]:
    """The model that a call writes a row of, and the row where the call says it."""
    direct = WRITES.match(call.callee)
    if direct is not None:
        return direct[1], call.args[-1:] if direct[2] == "create" else ()
    saved = SAVES.match(call.callee)
    if saved is None:
        return "", ()
    if saved[2]:
        return saved[1], ()
    made = [value for name, value in function.assigns if name == saved[1] and value.kind == "call"]
    named = [hit[1] for one in made if (hit := MADE.match(one.text))]
    return (named[-1], made[-1].parts[-1:]) if len(named) == len(made) == 1 else ("", ())
