"""What meters that do not add up must come to: of each period the value that stood at its end, the
highest, or how many there were.

Source of how the provider reads them: Stripe's "Configure meters" (formula last: the latest event of the period).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from tests.simulation.application import user_of
from tests.simulation.plan import ABSOLUTES

if TYPE_CHECKING:
    from tests.simulation.billing import Subscription
    from tests.simulation.judge import Judge

LISTED = ("ready", "sending", "unknown", "parked")


def problems(judge: Judge) -> list[str]:
    """Every period whose value at the provider is not the one that was used, and that nothing listed explains."""
    if judge.plan.meters != ABSOLUTES:
        return []
    found: list[str] = []
    for mode in judge.accounts:
        for cycle in judge.plan.subscriptions:
            for start, end in itertools.pairwise(cycle.boundaries(judge.plan_end())):
                for meter in ABSOLUTES if start < judge.plan_end() else ():
                    found += _period(judge, mode, cycle, meter, start, end)
    return found


def _period(judge: Judge, mode: str, cycle: Subscription, meter: str, start: int, end: int) -> list[str]:
    customer = "org_" + cycle.customer.removeprefix("cus_")
    before = [row for row in judge.rows if (row.mode, row.customer, row.meter) == (mode, customer, meter)]
    before = [row for row in before if row.second < end]
    rows = [row for row in before if start <= row.second]
    events = [
        event
        for event in judge.accounts[mode].events
        if (event.customer, event.meter) == (cycle.customer, meter) and start <= event.timestamp < end
    ]
    if meter == "peak":
        wanted = max((row.steps for row in rows), default=None)
    elif meter == "people":
        wanted = len({user_of(row.wish) for row in rows}) or None
    else:  # seats stand until somebody says otherwise
        wanted = max(before, key=lambda row: (row.recorded_at, row.entry)).steps if before else None
    stands = int(max(events, key=lambda e: (e.timestamp, e.received_at)).value) if events else None
    if wanted == stands or _is_listed(
        judge, mode, customer, meter, before if meter == "seats" else rows, start, end
    ):
        return []
    return [
        f"T6: {mode} {customer} {meter} in {start}-{end}: {stands} stands at the provider, used was {wanted}"
    ]


def _is_listed(
    judge: Judge, mode: str, customer: str, meter: str, rows: list[Any], start: int, end: int
) -> bool:
    """Whether `status` shows that something of the period was not told: it waits, or is parked."""
    if any(judge.owed.get(row.entry, b"") is None for row in rows):
        return True
    return any(
        (d[1], d[2], d[3]) == (mode, customer, meter) and start <= d[7] < end and d[8] in LISTED
        for d in judge.dispatches
    )
