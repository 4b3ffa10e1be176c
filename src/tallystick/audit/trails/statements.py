"""Statements that are written in one file and sent from another: `query: CREATE_USAGE`, imported from `graphql.ts`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache

from msgspec import structs

from tallystick.audit.models.knowledge import Knowledge
from tallystick.audit.program.resolve import Resolver
from tallystick.audit.syntax.ir import Expr, Import, Module

STATEMENT = re.compile(r"\bmutation\b")  # GraphQL, whatever its variable is called
DEEPEST = 3
Named = list[tuple[str, Expr]]


def constants(value: Expr, depth: int = 0) -> str:
    """The words written out in a value, and its keys: what it speaks of, whatever its variables are called."""
    if depth > DEEPEST + 1:
        return ""
    own = [value.text] if value.kind in ("const", "mix") else []
    return " ".join([*own, *value.keys, *(constants(part, depth + 1) for part in value.parts)])


def stated(modules: Mapping[str, Module], knowledge: Knowledge, resolver: Resolver) -> dict[str, Named]:
    """The files that keep a statement which reports usage, with the names they give it to others by."""
    texts = [text for _, _, text, _, _ in knowledge.sinks if text is not None]

    @cache
    def reports(said: str) -> bool:
        return STATEMENT.search(said) is not None and any(one.search(said) for one in texts)

    found: dict[str, Named] = {}
    for path in sorted(modules):
        pairs = [pair for pair in modules[path].functions[0].assigns if pair[1].kind != "func"]
        kept = [one for pair in pairs for one in _below(*pair) if reports(constants(one[1]))]
        if kept:
            found[path] = kept
    for path in sorted(modules) if found else ():
        handed = list(_taken(modules[path].reexports, path, found, resolver))
        if handed:
            found[path] = [*found.get(path, []), *handed]
    return found


def _below(name: str, value: Expr) -> Named:
    """A constant, or the constants that an object keeps under its name: `MUTATIONS.usage`."""
    if value.kind != "object":
        return [(name, value)]
    return [(f"{name}.{key}", part) for key, part in zip(value.keys, value.parts, strict=False)]


def with_imported(module: Module, known: Mapping[str, Named], resolver: Resolver) -> Module:
    """A module that keeps the statements it imports as if they were its own."""
    taken = tuple(_taken(module.imports, module.path, known, resolver)) if known else ()
    if not taken:
        return module
    top = structs.replace(module.functions[0], assigns=(*module.functions[0].assigns, *taken))
    return structs.replace(module, functions=(top, *module.functions[1:]))


def _taken(
    imports: tuple[Import, ...], path: str, known: Mapping[str, Named], resolver: Resolver
) -> Iterator[tuple[str, Expr]]:
    for one in imports:
        target = resolver.resolve(path, one.source) if one.source else ""
        for name, value in known.get(target, ()) if target != path else ():
            head, _, rest = name.partition(".")
            if one.local == "*":
                yield name, value
            elif one.name == "*":
                yield f"{one.local}.{name}", value
            elif one.name == head:
                yield f"{one.local}.{rest}" if rest else one.local, value
