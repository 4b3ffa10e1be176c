"""Reading the ledger: usage for display, entries of a customer, open holds, the chain."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from tallystick.ledger.chain import START, extend
from tallystick.ledger.model import Entry, Outcome, Resolution, to_entry
from tallystick.ledger.sequencer import LIMB
from tallystick.meters import Meter
from tallystick.storage import Flow, Statement
from tallystick.values.identifiers import lane_of
from tallystick.values.instant import DAY, HOUR
from tallystick.values.quantity import from_steps

BUCKETS = {"hour": HOUR, "day": DAY}
FOREVER = 2**62


class Usage(msgspec.Struct, frozen=True):
    """The usage of one bucket: [start, end) in microseconds since 1970 UTC, exact quantity, entries.

    `group` is the value of the attribute asked for with `group_by` (None where an entry has none).
    """

    start: int
    end: int
    quantity: Decimal
    entries: int
    group: str | None = None


class Partition(msgspec.Struct, frozen=True):
    """Whose rows: tenant and mode are part of every key."""

    tenant: str
    mode: str

    def of(self, customer: str) -> dict[str, Any]:
        """The parameters that select one customer."""
        lane = lane_of(self.tenant, self.mode, customer)
        return {"lane": lane, "tenant": self.tenant, "mode": self.mode, "customer": customer}


def usage(
    where: Partition,
    customer: str,
    meter: Meter,
    since: int,
    until: int,
    *,
    by: str | None = None,
    group_by: str | None = None,
) -> Flow[list[Usage]]:
    """Usage of [since, until), entries recorded a moment ago included, in one statement.

    Whole hours come from totals and the unsequenced tail, the broken hours at both ends from entries:
    the cost depends on the length of the window, never on the history.
    """
    refuse_unknown(meter, by, group_by)
    first, end = -(-since // HOUR), until // HOUR
    if first >= end:  # within two neighbouring hours: all of it is read from entries
        first = end = 0
        edges = {"since_end": until, "until_start": until}
    else:
        edges = {"since_end": first * HOUR, "until_start": end * HOUR}
    bounds = {"since": since, "until": until, "first_hour": first, "end_hour": end, **edges}
    rows = yield Statement("usage", {**where.of(customer), "meter": meter.name, **bounds})
    return _buckets(rows, meter, since, until, BUCKETS[by] if by else None, group_by)


def refuse_unknown(meter: Meter, by: str | None, group_by: str | None) -> None:
    """ValueError for a bucket that does not exist, or an attribute that the meter does not declare."""
    if by is not None and by not in BUCKETS:
        raise ValueError(f"by={by!r} is not known; use 'hour' or 'day'")
    if group_by is not None and group_by not in meter.attributes:
        raise ValueError(
            f"group_by={group_by!r}: meter {meter.name!r} declares attributes {list(meter.attributes)}; add it there"
        )


def _buckets(
    rows: list[Any], meter: Meter, since: int, until: int, width: int | None, group_by: str | None
) -> list[Usage]:
    cells: dict[tuple[int, str | None], list[int]] = {}
    for hour, attributes, entries, high, low in rows:
        start = int(hour) * HOUR // width * width if width else since
        group = None
        if group_by is not None and attributes:
            value = json.loads(attributes).get(group_by)
            group = None if value is None else str(value)
        cell = cells.setdefault((start, group), [0, 0])
        cell[0] += int(high) * LIMB + int(low)
        cell[1] += int(entries)
    if not cells and width is None and group_by is None:
        cells[since, None] = [0, 0]
    return [
        Usage(start, start + width if width else until, from_steps(steps, meter.decimals), count, group)
        for (start, group), (steps, count) in sorted(cells.items(), key=lambda c: (c[0][0], c[0][1] or ""))
    ]


def entries_of(
    where: Partition, customer: str, meters: tuple[str, ...], since: int, until: int, limit: int
) -> Flow[list[Entry]]:
    """Usage and corrections of one customer in the order of time."""
    found: list[Entry] = []
    for meter in meters:
        params = {**where.of(customer), "meter": meter, "since": since, "until": until, "limit": limit}
        rows = yield Statement("entries_of_customer", params)
        found += [to_entry(row) for row in rows]
    return sorted(found, key=lambda e: (e.recorded_at, e.entry))[:limit]


def meters(where: Partition) -> Flow[dict[str, tuple[str, int]]]:
    """Formula and decimals of every meter this ledger has seen, by name."""
    rows = yield Statement("find_meters", {"tenant": where.tenant})
    return {row[0]: (row[1], row[2]) for row in rows}


def open_holds(where: Partition, limit: int) -> Flow[list[Entry]]:
    """Holds without a resolution, oldest first."""
    return _holds("open_holds", {"tenant": where.tenant, "mode": where.mode, "limit": limit})


def overdue_holds(where: Partition, limit: int) -> Flow[list[Entry]]:
    """Open holds that the sweep has left to a person, oldest first."""
    return _holds("overdue_holds", {"tenant": where.tenant, "mode": where.mode, "limit": limit})


def due_holds(now: int, limit: int) -> Flow[list[Entry]]:
    """Open holds of every tenant and mode whose time is over and that nobody has looked at."""
    return _holds("due_holds", {"now": now, "limit": limit})


def _holds(query: str, params: dict[str, Any]) -> Flow[list[Entry]]:
    rows = yield Statement(query, params)
    return [to_entry(row) for row in rows]


def recorded(holds: Sequence[Entry]) -> Flow[set[bytes]]:
    """Which of these holds have a key that usage was recorded under, by another run of the same operation."""
    keys = {(h.lane, h.tenant, h.mode, h.customer, h.meter, h.key) for h in holds if h.key}
    if not keys:
        return set()
    found = yield Statement("find_keys", rows=sorted(keys))
    taken = {tuple(row[:6]) for row in found}
    return {h.entry for h in holds if (h.lane, h.tenant, h.mode, h.customer, h.meter, h.key) in taken}


def progress(holds: Sequence[Entry]) -> Flow[dict[tuple[bytes, str], int]]:
    """The last checkpoint, in steps, of those holds that have one, by hold and meter."""
    if not holds:
        return {}
    rows = yield Statement("find_progress", rows=[(hold.lane, hold.entry) for hold in holds])
    return {(bytes(row[1]), row[2]): row[3] for row in rows}


def find(place: tuple[int, bytes]) -> Flow[Entry | None]:
    """The entry with this lane and id, if there is one."""
    rows = yield Statement("find_entries", rows=[place])
    return to_entry(rows[0]) if rows else None


def resolution(hold: Entry) -> Flow[Resolution | None]:
    """How a hold ended, if it has."""
    rows = yield Statement("find_resolutions", rows=[(hold.lane, hold.entry)])
    return Resolution(rows[0][0], bytes(rows[0][1]), Outcome(rows[0][2]), *rows[0][3:5]) if rows else None


def referring(entry: Entry) -> Flow[list[Entry]]:
    """Usage of a hold, or the corrections of an entry; of the same meter."""
    place = (entry.lane, entry.customer, entry.meter, entry.recorded_at, entry.entry)
    rows = yield Statement("entries_referring", rows=[place])
    return [to_entry(row) for row in rows]


def sums(where: Partition, query: str) -> Flow[dict[tuple[str, str], tuple[int, int]]]:
    """(entries, steps) per customer and meter, from `all_totals` or recomputed by `sum_entries`."""
    rows = yield Statement(query, {"tenant": where.tenant, "mode": where.mode})
    return {(row[0], row[1]): (int(row[2]), int(row[3]) * LIMB + int(row[4])) for row in rows}


def broken_links(lane: int) -> Flow[list[str]]:
    """Walk a lane's chain and say where it does not hold (empty: unbroken)."""
    hash_, position, problems = START, 0, []
    while True:
        rows = yield Statement("chain", {"lane": lane, "after": position, "limit": 2000})
        for at, stored, *row in rows:
            if at != position + 1:
                problems.append(f"lane {lane}: position {position + 1} is missing")
            position = at
            hash_ = extend(hash_, position, to_entry(row))
            if hash_ != bytes(stored):
                problems.append(f"lane {lane}: the hash at position {position} does not match its entry")
                hash_ = bytes(stored)
        if len(rows) < 2000:
            return problems


def lanes() -> Iterator[int]:
    """All lanes."""
    return iter(range(256))
