"""The doubts that a report raises: every minute, customer and meter that may be meant by it.

A report names samples only. What it leaves out is looked for among all that may have arrived in its time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tallystick.delivery.model import Dispatch, to_dispatch
from tallystick.delivery.rejections import place_of
from tallystick.delivery.rules import prefix_of
from tallystick.ledger.ledger import Ledger
from tallystick.providers import Report
from tallystick.storage import Flow, Statement
from tallystick.values.instant import MINUTE, SECOND

PAGE = 10_000  # dispatches read in one go, however many there are
_SLACK = MINUTE  # between the provider's clock and ours

Place = tuple[int, str, str, str, str, int]  # lane, tenant, mode, provider customer, provider meter, minute


class Doubt(msgspec.Struct, frozen=True):
    """Whether the provider counted what it accepted of one customer and meter in one minute.

    `minute` in seconds, other instants in microseconds since 1970 UTC; `reading` is the total read last.
    """

    lane: int
    tenant: str
    mode: str
    provider_customer: str
    provider_meter: str
    minute: int
    report: str
    code: str
    state: str
    reason: str
    reading: str
    read_at: int
    due_at: int


def raised_by(ledger: Ledger, report: Report) -> dict[Place, str]:
    """The code of each place that a report casts doubt on: those it names, and all others if it leaves some out."""
    where, codes = {"tenant": ledger.where.tenant, "mode": ledger.where.mode}, codes_of(report)
    prefix = prefix_of(ledger.identity)
    keys = {key: code for name, code in codes.items() if (key := place_of(name, prefix))}
    named = ledger.read(_dispatches("dispatches_by_key", rows=sorted(keys)))
    ours = [d for d in named if (d.tenant, d.mode) == (ledger.where.tenant, ledger.where.mode)]
    doubts: dict[Place, str] = {}
    for d in ours:
        doubts.setdefault(_place(d), keys[d.lane, d.dispatch, d.part])
    if report.errors > len(ours):
        usual = report.rejections[0].code if report.rejections else ""
        for d in _sent_during(ledger, report, where):
            doubts.setdefault(_place(d), usual)
    return doubts


def _sent_during(ledger: Ledger, report: Report, where: dict[str, str]) -> Iterator[Dispatch]:
    """All that may have arrived in the time of a report, read page by page to the end."""
    bounds = {"since": report.since * SECOND - _SLACK, "until": report.until * SECOND + _SLACK}
    params = {**where, **bounds, "meter": report.meter, "limit": PAGE}
    after = {"sent": 0, "lane": -1, "identity": b"", "part": 0}
    while page := ledger.read(_dispatches("accepted_between", {**params, **after})):
        yield from page
        last = page[-1]
        assert last.first_sent_at is not None
        after = {"sent": last.first_sent_at, "lane": last.lane, "identity": last.dispatch, "part": last.part}


def _dispatches(query: str, params: dict[str, Any] | None = None, rows: Any = None) -> Flow[list[Dispatch]]:
    found = yield Statement(query, params or {}, rows)
    return [to_dispatch(row) for row in found]


def _place(d: Dispatch) -> Place:
    return (*d.slot_key, d.happened_at // 60 * 60)


def codes_of(report: Report) -> dict[str, str]:
    """The code of each name that a report gives."""
    return {s.identifier: r.code for r in report.rejections for s in r.samples if s.identifier}
