"""Cancelling a task stops its waiting, never its entries (F04, F05, F11)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest

from tallystick.app import Tally


@contextmanager
def slow_disk(tally: Tally) -> Iterator[threading.Event]:
    """Commits wait until the event is set."""
    store, go = tally.ledger.store, threading.Event()
    write = store.write

    @contextmanager
    def waiting(**rest: Any) -> Iterator[Any]:
        go.wait(10)
        with write(**rest) as transaction:
            yield transaction

    store.write = waiting  # type: ignore[method-assign]
    try:
        yield go
    finally:
        go.set()
        tally.ledger.commit.close()
        store.write = write  # type: ignore[method-assign]


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_cancelled_while_its_usage_is_written(tally: Tally, counted: Any, resolutions: Any) -> None:
    async def work(inside: asyncio.Event) -> None:
        async with tally.action("tokens", customer="ada", hold=False) as action:
            action.add(5)
            inside.set()

    async def main() -> None:
        with slow_disk(tally) as go:
            inside = asyncio.Event()
            task = asyncio.create_task(work(inside))
            await inside.wait()
            await asyncio.sleep(0)
            await cancelled(task)
            go.set()

    asyncio.run(main())
    assert counted("ada") == [("tokens", 5)]


def test_cancelled_in_the_body(tally: Tally, counted: Any, resolutions: Any) -> None:
    async def work(inside: asyncio.Event) -> None:
        async with tally.action("tokens", customer="ada") as action:
            action.add(5)
            inside.set()
            await asyncio.Event().wait()

    async def main() -> None:
        inside = asyncio.Event()
        task = asyncio.create_task(work(inside))
        await inside.wait()
        await cancelled(task)

    asyncio.run(main())
    assert counted("ada") == [("tokens", 5)]
    assert resolutions() == [("settled", "")]


def test_cancelled_by_a_scope_that_cancels_every_await(tally: Tally, counted: Any, resolutions: Any) -> None:
    async def work() -> None:
        with anyio.CancelScope() as scope:
            async with tally.action("tokens", customer="ada") as action:
                action.add(5)
                scope.cancel()
                await anyio.sleep(1)

    anyio.run(work)
    tally.ledger.commit.close()
    assert counted("ada") == [("tokens", 5)]
    assert resolutions() == [("settled", "")]


def test_cancelled_while_its_hold_is_written(tally: Tally, counted: Any, resolutions: Any) -> None:
    async def work() -> None:
        async with tally.action("calls", customer="ada"):
            pytest.fail("the body must not run")

    async def main() -> None:
        with slow_disk(tally) as go:
            task = asyncio.create_task(work())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.sleep(0)
            go.set()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert counted("ada") == []
    assert resolutions() == [("voided", "cancelled before the action ran")]


def test_cancelled_before_there_is_room_in_the_queue(tally: Tally, counted: Any) -> None:
    async def work(inside: asyncio.Event) -> None:
        async with tally.action("tokens", customer="ada", hold=False) as action:
            action.add(5)
            inside.set()

    async def main() -> None:
        with slow_disk(tally) as go:
            tally.ledger.commit._max_queue = 0
            inside = asyncio.Event()
            task = asyncio.create_task(work(inside))
            await inside.wait()
            await asyncio.sleep(0)
            await cancelled(task)
            tally.ledger.commit._max_queue = 100
            go.set()

    asyncio.run(main())
    assert counted("ada") == [("tokens", 5)]
