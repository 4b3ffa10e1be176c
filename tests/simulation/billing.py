"""The provider's calendar: periods from an anchor, plan switches and cancellations, drafts and invoices."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from calendar import monthrange
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from tests.simulation.world import SECOND

if TYPE_CHECKING:
    from tests.simulation.stripe_account import StripeAccount


def add_months(anchor: datetime, months: int) -> datetime:
    """The same day and local time some months later; the 29th to 31st fall back to a short month's last day."""
    month = anchor.month - 1 + months
    year, month = anchor.year + month // 12, month % 12 + 1
    return anchor.replace(year=year, month=month, day=min(anchor.day, monthrange(year, month)[1]))


def _months(anchor: datetime, last: int, *, beyond: bool) -> list[int]:
    """The instants, in seconds, at which months from an anchor begin, up to `last`, or the first `beyond` it."""
    found: list[int] = []
    for month in range(1000):
        at = int(add_months(anchor, month).timestamp())
        if at > last and not (beyond and (not found or found[-1] <= last)):
            break
        found.append(at)
    return found


@dataclass
class Subscription:
    """One customer's cycle; `anchor` carries the time zone in which months are counted."""

    customer: str
    anchor: datetime
    draft_seconds: int
    switches: list[int] = field(default_factory=list)  # seconds: the plan changes, a period ends early
    cancelled_at: int | None = None
    resets_anchor: bool = (
        False  # a switch begins a month of its own, instead of cutting the running one in two
    )

    def boundaries(self, until: int) -> list[int]:
        """The instants, in seconds, at which a period begins; the last is the end of all."""
        found: list[int] = list(self.switches)
        anchors = [self.anchor]
        if self.resets_anchor:
            anchors += [datetime.fromtimestamp(at, self.anchor.tzinfo) for at in sorted(self.switches)]
        for anchor, end in itertools.zip_longest(anchors, anchors[1:]):
            last = until if end is None else int(end.timestamp()) - 1
            found += _months(anchor, last, beyond=end is None)
        if self.cancelled_at is not None:
            found = [at for at in found if at < self.cancelled_at] + [self.cancelled_at]
        return sorted(set(found))

    def running(self, second: int) -> tuple[int, int] | None:
        """The period [start, end) of an instant; None when none runs."""
        known = self.boundaries(second)
        place = bisect_right(known, second)
        return (known[place - 1], known[place]) if 0 < place < len(known) else None

    def period_of(self, second: int, boundaries: list[int]) -> int:
        """Which period an instant belongs to: -1 before all, the last number after all."""
        return bisect_right(boundaries, second) - 1


@dataclass(frozen=True)
class Line:
    """A metered line of a finalised invoice."""

    customer: str
    meter: str
    start: int
    end: int
    quantity: Decimal


def invoice_lines(
    account: StripeAccount, subscription: Subscription, meters: list[str], until: int
) -> list[Line]:
    """What was billed: events of the period that had arrived when the draft became final."""
    lines = []
    boundaries = subscription.boundaries(until)
    for start, end in itertools.pairwise(boundaries):
        final = end + subscription.draft_seconds
        if final > until:
            break
        for meter in meters:
            counted = [
                event.value
                for event in account.events
                if (event.customer, event.meter) == (subscription.customer, meter)
                and start <= event.timestamp < end
                and event.received_at <= final * SECOND
            ]
            lines.append(Line(subscription.customer, meter, start, end, sum(counted, Decimal(0))))
    return lines
