"""Where the simulated world touches the real code: disk, group commit, wire, threads."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tallystick import Catalogue, Tally
from tallystick.delivery.courier import Courier, Expedition
from tallystick.errors import LedgerBusyError, LedgerUnreachableError
from tallystick.ledger.commit import GroupCommit, Item
from tallystick.ledger.model import Entry
from tallystick.ledger.ticket import ThreadTicket
from tallystick.meters.config import DeliverySettings
from tallystick.reconciliation.clocks import Clocks
from tallystick.storage.port import Statement, Transaction
from tallystick.storage.sqlite import SqliteStore
from tallystick.values.identifiers import SeededIds
from tests.simulation.providers import connect
from tests.simulation.restored import Note
from tests.simulation.stand_in import StandIn
from tests.simulation.stripe_account import StripeAccount
from tests.simulation.wire import Line
from tests.simulation.witness import Witness
from tests.simulation.world import SECOND, Process, World

BASE = "http://stripe.invalid"
MINUTE = 60 * SECOND


class BrittleTransaction:
    """A transaction during which the process may die at every statement."""

    def __init__(self, inner: Transaction, world: World) -> None:
        self._inner = inner
        self._world = world

    def run(self, statement: Statement) -> Any:
        """Run one named query, unless the process dies before."""
        self._world.crash_point(statement.query)
        return self._inner.run(statement)


class BrittleStore(SqliteStore):
    """The real store on a real file; only fsync is left out, because no power cut happens here."""

    def __init__(
        self, path: Path, world: World, *, busy_rate: float = 0, unreachable_rate: float = 0
    ) -> None:
        self._world = world
        self._busy_rate = busy_rate
        self._unreachable_rate = unreachable_rate
        super().__init__(path, relaxed=True)
        world.stores.append(self)

    @contextmanager
    def write(self, *, patience_seconds: float | None = None) -> Iterator[Any]:
        """A transaction; it may find the database locked, or lose the answer to its commit."""
        self._world.boundary("begin")
        chance = self._world.random.random() if self._world.current else 0.5
        if chance < self._busy_rate:
            raise LedgerBusyError("another connection held the write lock longer than the budget")
        with super().write() as transaction:
            yield BrittleTransaction(transaction, self._world)
            self._world.crash_point("commit")
        if 1 - chance < self._unreachable_rate:
            raise LedgerUnreachableError("the connection broke before the commit was answered")
        self._world.boundary("committed")

    @contextmanager
    def read(self) -> Iterator[Any]:
        """A consistent read."""
        self._world.boundary("read")
        with super().read() as transaction:
            yield transaction


class SharedCommit(GroupCommit):
    """Group commit without a thread of its own: whoever comes first writes what is queued by then."""

    def __init__(self, world: World, store: SqliteStore, process: Process) -> None:
        super().__init__(store, process)
        self._world = world

    def run(self, pieces: Sequence[Any] = (), errand: Callable[[], Any] | None = None) -> Any:
        """Commit and wait for it."""
        ticket = ThreadTicket()
        self._queue.append(Item(ticket, pieces, errand))
        self._queued += len(pieces) or 1
        self._world.boundary("queued")
        nap = SECOND // 1000
        while ticket._lock.locked():
            if self._queue:
                self._commit(self._take())
            else:  # somebody else has it in hand
                self._world.sleep(nap)
                nap = min(nap * 2, MINUTE)
        return ticket.wait()


class Threads:
    """The relay's pool, as threads of the simulated process."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """All at once; results in order."""
        results: dict[int, Any] = {}
        failures: list[Exception] = []

        def work(index: int, item: Any) -> None:
            results[index] = None
            try:
                results[index] = function(item)
            except Exception as error:
                failures.append(error)

        threads = [
            self._world.spawn(self._process, lambda i=index, x=item: work(i, x))  # type: ignore[misc]
            for index, item in enumerate(items)
        ]
        self._world.wait(lambda: all(thread.done for thread in threads), SECOND // 200)
        if failures:
            raise failures[0]
        return iter([results[index] for index in range(len(items))])

    def shutdown(self) -> None:
        """Nothing to stop."""


class GreenCourier(Courier):
    """The inline attempt in threads of the simulated process."""

    def __init__(self, world: World, process: Process, tally: Tally) -> None:
        assert tally.sender is not None
        super().__init__(tally.sender)
        self._world = world
        self._process = process

    def expedite(self, entries: Sequence[Entry], *, budget_seconds: float) -> Expedition:
        """Send in a thread; wait for part of the budget, or for nothing."""
        if self._sender.breaker.is_open:
            return Expedition(0)
        places: dict[Any, list[tuple[bytes, Expedition]]] = {}
        expedition = Expedition(len(entries))
        for e in entries:
            place = (e.lane, e.tenant, e.mode, e.customer, e.meter)
            places.setdefault(place, []).append((e.entry, expedition))
        for place, waiting in places.items():
            self._world.spawn(self._process, lambda p=place, w=waiting: self._send(p, w))  # type: ignore[misc]
        self._world.sleep(self._world.random.randrange(int(budget_seconds * SECOND)))
        return Expedition(0)


def start_tally(
    world: World,
    process: Process,
    store: SqliteStore,
    meters: Catalogue,
    account: StripeAccount | StandIn,
    witness: Witness,
    *,
    way: str,
    mode: str,
    incarnation: int,
    note: Note | None,
) -> Tally:
    """A Tally as an application starts it, wired into the world."""
    line = Line(world, account, witness)
    provider = connect(way, mode, line, world, has_reports=account.has_reports)
    settings = DeliverySettings(inline=True, budget_ms=300, relay="process")
    ids = SeededIds(incarnation)
    anchors = [note] if note is not None else []
    tally = Tally(
        store,
        meters,
        provider=provider,
        mode=mode,
        delivery=settings,
        clock=process,
        ids=ids,
        anchors=anchors,
    )
    shared = SharedCommit(world, store, process)
    shared.grace = tally.ledger.commit.grace
    tally.ledger.commit = shared
    tally.courier = GreenCourier(world, process, tally)
    anchoring = [tally.anchoring.chore] if tally.anchoring is not None else []
    chores = [c for c in tally.relay._chores if not isinstance(getattr(c, "__self__", None), Clocks)]
    others = [chore for chore in chores if chore not in anchoring]  # without Clocks: all go by the world's
    often = 60 * MINUTE if account.has_reports else 360 * MINUTE
    tally.relay._chores = (Seldom(others, process, often), *anchoring)
    tally.relay._pool = Threads(world, process)  # type: ignore[assignment]
    return tally


class Seldom:
    """The relay's upkeep every so often (microseconds) instead of all the time: months have to pass in a second."""

    def __init__(self, chores: Sequence[Callable[[], int]], process: Process, every: int) -> None:
        self._every = every
        self._chores = chores
        self._process = process
        self._next = 0

    def __call__(self) -> int:
        """Do all of it, if it is time."""
        now = self._process.now()
        if now < self._next <= now + self._every:
            return 0
        self._next = now + self._every
        return sum(chore() for chore in self._chores)


def application_connection(path: Path) -> sqlite3.Connection:
    """The application's own connection to its database, in a transaction."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma synchronous=full")
    connection.execute("begin immediate")
    return connection
