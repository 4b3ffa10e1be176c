"""The sequencer: gives committed entries gapless positions per lane, extends the chain, adds totals.

It reads and hashes outside the writing transaction and moves each lane's head by compare-and-set, so
that two sequencers cannot both win. Everything it writes can be computed again from the entries.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from typing import Any

import msgspec

from tallystick.errors import LedgerBusyError
from tallystick.ledger.chain import START, extend
from tallystick.ledger.model import Entry, Kind, to_entry
from tallystick.meters import Catalogue
from tallystick.storage import Flow, Statement, Store, drive
from tallystick.values.failpoint import failpoint
from tallystick.values.instant import HOUR, SECOND

LIMB = 10**9


class LaneStep(msgspec.Struct, frozen=True):
    """What one lane advances by: the head before, the head after, and the rows between."""

    lane: int
    before: int
    after: int
    hash: bytes
    positions: list[tuple[int, int, bytes, bytes]]


class HeadMoved(Exception):
    """Another sequencer advanced a lane meanwhile; nothing was written."""


def project(attributes: str, wanted: tuple[str, ...]) -> str:
    """The declared attributes of an entry, as canonical JSON ('' for none)."""
    if not attributes or not wanted:
        return ""
    values = json.loads(attributes)
    kept = {name: values[name] for name in wanted if name in values}
    return json.dumps(kept, sort_keys=True, separators=(",", ":")) if kept else ""


class Sequencer:
    """Advances all lanes of one ledger; run by the relay."""

    def __init__(self, store: Store, catalogue: Catalogue, *, batch: int = 1000) -> None:
        self._store = store
        self._catalogue = catalogue
        self._batch = batch

    def step(self) -> int:
        """Sequence one batch; how many entries it took (0 when there is nothing, or somebody else did it)."""
        with self._store.read() as transaction:
            rows = drive(transaction, _read(self._batch))
            heads = {lane: (position, bytes(hash_)) for lane, position, hash_ in rows[1]}
        entries = [to_entry(row) for row in rows[0]]
        if not entries:
            return 0
        known = rows[2]
        fresh = [e for e in entries if (e.lane, e.entry) not in known]
        steps = list(_advance(fresh, heads))
        totals = self._totals(fresh)
        holds = [(e.lane, e.entry, self._due_at(e)) for e in fresh if e.kind is Kind.HOLD]
        failpoint("sequencer.read")
        try:
            with self._store.write() as transaction:
                drive(transaction, _write(steps, totals, holds, [(e.lane, e.entry) for e in entries]))
        except (HeadMoved, LedgerBusyError):
            return 0  # another sequencer is at it
        failpoint("sequencer.written")
        return len(entries)

    def run(self) -> int:
        """Sequence everything there is at the moment; how many entries."""
        done = 0
        while taken := self.step():
            done += taken
        return done

    def is_behind(self) -> bool:
        """Whether entries wait for their position: another process is at it, or was killed before it came to them."""
        with self._store.read() as transaction:
            return bool(drive(transaction, _waiting()))

    def _due_at(self, hold: Entry) -> int:
        """When the meter's patience with a hold ends; a meter not declared here is looked at by the sweep."""
        patience = self._catalogue[hold.meter].hold_seconds if hold.meter in self._catalogue else 0
        return hold.recorded_at + patience * SECOND

    def _totals(self, entries: Iterable[Entry]) -> list[tuple[Any, ...]]:
        sums: dict[tuple[Any, ...], list[int]] = {}
        for e in entries:
            if e.kind is Kind.HOLD:
                continue
            wanted = self._catalogue[e.meter].attributes if e.meter in self._catalogue else ()
            place = (e.lane, e.tenant, e.mode, e.customer, e.meter, project(e.attributes, wanted))
            cell = sums.setdefault((*place, e.recorded_at // HOUR), [0, 0])
            cell[0] += 1
            cell[1] += e.quantity
        return [(*place, count, *divmod(total, LIMB)) for place, (count, total) in sorted(sums.items())]


def _waiting() -> Flow[Any]:
    return (yield Statement("unsequenced", {"limit": 1}))


def _read(limit: int) -> Flow[tuple[Any, Any, set[tuple[int, bytes]]]]:
    rows = yield Statement("unsequenced", {"limit": limit})
    heads = yield Statement("heads")
    known: set[tuple[int, bytes]] = set()
    if rows:
        found = yield Statement("find_positions", rows=[(row[0], bytes(row[1])) for row in rows])
        known = {(lane, bytes(entry)) for lane, entry in found}
    return rows, heads, known


def _advance(entries: list[Entry], heads: dict[int, tuple[int, bytes]]) -> Iterable[LaneStep]:
    for lane, group in groupby(entries, attrgetter("lane")):
        before, hash_ = heads.get(lane, (0, START))
        position, rows = before, []
        for entry in group:
            position += 1
            hash_ = extend(hash_, position, entry)
            rows.append((lane, position, entry.entry, hash_))
        yield LaneStep(lane, before, position, hash_, rows)


def _write(
    steps: list[LaneStep],
    totals: list[tuple[Any, ...]],
    holds: list[tuple[int, bytes, int]],
    taken: list[tuple[int, bytes]],
) -> Flow[None]:
    for step in steps:
        if step.before == 0:
            yield Statement("insert_head", {"lane": step.lane, "position": 0, "hash": START})
        head = {"lane": step.lane, "position": step.after, "hash": step.hash, "before": step.before}
        moved = yield Statement("move_head", head)
        if moved != 1:
            raise HeadMoved(step.lane)
    failpoint("sequencer.moved")
    positions = [row for step in steps for row in step.positions]
    if positions:
        yield Statement("insert_positions", rows=positions)
    failpoint("sequencer.placed")
    if totals:
        yield Statement("add_totals", rows=totals)
    if holds:
        yield Statement("insert_open_holds", rows=holds)
        yield Statement("sweep_open_holds", {"limit": 2 * len(holds) + 1000})
        yield Statement("clear_progress", {"limit": len(holds) + 100})
    yield Statement("delete_unsequenced", rows=taken)
