"""What a request is sent with, where its body was put together before: `body: JSON.stringify(event)`."""

from __future__ import annotations

import re

from tallystick.audit.program.program import Key, Program
from tallystick.audit.syntax.ir import Expr, Function

FORM = re.compile(r"(?:^|\.)(?:URLSearchParams|FormData|url\.Values)$")
ADDING = re.compile(r"^\w+\.(?:append|set|Set|Add)$")
DEEPEST = 5
WIDEST = 50  # keys of an event


def written_out(program: Program, key: Key, value: Expr, depth: int = 0) -> Expr:
    """A value in which names give way to the objects and forms that their functions put together."""
    if depth > DEEPEST or value.kind == "func":
        return value
    made = _made(program, key, value.text) if value.kind == "name" else None
    if made is not None:
        return written_out(program, key, made, depth + 1)
    # Of what is given as a whole the labels follow by themselves.
    built = _built(program, key, value) if depth else None
    if built is not None or not value.parts:
        return built or value
    each = _each_made(program, key, value)
    if each is not None:
        return written_out(program, key, each, depth + 1)
    parts = tuple(written_out(program, key, one, depth + 1) for one in value.parts)
    return Expr(value.kind, value.text, parts, value.keys)


def _made(program: Program, key: Key, name: str) -> Expr | None:
    """The object that a name is given, with what is added to it afterwards; none where it is anything else."""
    holder: Key | None = key if "." not in name else None
    while holder is not None:
        function = program.function(holder)
        given = [one for given, one in function.assigns if given == name]
        if given:
            given = [_each_made(program, holder, one) or one for one in given]
            whole = all(
                one.kind == "object" or (one.kind == "call" and FORM.search(one.text)) for one in given
            )
            return _with_added(function, name, given) if whole else None
        if any(one.name == name for one in function.bindings):
            return None
        holder = (holder[0], function.parent) if function.parent >= 0 else None
    return None


def _built(program: Program, key: Key, value: Expr) -> Expr | None:
    """The object that a function of the tree puts together: `events: [event_of(customer, tokens)]`."""
    if value.kind == "name":
        given = [one for name, one in program.function(key).assigns if name == value.text]
        value = given[0] if len(given) == 1 else value
    if value.kind != "call":
        return None
    for target in program.targets(key, value.text):
        function = program.function(target)
        made = function.returns[0] if len(function.returns) == 1 else None
        if made is not None and made.kind == "name":
            made = _made(program, target, made.text)
        if made is not None and made.kind == "object" and len(made.keys) <= WIDEST:
            return _seen_by_caller(function, value.parts, made)
    return None


def _seen_by_caller(function: Function, args: tuple[Expr, ...], value: Expr, depth: int = 0) -> Expr:
    """A value in the words of the caller: parameters give way to what it gives, names to what they stand for, once."""
    root, _, below = value.text.partition(".")
    bound = next((one for one in function.bindings if one.name == root), None)
    if value.kind == "call" and bound is not None:
        return Expr("call", "")  # what a parameter answers: unknown
    if value.kind != "name":
        parts = tuple(_seen_by_caller(function, args, one, depth) for one in value.parts)
        return Expr(value.kind, value.text, parts, value.keys)
    if bound is not None and bound.index < len(args):
        given, path = args[bound.index], ".".join(one for one in (bound.path, below) if one)
        if path and given.kind == "name":
            return Expr("name", f"{given.text}.{path}")
        return Expr("call", "") if path else given
    own = [one for name, one in function.assigns if name == value.text]
    if len(own) == 1 and not depth:
        return _seen_by_caller(function, args, own[0], depth + 1)
    return Expr("call", "")


def _each_made(program: Program, key: Key, value: Expr) -> Expr | None:
    """What a list is made into, one after the other: `rows.map((row) => ({ customer_id: row.customer }))`."""
    receiver, _, method = value.text.rpartition(".")
    if value.kind != "call" or method != "map" or not value.parts or value.parts[0].kind != "func":
        return None
    calls = program.function(key).calls
    for one in map(program.function, program.contents.inside(key)):
        if one.via < 0 or str(one.line) != value.parts[0].text:
            continue
        if calls[one.via].callee == value.text and not one.assigns and len(one.returns) == 1:
            return _seen_outside(one, receiver, one.returns[0]) if one.returns[0].kind == "object" else None
    return None


def _seen_outside(function: Function, rows: str, value: Expr) -> Expr:
    """A value in the words of the function around: what each one is called gives way to the rows."""
    if value.kind in ("name", "call"):
        root, _, below = value.text.partition(".")
        bound = next((one for one in function.bindings if one.name == root), None)
        if bound is not None and (bound.index or value.kind == "call"):
            return Expr("call", "")  # a place in the list, or what one of it answers: unknown
        if bound is not None:
            return Expr("name", ".".join(one for one in (rows, bound.path, below) if one))
    parts = tuple(_seen_outside(function, rows, one) for one in value.parts)
    return Expr(value.kind, value.text, parts, value.keys)


def _with_added(function: Function, name: str, given: list[Expr]) -> Expr:
    objects = [part for one in given for part in ((one,) if one.kind == "object" else one.parts)]
    pairs = [
        pair for one in objects if one.kind == "object" for pair in zip(one.keys, one.parts, strict=False)
    ]
    added = [one for one in function.calls if ADDING.search(one.callee) and len(one.args) == 2]
    added = [one for one in added if one.callee.partition(".")[0] == name and one.args[0].kind == "const"]
    pairs += [(one.args[0].text, one.args[1]) for one in added]
    pairs += [
        (one.rpartition(".")[2], value) for one, value in function.assigns if one.startswith(f"{name}.")
    ]
    return Expr("object", "", tuple(part for _, part in pairs), tuple(key for key, _ in pairs))
