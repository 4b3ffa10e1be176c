"""Streams: the quantity grows while parts go out, and is settled however the stream ends.

When the client goes away the server cancels the response; an ordinary `await` in `finally` is cancelled
with it. The settling posting is queued before anything waits, so it reaches the disk all the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from tallystick.errors import QuantityError

if TYPE_CHECKING:
    from tallystick.actions.action import Action

Part = TypeVar("Part")


class Counter:
    """Counts the parts of one stream: increments, or a running total that may start again.

    None means that a part says nothing about the quantity; an explicit zero is a zero.
    """

    def __init__(self, action: Action, count: Callable[[Any], Any], *, cumulative: bool) -> None:
        self._action = action
        self._count = count
        self._cumulative = cumulative
        self._before: Any = 0  # what a running total had reached before it started again
        self._last: Any = 0

    def take(self, part: Any) -> None:
        """Count one part; a quantity that is not exact keeps the hold open instead of breaking the stream."""
        quantity = self._count(part)
        if quantity is None:
            return
        try:
            if not self._cumulative:
                self._action.add(quantity)
                return
            if quantity < self._last:
                self._before += self._last
            self._last = quantity
            self._action.set(self._before + quantity)
        except QuantityError:
            return  # the action keeps what was wrong and stays open, with a finding


async def counted(
    action: Action, parts: AsyncIterable[Part], count: Callable[[Part], Any], *, cumulative: bool
) -> AsyncIterator[Part]:
    """The parts as they come; each is counted before it goes out, because by then it has been produced."""
    counter = Counter(action, count, cumulative=cumulative)
    try:
        async for part in parts:
            counter.take(part)
            yield part
    except BaseException:
        await action.abandon()
        raise
    await action.close()
