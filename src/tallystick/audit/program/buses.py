"""What is called without its name: handlers on a bus, by a word or by what they are sent, and what a decorator does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec import structs

from tallystick.audit.program.receivers import EMITS, MADE
from tallystick.audit.syntax.ir import Call, Expr

if TYPE_CHECKING:
    from tallystick.audit.program.program import Key, Program

HANDLES = frozenset(["CommandHandler", "QueryHandler", "EventsHandler"])
RUNS = ("execute", "handle", "run", "process", "perform", "__call__")
KEEPS = re.compile(
    r"(?:^|\.)(?:register|subscribe|on|bind|add|with)(?:[_A-Z]?\w{0,40}(?:[hH]andler|[cC]ommand|[lL]istener|[sS]ubscriber"
    r"|[iI]nstance|[cC]onsumer|[pP]rocessor|[jJ]ob))?$"
)
SENDS = re.compile(r"^(?:execute|run|invoke|handle|enqueue|dispatch\w{0,20}|send\w{0,20})$")
SPREAD = "singledispatch"
LEFT = ("__exit__", "__aexit__")
SCRIPTS = (".ts", ".js", ".mjs", ".cjs", ".tsx", ".py")


def subscribed(decorator: Expr) -> list[str]:
    """What a decorated method of NestJS handles: `@CommandHandler(ReportUsage)`; what `@settle.register` adds to."""
    holder, _, last = decorator.text.rpartition(".")
    if last == "register" and holder:
        return [f"@{holder.rpartition('.')[2]}"]
    if last in HANDLES and decorator.kind == "call":
        return [_sent(one.text) for one in decorator.parts if one.kind == "name"]
    return []


def kept(program: Program, path: str) -> Iterator[tuple[str, Key]]:
    """Handlers that are given to a bus as objects: `bus.register("report", new Report())`."""
    for index, function in enumerate(program.modules[path].functions if path.endswith(SCRIPTS) else ()):
        for call in function.calls:
            word = call.args[0] if len(call.args) > 1 and KEEPS.search(call.callee) else None
            if word is None or word.kind not in ("const", "name"):
                continue
            sent = f"={word.text}" if word.kind == "const" else _sent(word.text)
            if word.kind == "const" or MADE.match(word.text.rpartition(".")[2]):
                for one in call.args[1:3]:
                    yield from ((sent, key) for key in _handling(program, (path, index), one))


def _handling(program: Program, caller: Key, value: Expr) -> list[Key]:
    """The method by which an instance, or a class that is handed on, does what it is for."""
    found = sorted(program.instances.of(caller, value))
    methods = (program.classes.method(one, name) for one in found for name in RUNS)
    return [key for key in methods if key is not None][:1]


def _sent(name: str) -> str:
    return f"new {name.rpartition('.')[2]}"


def asked(program: Program, path: str, call: Call) -> list[tuple[Key, Call]]:
    """Who handles what a bus is given: `execute(new Report(n))`, `send("report", n)`, `commands.report.send(n)`."""
    holder, _, method = call.callee.rpartition(".")
    if not holder or not path.endswith(SCRIPTS) or not (SENDS.search(method) or EMITS.search(method)):
        return []
    first = call.args[0] if call.args else None
    if first is not None and first.kind == "call":
        keys = program.listeners.get(_sent(first.text), ())
        return [(key, structs.replace(call, args=(_fields(program, path, first),))) for key in keys]
    if first is not None and first.kind == "const":
        given = structs.replace(call, args=call.args[1:])
        return [(key, given) for key in program.listeners.get(f"={first.text}", ())]
    word = holder.rpartition(".")[2]
    return [(key, call) for key in program.listeners.get(f"={word}", ()) if "." in holder]


def _fields(program: Program, path: str, made: Expr) -> Expr:
    """`new ReportUsage(customer, n)` as the object it is, by the parameters of its constructor."""
    one = program.classes.named(path, made.text)
    own = program.classes.methods.get(one, {}) if one is not None else {}
    key = own.get("constructor") or own.get("__init__")
    names = [bound.name for bound in program.function(key).bindings if not bound.path] if key else []
    return Expr("object", "", made.parts, tuple(names)) if len(names) == len(made.parts) else made


def beside(program: Program, caller: Key, call: Call, targets: list[Key]) -> Iterator[Key]:
    """What runs as well when a function is called: its decorators' insides, and what `@settle.register` adds to it."""
    for target in targets:
        for one in program.function(target).decorators:
            if one.text.rpartition(".")[2] == SPREAD:
                yield from program.listeners.get(f"@{program.function(target).name}", ())
            yield from _around(program, target, one.text)
    made = (
        program.classes.named(caller[0], call.callee) if MADE.match(call.callee.rpartition(".")[2]) else None
    )
    if made is not None and not targets:  # `with Metered(user):`
        left = (program.classes.method(made, name) for name in LEFT)
        yield from (key for key in left if key is not None)


def _around(program: Program, target: Key, decorator: str) -> Iterator[Key]:
    """The functions in a decorator that call what it is given: `@metered`, on a method that is no route."""
    for maker in program.targets((target[0], 0), decorator):
        inside = [maker, *program.contents.inside(maker)]
        inside += [below for one in inside[1:] for below in program.contents.inside(one)]
        known = {bound.name for one in inside for bound in program.function(one).bindings}
        for one in inside[1:]:
            if one != target and any(call.callee in known for call in program.function(one).calls):
                yield one
