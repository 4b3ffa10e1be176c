"""The words under which functions hand on what they make: keys of objects, fields, tokens of containers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tallystick.audit.syntax.ir import Call, Expr, Function

BELOW = 4  # objects within objects
PROVIDES = ("useClass", "useValue", "useFactory", "useExisting")
BINDS = re.compile(r"bind\(\)\.to(?:Self|ConstantValue|DynamicValue|Service)?$")


def handed_on(function: Function, index: int) -> Iterator[tuple[str, Expr]]:
    """The words, each with a value, under which a function hands anything on."""
    made = {one.callee for one in function.calls}
    for name, value in function.assigns:
        real = value.kind != "call" or value.text in made  # and not only a field's type
        if real and ("." in name or not index):
            yield name.rstrip("'\"]").replace("'", ".").replace('"', ".").rpartition(".")[2], value
    values = [value for _, value in function.assigns] + list(function.returns)
    for value in (*values, *(one for call in function.calls for one in call.args)):
        yield from _kept(value)
    for call in function.calls:
        yield from _called(function, call)


def _kept(value: Expr, depth: int = 0) -> Iterator[tuple[str, Expr]]:
    """The pairs of an object, and of those in it; `{ provide: METER, useClass: Meter }` is one pair."""
    pairs = dict(zip(value.keys, value.parts, strict=False))
    token = pairs.get("provide")
    for name, part in pairs.items():
        if token is None and part.kind in ("name", "call", "func", "mix"):
            yield name, part
        elif token is not None and name in PROVIDES:
            yield token.text.rpartition(".")[2], _classed(part)
    for part in value.parts if depth < BELOW else ():
        if part.kind in ("object", "mix", "call"):
            yield from _kept(part, depth + 1)


def _classed(value: Expr) -> Expr:
    """A class that is handed on by its name, as what is made of it."""
    return Expr("call", "new", (value,)) if value.kind == "name" else value


def _called(function: Function, call: Call) -> Iterator[tuple[str, Expr]]:
    """`c.set("meter", new Meter())`, `container.register("Meter", { useClass: Meter })`, `bind(METER).to(Meter)`."""
    if BINDS.search(call.callee) and call.args:
        start = (call.line, call.column)
        bound = [
            one for one in function.calls if one.callee.endswith("bind") and (one.line, one.column) == start
        ]
        yield from (
            (one.args[0].text.rpartition(".")[2], _classed(call.args[0])) for one in bound if one.args
        )
    word = call.args[0] if len(call.args) > 1 else None
    if word is not None and (
        word.kind == "const" or (word.kind == "name" and call.callee.endswith("register"))
    ):
        for one in call.args[1:3]:
            given = [part for name, part in zip(one.keys, one.parts, strict=False) if name in PROVIDES]
            yield from ((word.text.rpartition(".")[2], _classed(part)) for part in given)
            if not given and one.kind in ("name", "call", "func"):
                yield word.text, one
