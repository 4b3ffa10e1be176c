"""Waiting for a commit: one ticket a posting, for a thread or for a task."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import Any, Protocol


class Ticket(Protocol):
    """Somebody waits for a result; it is given once."""

    def settle(self, result: Any, error: BaseException | None) -> None:
        """Give the result, or the error."""
        ...


class ThreadTicket:
    """A thread waits."""

    __slots__ = ("_error", "_lock", "_result")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self._result: Any = None
        self._error: BaseException | None = None

    def settle(self, result: Any, error: BaseException | None) -> None:
        """Wake the thread."""
        self._result, self._error = result, error
        self._lock.release()

    def wait(self) -> Any:
        """Block until the result is there."""
        with self._lock:
            if self._error is not None:
                raise self._error
            return self._result


class TaskTicket:
    """A task of an event loop waits; a whole batch wakes its loop once."""

    __slots__ = ("error", "future", "loop", "result", "settled")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None
        self.settled = False

    def settle(self, result: Any, error: BaseException | None) -> None:
        """Keep the result until `wake`."""
        self.result, self.error = result, error
        self.settled = True

    def deliver(self) -> None:
        """On the loop's own thread: give the result to the task, unless it has gone."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


def wake(tickets: Iterable[Ticket]) -> None:
    """Wake the event loops of settled tickets, each loop once; others have still to wait."""
    by_loop: dict[asyncio.AbstractEventLoop, list[TaskTicket]] = {}
    for ticket in tickets:
        if isinstance(ticket, TaskTicket) and ticket.settled:
            by_loop.setdefault(ticket.loop, []).append(ticket)
    for loop, waiting in by_loop.items():
        try:
            loop.call_soon_threadsafe(_deliver_all, waiting)
        except RuntimeError:
            continue  # the loop has closed: nobody waits any more, the entries are durable


def _deliver_all(tickets: list[TaskTicket]) -> None:
    for ticket in tickets:
        ticket.deliver()
