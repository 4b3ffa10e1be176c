"""What is due: entries that no dispatch carries, dispatches to try again, and what waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tallystick.delivery.model import Dispatch, Owed, to_dispatch
from tallystick.ledger.reading import Partition
from tallystick.storage import Flow, Statement


class Place(msgspec.Struct, frozen=True):
    """Where a round through what is due has come to: behind this one.

    What is due and cannot be sent now (its slot is held) must not hide the rest, so rounds go on behind it.
    """

    due: int = -1
    lane: int = -1
    identity: bytes = b""
    part: int = -1


BEGINNING = Place()


def due_obligations(
    where: Partition, now: int, limit: int, behind: Place = BEGINNING
) -> Flow[tuple[list[Owed], Place]]:
    """Entries that no dispatch carries and whose time has come, longest due first; where the round goes on."""
    rows = yield Statement("due_obligations", _parameters(where, now, limit, behind))
    found = [Owed(row[0], bytes(row[1]), *row[2:8]) for row in rows]
    full = len(found) == limit
    return found, Place(rows[-1][8], found[-1].lane, found[-1].entry) if full else BEGINNING


def due_dispatches(
    where: Partition, now: int, limit: int, behind: Place = BEGINNING
) -> Flow[tuple[list[Dispatch], Place]]:
    """Dispatches to try again, and those whose sender vanished; where the round goes on."""
    rows = yield Statement("due_dispatches", _parameters(where, now, limit, behind))
    found = [to_dispatch(row) for row in rows]
    full = len(found) == limit
    last = found[-1] if full else None
    return found, Place(last.due_at, last.lane, last.dispatch, last.part) if last else BEGINNING


def postpone(owed: Sequence[Owed], until: int) -> Flow[None]:
    """Look at these entries again later."""
    if owed:
        yield Statement("postpone_obligations", rows=sorted((e.lane, e.entry, until) for e in owed))


def next_due(where: Partition) -> Flow[int | None]:
    """When something of this tenant and mode will be due next (None: nothing is owed)."""
    rows = yield Statement("next_due", {"tenant": where.tenant, "mode": where.mode})
    due: int | None = rows[0][0]
    return due


def _parameters(where: Partition, now: int, limit: int, behind: Place) -> dict[str, Any]:
    about = {"tenant": where.tenant, "mode": where.mode, "now": now, "limit": limit}
    return {**about, **msgspec.structs.asdict(behind)}
