"""The request under way: which entries it has committed, which still ride on its transactions."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token

from tallystick.ledger.model import Entry


class Carried:
    """An entry on one of the application's transactions."""

    __slots__ = ("ended", "entries", "source")

    def __init__(self, entries: tuple[Entry, ...], ended: Callable[[], bool], source: str) -> None:
        self.entries = entries
        self.ended = ended
        self.source = source


class Scope:
    """What one request recorded, kept until its response may start."""

    __slots__ = ("carried", "committed", "resolved", "unawaited")

    def __init__(self) -> None:
        self.committed: list[Entry] = []
        self.carried: list[Carried] = []
        self.unawaited: set[object] = set()
        self.resolved = False  # an action ended, even one that did not count

    @property
    def recorded(self) -> bool:
        """Whether the request recorded anything."""
        return bool(self.committed or self.carried)


_current: ContextVar[Scope | None] = ContextVar("tallystick_scope", default=None)


def current() -> Scope | None:
    """The request of this task or thread, if there is one."""
    return _current.get()


def enter(scope: Scope) -> Token[Scope | None]:
    """Make a scope the current one; give the token to `leave`."""
    return _current.set(scope)


def leave(token: Token[Scope | None]) -> None:
    """Go back to the scope before."""
    _current.reset(token)
