"""Functions that nothing calls by name, because a table of handlers hands them on: `{ "report-usage": report }`."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from tallystick.audit.program import temporal
from tallystick.audit.program.program import Key, Program
from tallystick.audit.syntax.ir import Expr, Module

TABLE = re.compile(
    r"(?i)(?:handlers?|processors?|workers?|consumers?|registry|listeners?|subscribers?|overrides|executors?"
    r"|(?:job|task)_?(?:definitions|map|types|list)|jobs|tasks|crons)$"
)
RUNS = frozenset(["handler", "handle", "run", "process", "execute", "perform", "fn"])
DEEPEST = 4


def registered(program: Program) -> Iterator[tuple[Key, str]]:
    """Each function in a table of handlers, with the name it is registered under."""
    for path in sorted(program.modules):
        for index, name, table in _tables(program.modules[path]):
            for job, value in _members(table, name):
                for target in _meant(program, (path, index), value):
                    yield target, job
        for target in (*_activities(program, path), *temporal.workflows(program, path)):
            yield target, program.function(target).name


def _activities(program: Program, path: str) -> Iterator[Key]:
    """What Temporal runs: all of `Worker.create({ activities })`, each of `{ report } = proxyActivities()`."""
    functions = program.modules[path].functions
    for call in (one for function in functions for one in function.calls):
        for one in call.args if call.callee.endswith("Worker.create") else ():
            given = (part.text for key, part in zip(one.keys, one.parts, strict=False) if key == "activities")
            yield from (key for name in given for key in program.exports.whole(path, name))
    for name, value in functions[0].assigns:
        if value.kind == "member" and any(one.text.endswith("proxyActivities") for one in value.parts):
            named = [key for key in program.by_name.get(name, ()) if program.function(key).exported]
            yield from named if len(named) == 1 else ()


def _tables(module: Module) -> Iterator[tuple[int, str, Expr]]:
    """The object literals that a name of a table is given to, or that a function of such a name returns."""
    for index, function in enumerate(module.functions):
        for name, value in function.assigns:
            if TABLE.search(name) and "exports" not in name:
                yield index, name, value
            elif name == "module.exports" and _gathers(module.path):
                yield index, name, Expr("object", "", *_files(value))
        for value in function.returns if TABLE.search(function.name) else ():
            yield index, function.name, value


def _gathers(path: str) -> bool:
    """Whether a file stands for a folder of handlers: `jobs/index.js`, `handlers.js`."""
    folder, name = posixpath.split(path.rpartition(".")[0])
    return TABLE.search(posixpath.basename(folder) if name == "index" else name) is not None


def _files(value: Expr) -> tuple[tuple[Expr, ...], tuple[str, ...]]:
    """The values, and the names, of those that are a file each: `{ report: require("./report") }`."""
    pairs = [
        (key, part) for key, part in zip(value.keys, value.parts, strict=False) if part.text == "require"
    ]
    return tuple(part for _, part in pairs), tuple(key for key, _ in pairs)


def _members(value: Expr, job: str, depth: int = 0) -> Iterator[tuple[str, Expr]]:
    """The handlers below a table: its values, what wraps them, and the `run` of a definition."""
    if depth > DEEPEST:
        return
    if value.kind == "object":
        for key, part in zip(value.keys, value.parts, strict=False):
            yield from _members(part, job if key in RUNS or key == "..." else key, depth + 1)
    elif value.kind == "call" and value.text == "require":
        yield job, value
    elif value.kind in ("call", "member") or (value.kind == "mix" and not value.text):
        for part in value.parts:
            yield from _members(part, job, depth + 1)
    elif depth and value.kind in ("name", "func"):
        yield job, value


def _meant(program: Program, caller: Key, value: Expr) -> list[Key]:
    if value.kind == "name":
        own = value.text.removeprefix("self.").removeprefix("this.")
        return program.targets(caller, value.text) if "." not in own else []
    if value.kind == "call":
        return program.exports.required(caller[0], value.parts[0].text) if value.parts else []
    found = program.literal(caller[0], value)
    return [found] if found is not None else []
