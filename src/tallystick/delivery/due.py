"""What is due: entries that no dispatch carries, dispatches to try again, and what waits."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.delivery.model import Dispatch, Owed, to_dispatch
from tallystick.ledger.reading import Partition
from tallystick.storage import Flow, Statement


def due_obligations(where: Partition, now: int, limit: int) -> Flow[list[Owed]]:
    """Entries that no dispatch carries and whose time has come, longest due first."""
    rows = yield Statement("due_obligations", {**_parameters(where), "now": now, "limit": limit})
    return [Owed(row[0], bytes(row[1]), *row[2:]) for row in rows]


def due_dispatches(where: Partition, now: int, limit: int) -> Flow[list[Dispatch]]:
    """Dispatches to try again, and those whose sender vanished."""
    rows = yield Statement("due_dispatches", {**_parameters(where), "now": now, "limit": limit})
    return [to_dispatch(row) for row in rows]


def postpone(owed: Sequence[Owed], until: int) -> Flow[None]:
    """Look at these entries again later."""
    if owed:
        yield Statement("postpone_obligations", rows=sorted((e.lane, e.entry, until) for e in owed))


def next_due(where: Partition) -> Flow[int | None]:
    """When something of this tenant and mode will be due next (None: nothing is owed)."""
    rows = yield Statement("next_due", _parameters(where))
    due: int | None = rows[0][0]
    return due


def _parameters(where: Partition) -> dict[str, str]:
    return {"tenant": where.tenant, "mode": where.mode}
