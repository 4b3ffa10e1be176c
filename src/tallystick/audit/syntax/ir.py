"""The one small form every language is lowered to; rules and flow never see syntax."""

from __future__ import annotations

import msgspec


class Expr(msgspec.Struct, frozen=True, array_like=True):
    """A value: `name` (dotted chain), `const`, `call`, `member`, `object`, `mix`, `func`."""

    kind: str
    text: str = ""
    parts: tuple[Expr, ...] = ()
    keys: tuple[str, ...] = ()


NOTHING = Expr("mix")


class Handler(msgspec.Struct, frozen=True, array_like=True):
    """What a catch does: rethrow, respond, record, accept (answer that all is well), signal, log."""

    line: int
    kind: str


class Call(msgspec.Struct, frozen=True, array_like=True):
    """One call with the context that decides what becomes of it."""

    callee: str
    args: tuple[Expr, ...]
    line: int
    column: int
    end_line: int
    end_column: int
    state: str  # awaited, returned, assigned, floating, void, inner
    handlers: tuple[Handler, ...] = ()
    spawned: bool = False
    answered: Handler | None = None  # what is done when the call does not raise, but answers that it failed


class Binding(msgspec.Struct, frozen=True, array_like=True):
    """A local name that a parameter gives: its index, the path below it, and the type written for it."""

    name: str
    index: int
    path: str = ""
    kind: str = ""


class Function(msgspec.Struct, frozen=True, array_like=True):
    """One function or method; index 0 of a module is its top level."""

    name: str
    owner: str
    line: int
    end_line: int
    parent: int
    exported: bool
    is_async: bool
    bindings: tuple[Binding, ...]
    via: int  # index in the parent's calls of the call this literal is passed to; -1 for none
    decorators: tuple[Expr, ...]
    calls: tuple[Call, ...]
    assigns: tuple[tuple[str, Expr], ...]
    returns: tuple[Expr, ...]
    flags: tuple[str, ...]
    answers: str = ""  # the type written for what it returns


class Import(msgspec.Struct, frozen=True, array_like=True):
    """A local name for something of another module: `*` for the whole, `default` for the default."""

    local: str
    source: str
    name: str


class Module(msgspec.Struct, frozen=True, array_like=True):
    """One lowered file."""

    path: str
    language: str
    functions: tuple[Function, ...]
    imports: tuple[Import, ...]
    reexports: tuple[Import, ...]
    directive: str = ""
    broken: bool = False
    classes: tuple[tuple[str, tuple[str, ...]], ...] = ()  # each with what it extends and implements
