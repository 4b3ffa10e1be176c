"""Streams: the quantity grows while parts go out, and is settled however the stream ends.

When the client goes away the server cancels the response; an ordinary `await` in `finally` is cancelled
with it. The settling posting is queued before anything waits, so it reaches the disk all the same.
A part counts as delivered when the consumer comes back for the next one. Meters that bill what is
produced are read by a task of their own (`pump`), which goes on when the client has gone.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from tallystick.errors import QuantityError, TallystickError

if TYPE_CHECKING:
    from tallystick.actions.action import Action

Part = TypeVar("Part")
_DONE = object()


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
        self._parts = 0
        self._told = False

    def take(self, part: Any) -> None:
        """Count one part; a quantity that is not exact keeps the hold open instead of breaking the stream."""
        self._parts += 1
        quantity = self._count(part)
        if quantity is None:
            return
        self._told = True
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

    def break_off(self) -> None:
        """The stream ends early: where no part had said a quantity yet, what was used is not known."""
        if self._parts and not self._told and not self._action.has_counted:
            self._action.distrust("the stream broke off before any part told a quantity")


async def delivered(action: Action, parts: AsyncIterable[Part], counter: Counter) -> AsyncIterator[Part]:
    """The parts as they come; each is counted when the consumer asks for the next."""
    try:
        async for part in parts:
            yield part
            counter.take(part)
            if action.checkpoint_is_due():
                await action.checkpoint()
    except BaseException:
        counter.break_off()
        await action.abandon()
        await _close(parts)
        raise
    await action.close()


async def produced(
    action: Action, parts: AsyncIterable[Part], counter: Counter, *, drain_seconds: float
) -> AsyncIterator[Part]:
    """The parts as they come, counted as upstream gives them, also after the consumer has gone."""
    pump = _Pump(action, parts, counter)
    task = asyncio.create_task(pump.run())
    try:
        while (part := await pump.next()) is not _DONE:
            yield part
        await task
    except BaseException:
        pump.consumer_has_gone(task, drain_seconds)
        raise


class _Pump:
    """Reads upstream in a task of its own and settles the action at its end."""

    def __init__(self, action: Action, parts: AsyncIterable[Any], counter: Counter) -> None:
        self._action = action
        self._parts = parts
        self._counter = counter
        self._queue: asyncio.Queue[Any] = asyncio.Queue(maxsize=1)
        self._alone = False

    async def next(self) -> Any:
        """The next part for the consumer, or the end."""
        return await self._queue.get()

    async def run(self) -> None:
        """Read to the end, or until cancelled (the cap, or the server stops); settle in any case."""
        try:
            async for part in self._parts:
                self._counter.take(part)
                if self._action.checkpoint_is_due():
                    await self._action.checkpoint()
                if not self._alone:
                    await self._queue.put(part)
        except BaseException:
            self._counter.break_off()
            await self._action.abandon()
            await _close(self._parts)
            if self._alone:
                return
            await self._queue.put(_DONE)
            raise
        await self._action.close()
        if not self._alone:
            await self._queue.put(_DONE)

    def consumer_has_gone(self, task: asyncio.Task[None], seconds: float) -> None:
        """Read on without a consumer, at most so long."""
        self._alone = True
        if not self._queue.empty():
            self._queue.get_nowait()  # wakes the reader; the part is counted already
        if not task.done():
            self._action.keep_task(task)
            asyncio.get_running_loop().call_later(seconds, task.cancel)


async def _close(parts: Any) -> None:
    """Close upstream, so that it stops producing; what it says about it does not matter any more."""
    close = getattr(parts, "aclose", None)
    if close is not None:
        try:
            await close()
        except Exception:
            return


class Stream(Iterator[Part]):
    """A stream of synchronous parts: read it as it is (WSGI), or asynchronously (ASGI).

    Asynchronous servers drop a synchronous iterator without closing it when the client goes away; read
    through `__aiter__`, in threads, its end is seen at once.
    """

    def __init__(
        self, synchronous: Generator[Part, None, None], asynchronous: Callable[[], AsyncIterator[Part]]
    ) -> None:
        self._synchronous = synchronous
        self._asynchronous = asynchronous

    def __next__(self) -> Part:
        return next(self._synchronous)

    def __aiter__(self) -> AsyncIterator[Part]:
        return self._asynchronous()

    def close(self) -> None:
        """End the stream early, as WSGI servers do."""
        self._synchronous.close()


async def in_threads(parts: Iterable[Part]) -> AsyncIterator[Part]:
    """Synchronous parts without blocking the event loop."""
    source = iter(parts)
    while (part := await asyncio.to_thread(next, source, _DONE)) is not _DONE:
        yield part  # type: ignore[misc]


def streamed(
    action: Action, parts: Iterable[Part], counter: Counter, *, drain_seconds: float | None
) -> Generator[Part, None, None]:
    """The synchronous form; with `drain_seconds` upstream is read on that long after the consumer has gone."""
    source = iter(parts)
    try:
        for part in source:
            if drain_seconds is not None:
                counter.take(part)
            yield part
            if drain_seconds is None:
                counter.take(part)
            if action.checkpoint_is_due():
                action.checkpoint_now()
    except BaseException as error:
        left = drain_seconds if isinstance(error, GeneratorExit) else None
        _elsewhere(lambda: _end(action, source, counter, left))
        raise
    action.end()


def _end(action: Action, source: Iterator[Any], counter: Counter, drain_seconds: float | None) -> None:
    """Read on if that is billed, then settle what was counted."""
    whole = False
    if drain_seconds is not None:
        whole = _drain(action, source, counter, drain_seconds)
    if not whole:
        counter.break_off()
    try:
        action.end() if whole else action.end_failed()
    except TallystickError:
        return  # it is a finding already


def _drain(action: Action, source: Iterator[Any], counter: Counter, seconds: float) -> bool:
    """Count what upstream still gives; whether that was all of it."""
    until = action.elapsed() + seconds
    try:
        for part in source:
            counter.take(part)
            if action.elapsed() > until:
                return False
    except Exception:
        return False
    return True


def _elsewhere(work: Callable[[], None]) -> None:
    """Run on a thread of its own and wait for it, unless this thread runs an event loop.

    A generator that nobody reads any more is closed by the garbage collector, on whichever thread that
    runs. The thread is no daemon: the interpreter waits for it.
    """
    thread = threading.Thread(target=work, name="tallystick-stream-end")
    thread.start()
    if asyncio._get_running_loop() is None:
        thread.join()
