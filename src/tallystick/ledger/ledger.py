"""The ledger of one application: assembled from store, group commit and reading."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

import msgspec

from tallystick.errors import ConfigError, EntryRefusedError, LedgerError, TransactionError
from tallystick.ledger import absolutes, reading
from tallystick.ledger.commit import GroupCommit
from tallystick.ledger.model import Entry, Kind, Piece, Posted, Posting
from tallystick.ledger.posting import post
from tallystick.ledger.reading import FOREVER, Partition, Usage
from tallystick.ledger.sequencer import Sequencer
from tallystick.meters import Catalogue, Meter
from tallystick.storage import Flow, Statement, Store, drive
from tallystick.storage.borrowed import is_async, post_on, post_on_async
from tallystick.values.failpoint import failpoint
from tallystick.values.identifiers import Ids, SystemIds
from tallystick.values.instant import Clock, SystemClock

T = TypeVar("T")
_riding: ContextVar[tuple[str, Callable[[], bool]] | None] = ContextVar("tallystick_riding", default=None)


class Carried(msgspec.Struct, frozen=True):
    """What was posted on the application's transaction, and whether that transaction is over."""

    posted: Posted
    ended: Callable[[], bool]


class Ledger:
    """The append-only entries of one database.

    `tenant` and `mode` are the partition that reads are about; every entry carries its own.
    """

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        *,
        tenant: str = "default",
        mode: str = "test",
        clock: Clock | None = None,
        ids: Ids | None = None,
        max_batch: int = 512,
        max_queue: int = 20_000,
        patience_seconds: float = 5.0,
    ) -> None:
        self.store = store
        self.where = Partition(tenant, mode)
        self.clock = clock or SystemClock()
        self.ids = ids or SystemIds()
        self.commit = GroupCommit(
            store, self.clock, max_batch=max_batch, max_queue=max_queue, patience_seconds=patience_seconds
        )
        self.sequencer = Sequencer(store, catalogue)
        self._max_batch = max_batch
        self.identity = self._identify()
        self._declare(catalogue)

    def _identify(self) -> str:
        """The ledger's own id, made when its database is first used."""
        with self.store.read() as transaction:
            found = drive(transaction, _query("identity"))
        if not found:
            params = {"ledger": self.ids.next().hex(), "created_at": self.clock.now()}
            with self.store.write() as transaction:
                drive(transaction, _query("insert_identity", params))
                found = drive(transaction, _query("identity"))
        return str(found[0][0])

    def _declare(self, catalogue: Catalogue) -> None:
        """Write down what is fixed of each meter; ConfigError when the ledger knows one otherwise."""
        known = self.read(reading.meters(self.where))
        rows = sorted(
            (self.where.tenant, m.name, m.formula, m.decimals) for m in catalogue if m.name not in known
        )
        if rows:
            with self.store.write() as transaction:
                drive(transaction, _query("insert_meters", rows=rows))
            known = self.read(reading.meters(self.where))
        for meter in catalogue:
            _refuse_change(meter, *known[meter.name])

    def post(self, posting: Posting) -> Posted:
        """Post and wait until it is durable; LedgerError when it cannot be written."""
        self._refuse_lock_out()
        posted: Posted = self.commit.run((self._piece(posting),))[0]
        return posted

    async def post_async(self, posting: Posting) -> Posted:
        """The awaitable `post`."""
        self._refuse_lock_out()
        posted: Posted = (await self.commit.run_async((self._piece(posting),)))[0]
        return posted

    def post_many(self, postings: Sequence[Posting]) -> list[Posted]:
        """Post many pieces, sharing commits; results in the given order."""
        self._refuse_lock_out()
        results: list[Posted] = []
        size = self._max_batch * 4
        for start in range(0, len(postings), size):
            results += self.commit.run([self._piece(p) for p in postings[start : start + size]])
        return results

    def post_on(self, connection: Any, posting: Posting) -> Any:
        """Post on the application's open transaction: a Carried, or an awaitable of one."""
        if is_async(connection):
            return self._post_on_async(connection, posting)
        posted, ended = post_on(connection, self.store.dialect, lambda: self._carried(posting))
        _riding.set((self.identity, ended))
        return Carried(posted, ended)

    def present(self) -> int:
        """The present instant by the clock that stamps entries."""
        [(now,)] = self.read(_query("present", {"stamp": self._stamp()}))
        return int(now)

    def _stamp(self) -> int | None:
        """The instant that entries are given; None: the database's own clock gives it."""
        own_clock = self.store.dialect == "postgres" and not self.clock.frozen
        return None if own_clock else self.clock.now()

    def _refuse_lock_out(self) -> None:
        """On SQLite a separate posting would wait for the very transaction this context holds open."""
        riding = _riding.get()
        if riding is None or self.store.dialect != "sqlite" or riding[0] != self.identity:
            return
        if not riding[1]():
            raise TransactionError(
                "this request holds an open transaction on the ledger's SQLite file: a separate record would wait for "
                "it for ever; give that transaction as on="
            )

    async def _post_on_async(self, connection: Any, posting: Posting) -> Carried:
        posted, ended = await post_on_async(connection, self.store.dialect, lambda: self._carried(posting))
        _riding.set((self.identity, ended))
        return Carried(posted, ended)

    def _carried(self, posting: Posting) -> Flow[Posted]:
        found = yield Statement("identity")
        if not found or found[0][0] != self.identity:
            raise TransactionError(
                "on= reaches another ledger than this Tally's; point TALLYSTICK_STORE at the application's database"
            )
        if any(e.quantity < 0 and e.kind is Kind.USAGE for e in posting.entries):
            raise EntryRefusedError("usage is never negative; nothing was written on your transaction")
        posted = yield from post(
            [self._piece(posting)],
            due_at=self.clock.now() + self.commit.grace,
            stamp=self._stamp(),
            delivered=self.commit.owes,
        )
        failpoint("ledger.carried")
        return posted[0]

    def _piece(self, posting: Posting) -> Piece:
        failpoint("ledger.posting")
        return Piece(posting, self.ids.next() if posting.resolution is not None else b"")

    def committed(self, entries: Sequence[tuple[int, bytes]]) -> set[bytes]:
        """Which of these (lane, entry) pairs are committed, read back on a connection of our own."""
        with self.store.read() as transaction:
            rows = drive(transaction, _query("find_committed", rows=list(entries)))
        return {bytes(row[0]) for row in rows}

    async def committed_async(self, entries: Sequence[tuple[int, bytes]]) -> set[bytes]:
        """The awaitable `committed`."""
        return await asyncio.to_thread(self.committed, entries)

    def usage(
        self,
        customer: str,
        meter: Meter,
        since: int,
        until: int,
        *,
        by: str | None = None,
        group_by: str | None = None,
    ) -> list[Usage]:
        """Exact usage of [since, until), microseconds since 1970 UTC; see `reading.usage`."""
        read = absolutes.usage if meter.formula.is_absolute else reading.usage
        return self.read(read(self.where, customer, meter, since, until, by=by, group_by=group_by))

    def entries(
        self,
        customer: str,
        meters: Sequence[str],
        *,
        since: int = 0,
        until: int = FOREVER,
        limit: int = 1000,
        on: Any = None,
    ) -> list[Entry]:
        """Usage and corrections of one customer in the order of time, also those uncommitted on `on`."""
        flow = reading.entries_of(self.where, customer, tuple(meters), since, until, limit)
        if on is None:
            return self.read(flow)
        found: list[Entry] = post_on(on, self.store.dialect, lambda: flow)[0]
        return found

    def open_holds(self, limit: int = 1000) -> list[Entry]:
        """Holds without a resolution, oldest first."""
        return self.read(reading.open_holds(self.where, limit))

    def find(self, place: tuple[int, bytes]) -> Entry | None:
        """The entry with this lane and id (`from_public` gives them), if there is one."""
        return self.read(reading.find(place))

    def totals(self) -> dict[tuple[str, str], tuple[int, int]]:
        """(entries, steps) per customer and meter, as the sequencer keeps them."""
        return self.read(reading.sums(self.where, "all_totals"))

    def recomputed_totals(self) -> dict[tuple[str, str], tuple[int, int]]:
        """The same, added up again from the raw entries; equal when everything is sequenced."""
        return self.read(reading.sums(self.where, "sum_entries"))

    def broken_links(self) -> list[str]:
        """Where the hash chains do not hold (empty: unbroken)."""
        return [problem for lane in reading.lanes() for problem in self.read(reading.broken_links(lane))]

    def read(self, flow: Flow[T]) -> T:
        """Run a reading flow on a consistent snapshot."""
        with self.store.read() as transaction:
            return drive(transaction, flow)

    def close(self) -> None:
        """Commit what is queued, stop the writer, close the connections."""
        self.commit.close()
        self.store.close()


def _refuse_change(meter: Meter, formula: str, decimals: int) -> None:
    for what, now, before in (
        ("decimals", meter.decimals, decimals),
        ("formula", meter.formula.value, formula),
    ):
        if now != before:
            raise ConfigError(
                f"meter {meter.name!r}: {what} = {now!r} here, but its entries in this ledger were recorded with "
                f"{before!r}; that is fixed for ever: declare a meter of another name"
            )


def _query(name: str, params: dict[str, Any] | None = None, rows: Any = None) -> Flow[Any]:
    result = yield Statement(name, params or {}, rows)
    if result is None:
        raise LedgerError(f"query {name} gave nothing")
    return result
