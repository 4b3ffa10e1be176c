"""The provider's calendar: periods from an anchor, plan switches and cancellations, drafts and invoices."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from calendar import monthrange
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from tests.simulation.stripe_account import SECOND, StripeAccount


def add_months(anchor: datetime, months: int) -> datetime:
    """The same day and local time some months later; the 29th to 31st fall back to a short month's last day."""
    month = anchor.month - 1 + months
    year, month = anchor.year + month // 12, month % 12 + 1
    return anchor.replace(year=year, month=month, day=min(anchor.day, monthrange(year, month)[1]))


@dataclass
class Subscription:
    """One customer's cycle; `anchor` carries the time zone in which months are counted."""

    customer: str
    anchor: datetime
    draft_seconds: int
    switches: list[int] = field(default_factory=list)  # seconds: the plan changes, a period ends early
    cancelled_at: int | None = None

    def boundaries(self, until: int) -> list[int]:
        """The instants, in seconds, at which a period begins; the last is the end of all."""
        found: list[int] = list(self.switches)
        for month in range(1000):
            at = int(add_months(self.anchor, month).timestamp())
            found.append(at)
            if at > until:
                break
        if self.cancelled_at is not None:
            found = [at for at in found if at < self.cancelled_at] + [self.cancelled_at]
        return sorted(set(found))

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
