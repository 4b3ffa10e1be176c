"""Group commit: concurrent postings of threads and tasks share durable commits.

One writer thread per process takes what is queued, writes it in one transaction, and wakes the
callers after the commit. A posting that the database refuses, or that waits for somebody else's lock,
is singled out by bisection: its neighbours are neither failed nor delayed by it.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from tallystick.errors import EntryRefusedError, LedgerBusyError, LedgerError, LedgerUnreachableError
from tallystick.ledger.model import Entry, Piece, Posted
from tallystick.ledger.posting import is_delivered, post
from tallystick.ledger.ticket import TaskTicket, ThreadTicket, Ticket, wake
from tallystick.storage import Flow, Store, Transaction, drive
from tallystick.values.failpoint import failpoint
from tallystick.values.instant import Clock

Errand = Callable[[], Flow[Any]]


class Item(msgspec.Struct, gc=False):
    """One thing to commit: pieces to post, or an errand of a station downstream."""

    ticket: Ticket
    pieces: Sequence[Piece] = ()
    errand: Errand | None = None


class GroupCommit:
    """The writer of one process.

    `max_batch` bounds a commit (postings), `max_queue` what may wait (postings; callers beyond it wait,
    at most `patience_seconds`, then get LedgerBusyError).
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        max_batch: int = 512,
        max_queue: int = 20_000,
        patience_seconds: float = 5.0,
    ) -> None:
        self._store = store
        self._clock = clock
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._patience = patience_seconds
        self.owes: Callable[[Entry], bool] = is_delivered  # what has to reach the provider
        self.grace = 0  # microseconds that new obligations are left to the inline attempt
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._queue: deque[Item] = deque()
        self._queued = 0
        self._arrived = threading.Condition(threading.Lock())
        self._room = threading.Condition(threading.Lock())
        self._thread: threading.Thread | None = None
        self._stragglers: ThreadPoolExecutor | None = None
        self._broken: LedgerError | None = None
        self._closing = False
        self._idle = True  # the writer waits to be told of arrivals

    def run(self, pieces: Sequence[Piece] = (), errand: Errand | None = None) -> Any:
        """Commit and wait for it, blocking this thread."""
        ticket = ThreadTicket()
        self._make_room()
        self._submit(Item(ticket, pieces, errand))
        return ticket.wait()

    async def run_async(self, pieces: Sequence[Piece] = (), errand: Errand | None = None) -> Any:
        """Commit and wait for it without blocking the event loop.

        Cancelling the caller stops its waiting, never the commit: what it measured has happened.
        """
        ticket = TaskTicket()
        item = Item(ticket, pieces, errand)
        if self._queued >= self._max_queue:
            try:
                await asyncio.get_running_loop().run_in_executor(None, self._make_room)
            except asyncio.CancelledError:
                self._submit(item)
                raise
        self._submit(item)
        return await ticket.future

    def close(self) -> None:
        """Commit what is queued and stop the writer."""
        if self._pid != os.getpid() or self._thread is None:
            return
        with self._arrived:
            self._closing = True
            self._arrived.notify()
        self._thread.join()
        if self._stragglers is not None:
            self._stragglers.shutdown()
        self._reset()

    def _make_room(self) -> None:
        if self._queued < self._max_queue:
            return
        with self._room:
            if not self._room.wait_for(lambda: self._queued < self._max_queue, self._patience):
                raise LedgerBusyError(
                    f"{self._queued} entries wait to be written, more than max_queue={self._max_queue}; "
                    "the database is slower than the traffic"
                )

    def _submit(self, item: Item) -> None:
        if self._pid != os.getpid():
            self._reset()  # a forked child starts its own writer; the parent's queue is the parent's
        if self._broken is not None:
            raise self._broken
        with self._arrived:
            if self._closing:
                raise LedgerError("the ledger is being closed; nothing of this was recorded")
            self._queue.append(item)
            self._queued += len(item.pieces) or 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="tallystick-writer", daemon=True)
                self._thread.start()
            if self._idle:
                self._arrived.notify()
        failpoint("commit.queued")

    def _loop(self) -> None:
        while True:
            with self._arrived:
                self._idle = True
                self._arrived.wait_for(lambda: self._queue or self._closing)
                self._idle = False
                if not self._queue:
                    return
                batch = self._take()
            failpoint("commit.taken")
            self._commit(batch)
            failpoint("commit.settled")
            wake(item.ticket for item in batch)
            with self._room:
                self._room.notify_all()

    def _take(self) -> list[Item]:
        batch: list[Item] = []
        size = 0
        while self._queue and size < self._max_batch:
            item = self._queue.popleft()
            size += len(item.pieces) or 1
            batch.append(item)
        self._queued -= size
        return batch

    def _commit(self, batch: list[Item]) -> None:
        try:
            results = self._write(batch)
        except (EntryRefusedError, LedgerBusyError) as error:
            self._single_out(batch, error)
        except BaseException as error:
            if len(batch) > 1 and not isinstance(error, LedgerError):
                self._single_out(batch, error)  # a value that cannot even be handed to the database
                return
            if isinstance(error, LedgerError) and "I/O error" in str(error):
                # After a failed fsync the kernel may have dropped the page: only a restart is honest.
                self._broken = error
            for item in batch:
                item.ticket.settle(None, error)
        else:
            failpoint("commit.written")
            for item, result in zip(batch, results, strict=True):
                item.ticket.settle(result, None)

    def _write(self, batch: list[Item], *, patience_seconds: float | None = None) -> list[Any]:
        try:
            with self._store.write(patience_seconds=patience_seconds) as transaction:
                return self._run_items(transaction, batch)
        except LedgerUnreachableError:
            # The commit may have happened: the flows are written so that a second run finds out.
            with self._store.write(patience_seconds=patience_seconds) as transaction:
                return self._run_items(transaction, batch)

    def _run_items(self, transaction: Transaction, batch: list[Item]) -> list[Any]:
        pieces = [piece for item in batch for piece in item.pieces]
        now = self._clock.now()
        own_clock = self._store.dialect == "postgres" and not self._clock.frozen
        posted: list[Posted] = []
        if pieces:
            posted = drive(
                transaction,
                post(pieces, due_at=now + self.grace, stamp=None if own_clock else now, delivered=self.owes),
            )
        results: list[Any] = []
        done = 0
        for item in batch:
            if item.errand is not None:
                results.append(drive(transaction, item.errand()))
            else:
                results.append(posted[done : done + len(item.pieces)])
                done += len(item.pieces)
        return results

    def _single_out(self, batch: list[Item], error: BaseException) -> None:
        if len(batch) > 1 and not (isinstance(error, LedgerBusyError) and self._store.dialect == "sqlite"):
            middle = len(batch) // 2
            self._commit(batch[:middle])
            self._commit(batch[middle:])
        elif isinstance(error, LedgerBusyError) and self._store.dialect == "postgres":
            if self._stragglers is None:
                self._stragglers = ThreadPoolExecutor(8, thread_name_prefix="tallystick-straggler")
            for item in batch:
                self._stragglers.submit(self._wait_for_lock, item)
        else:
            for item in batch:
                item.ticket.settle(None, error)

    def _wait_for_lock(self, item: Item) -> None:
        """Write one blocked item by itself, with more patience, beside the writer."""
        try:
            result = self._write([item], patience_seconds=self._patience)[0]
        except BaseException as error:
            item.ticket.settle(None, error)
        else:
            item.ticket.settle(result, None)
        wake([item.ticket])
