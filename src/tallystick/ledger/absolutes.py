"""Reading the meters that do not add up: where last, max and unique stand over a time, from the raw entries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tallystick.ledger.formulas import Standing, Used
from tallystick.ledger.reading import BUCKETS, Partition, Usage, refuse_unknown
from tallystick.meters import Formula, Meter
from tallystick.storage import Flow, Statement
from tallystick.values.quantity import from_steps

PAGE = 5000  # usages read at once, so that a long time needs no more memory than a short one


def standing(where: Partition, customer: str, meter: Meter, since: int, until: int) -> Flow[int]:
    """Where a meter stands after what was recorded in [since, until), in steps; 0 after nothing."""
    place = {**where.of(customer), "meter": meter.name}
    corrections = yield from _corrections(place, since)
    if meter.formula is Formula.LAST:
        rows = yield Statement("last_usage_of_customer", {**place, "since": since, "until": until})
        return Standing(meter).take(_corrected(rows, corrections)).steps
    found = Standing(meter)
    after, behind = since, b""
    while True:
        rows = yield from _page(place, after, behind, until)
        found.take(_corrected(rows, corrections))
        if len(rows) < PAGE:
            return found.steps
        after, behind = rows[-1][1], bytes(rows[-1][0])


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
    """Where an absolute meter stands at the end of [since, until), of each bucket, of each group.

    A last meter that carries stands where it stood before, when nothing was recorded in [since, until).
    """
    refuse_unknown(meter, by, group_by)
    place = {**where.of(customer), "meter": meter.name}
    width = BUCKETS[by] if by else None
    cells: dict[tuple[int, str | None], Standing] = {}
    corrections = yield from _corrections(place, since)
    after, behind = since, b""
    rows: list[Any] = [()] * PAGE
    while len(rows) == PAGE:
        rows = yield from _page(place, after, behind, until)
        for used in _corrected(rows, corrections):
            start = used.recorded_at // width * width if width else since
            group = _group(used.attributes, group_by)
            cells.setdefault((start, group), Standing(meter)).take([used])
        if rows:
            after, behind = rows[-1][1], bytes(rows[-1][0])
    if not cells and width is None and group_by is None:
        carried = (yield from standing(where, customer, meter, 0, since)) if meter.carry else 0
        return [Usage(since, until, from_steps(carried, meter.decimals), 0)]
    return [
        Usage(
            start, start + width if width else until, from_steps(at.steps, meter.decimals), at.entries, group
        )
        for (start, group), at in sorted(cells.items(), key=lambda c: (c[0][0], c[0][1] or ""))
    ]


def _corrections(place: dict[str, Any], since: int) -> Flow[dict[bytes, int]]:
    rows = yield Statement("corrections_of_customer", {**place, "since": since})
    return {bytes(row[0]): int(row[1]) for row in rows}


def _page(place: dict[str, Any], after: int, behind: bytes, until: int) -> Flow[list[Any]]:
    bounds = {"after": after, "behind": behind, "until": until, "limit": PAGE}
    rows = yield Statement("usages_of_customer", {**place, **bounds})
    return list(rows)


def _corrected(rows: Any, corrections: dict[bytes, int]) -> Iterator[Used]:
    for entry, recorded_at, quantity, attributes in rows:
        name = bytes(entry)
        yield Used(name, recorded_at, quantity + corrections.get(name, 0), attributes)


def _group(attributes: str, group_by: str | None) -> str | None:
    value = json.loads(attributes).get(group_by) if group_by is not None and attributes else None
    return None if value is None else str(value)
