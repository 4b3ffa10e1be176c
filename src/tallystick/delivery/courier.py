"""The inline attempt: entries just committed are sent at once, while the response waits a little.

The wait has a budget that stops the waiting, never the sending: a call that is under way ends by
itself, and what it brings is written down. Entries that arrive while their slot is busy go along with
its next dispatch.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence

from tallystick.delivery.model import Attempt
from tallystick.delivery.sender import Sender
from tallystick.errors import TallystickError
from tallystick.ledger.model import Entry
from tallystick.providers import Answer
from tallystick.values.failpoint import failpoint
from tallystick.values.instant import SECOND

Place = tuple[int, str, str, str, str]  # lane, tenant, mode, customer, meter


class Expedition:
    """The entries of one request on their way; done when the provider has answered for all of them."""

    __slots__ = ("_left", "_lock", "_notify")

    def __init__(self, entries: int) -> None:
        self._left = entries
        self._lock = threading.Lock()
        self._notify: Callable[[], None] | None = None

    @property
    def done(self) -> bool:
        """Whether nothing is left to wait for."""
        return self._left <= 0

    def arrive(self) -> None:
        """One entry was answered for, or given to the relay."""
        with self._lock:
            self._left -= 1
            notify = self._notify if self._left == 0 else None
        if notify is not None:
            notify()

    def wait(self, seconds: float) -> bool:
        """Block at most this long; whether all arrived."""
        event = threading.Event()
        if self._listen(event.set):
            event.wait(seconds)
        return self.done

    async def wait_async(self, seconds: float) -> bool:
        """Wait at most this long without blocking the loop; whether all arrived."""
        loop = asyncio.get_running_loop()
        arrived: asyncio.Future[None] = loop.create_future()
        if self._listen(lambda: _wake(loop, arrived)):
            timer = loop.call_later(seconds, _finish, arrived)
            try:
                await arrived
            finally:
                timer.cancel()
        return self.done

    def _listen(self, notify: Callable[[], None]) -> bool:
        with self._lock:
            if self._left <= 0:
                return False
            self._notify = notify
            return True


def _wake(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
    try:
        loop.call_soon_threadsafe(_finish, future)
    except RuntimeError:
        return  # the loop has closed; nobody waits


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Courier:
    """The senders of one application process.

    `threads` bounds the calls in flight, `max_waiting` the places queued (beyond it, and while the
    breaker is open, entries are left to the relay).
    """

    def __init__(self, sender: Sender, *, threads: int = 8, max_waiting: int = 1000) -> None:
        self._sender = sender
        self._threads = threads
        self._max_waiting = max_waiting
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._changed = threading.Condition(threading.Lock())
        self._pending: dict[Place, list[tuple[bytes, Expedition]]] = {}
        self._ready: deque[Place] = deque()
        self._busy: set[Place] = set()
        self._workers: list[threading.Thread] = []
        self._turn = SECOND // 100  # the usual length of a turn, in microseconds
        self._closing = False

    def expedite(self, entries: Sequence[Entry], *, budget_seconds: float) -> Expedition:
        """Send committed entries as soon as possible; never blocks.

        The expedition is done at once when waiting is pointless: the breaker is open, or the queue is
        longer than the budget.
        """
        if self._pid != os.getpid():
            self._reset()
        if self._sender.breaker.is_open or len(self._ready) >= self._max_waiting or self._closing:
            return Expedition(0)
        expedition = Expedition(len(entries))
        with self._changed:
            for e in entries:
                place = (e.lane, e.tenant, e.mode, e.customer, e.meter)
                waiting = self._pending.get(place)
                if waiting is None:
                    waiting = self._pending[place] = []
                    if place not in self._busy:
                        self._ready.append(place)
                waiting.append((e.entry, expedition))
            self._start()
            self._changed.notify(len(entries))
        failpoint("courier.queued")
        expected = (len(self._ready) // self._threads + 1) * self._turn
        return expedition if expected <= budget_seconds * SECOND else Expedition(0)

    def close(self) -> None:
        """Finish the turns under way; what is still queued is left to the relay."""
        if self._pid != os.getpid():
            return
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for worker in self._workers:
            worker.join()
        for waiting in self._pending.values():
            for _, expedition in waiting:
                expedition.arrive()
        self._reset()

    def _start(self) -> None:
        if len(self._workers) < min(self._threads, len(self._ready) + len(self._busy)):
            name = f"tallystick-courier-{len(self._workers)}"
            worker = threading.Thread(target=self._work, name=name, daemon=True)
            self._workers.append(worker)
            worker.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ready or self._closing)
                if self._closing:
                    return
                place = self._ready.popleft()
                waiting = self._pending.pop(place)
                self._busy.add(place)
            began = self._sender.ledger.clock.elapsed()
            try:
                self._send(place, waiting)
            finally:
                self._finish_turn(place, began)

    def _finish_turn(self, place: Place, began: int) -> None:
        with self._changed:
            self._turn += (self._sender.ledger.clock.elapsed() - began - self._turn) // 8
            self._busy.discard(place)
            if place in self._pending:
                self._ready.append(place)
                self._changed.notify()

    def _send(self, place: Place, waiting: list[tuple[bytes, Expedition]]) -> None:
        attempts: list[Attempt] = []
        try:
            failpoint("courier.turn")
            lane, tenant, mode, customer, meter = place
            link = self._sender.links.find([customer]).get(customer)
            if link is not None:
                key = self._sender.slot_key(lane, tenant, mode, link, meter)
                attempts = self._sender.claim({key: [(lane, entry) for entry, _ in waiting]})
            failpoint("courier.claimed")
            answered = self._sender.send_in_turn(attempts)
        except TallystickError:
            answered = []  # the entries are durable and still owed: the relay sends them
        except Exception as error:  # a thread that ends takes its share of all later turns with it
            self._sender.find(
                "courier_failed", "courier", f"{type(error).__name__}: {error}; the relay sends it"
            )
            answered = []
        finally:
            for _, expedition in waiting:
                expedition.arrive()
        if answered:
            self._write_down(answered)

    def _write_down(self, answered: Sequence[tuple[Attempt, Answer]]) -> None:
        failpoint("courier.answered")
        try:
            self._sender.write(answered)
        except TallystickError:
            return  # the dispatches stay `sending` until their slots expire: then the relay asks again
        failpoint("courier.written")
