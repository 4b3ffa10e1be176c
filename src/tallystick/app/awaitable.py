"""The awaitable view of a Tally, for code on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tallystick.actions.action import Action
from tallystick.actions.recording import Recording
from tallystick.ledger.model import Entry, Posted
from tallystick.ledger.reading import Usage

if TYPE_CHECKING:
    from tallystick.app.tally import Tally


class Awaitable:
    """The awaitable view of a Tally."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def record(self, meter: str, quantity: Any = 1, *, on: Any = None, **rest: Any) -> Recording:
        """`Tally.record` without blocking the loop; a Recording that is never awaited fails the request."""
        posting = self._tally.posting(meter, quantity, **rest)
        recorder = self._tally._recorder
        if on is None:
            return Recording(recorder.post_async(posting), meter, recorder.find)
        carried = recorder.carry(on, posting)
        return Recording(carried if hasattr(carried, "__await__") else _given(carried), meter, recorder.find)

    async def record_many(self, rows: Sequence[Mapping[str, Any]]) -> list[Posted]:
        """`Tally.record_many` without blocking the loop."""
        return await self._tally._recorder.post_many_async([self._tally.posting(**row) for row in rows])

    async def open(self, meter: str, *, customer: Any, **rest: Any) -> Action:
        """An action whose hold is durable; end it with `await action.close()`."""
        action = self._tally.action(meter, customer=customer, **rest)
        return await self._tally._recorder.drive_async(action.opening())

    async def correct(self, entry: Entry | str, *, quantity: Any, reason: str, by: str) -> Posted:
        """`Tally.correct` without blocking the loop."""
        return await asyncio.to_thread(self._tally.correct, entry, quantity=quantity, reason=reason, by=by)

    async def usage(self, customer: str, meter: str, **rest: Any) -> list[Usage]:
        """`Tally.usage` without blocking the loop."""
        return await asyncio.to_thread(self._tally.usage, customer, meter, **rest)


async def _given(posted: Posted) -> Posted:
    return posted
