"""Metered work inside metered work: what one meter counts for one customer is counted once.

An endpoint and the function it calls may both be metered. The outer action's own count stands; where it counts
nothing itself, what the inner ones counted does, so that nothing is lost either way. A call of something
`@tally.metered` can be the inner one, in a block (`with`, `async with`) or in another such call; an action that is
written out, with `tally.action` or `tally.aio.open`, stands for itself.
"""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING

from tallystick.errors import DeclarationError

if TYPE_CHECKING:
    from tallystick.actions.action import Action

ONCE, APART = "once", "apart"

# Weak: that an action was never ended is noticed when nobody holds it any more. Nothing is reset when a block
# is left, possibly in another context than it was entered in (generator dependencies): an ended action is no block.
_blocks: ContextVar[tuple[weakref.ref[Action], ...]] = ContextVar("tallystick_blocks", default=())


def check(nested: str) -> str:
    """The word, if it is one; DeclarationError."""
    if nested not in (ONCE, APART):
        raise DeclarationError(
            f'nested={nested!r}; "once": the outer action counts, or "apart": both are counted'
        )
    return nested


def enter(action: Action) -> None:
    """Begin a block; a metered call that an open block counts already becomes its inner one."""
    around = _open_blocks()
    if action.nested == ONCE:
        action.outer = next((outer for outer in reversed(around) if _covers(outer, action)), None)
    _blocks.set((*(weakref.ref(outer) for outer in around), weakref.ref(action)))


def _open_blocks() -> list[Action]:
    found = [block() for block in _blocks.get()]
    return [action for action in found if action is not None and action.is_open]


def _covers(outer: Action, inner: Action) -> bool:
    """Whether both count the same for the same customer; a key of its own is an operation of its own."""
    return outer.subject == inner.subject and inner.key in (None, outer.key)


class Inner:
    """What the inner actions of an action counted on its meter; several threads may add."""

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._unmeasured: list[str] = []

    def add(self, steps: int | None, unmeasured: str | None) -> None:
        """Keep what one inner action came to."""
        if unmeasured is not None:
            self._unmeasured.append(unmeasured)
        elif steps is not None:
            self._steps.append(steps)

    def fill(self, meter: str, steps: dict[str, int], unmeasured: dict[str, str]) -> None:
        """Give an action that counted nothing on its meter what its inner ones did."""
        if meter in steps or meter in unmeasured:
            return
        if self._steps:
            steps[meter] = sum(self._steps)
        if self._unmeasured:
            unmeasured[meter] = self._unmeasured[0]
