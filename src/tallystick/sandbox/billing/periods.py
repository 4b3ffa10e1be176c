"""Where billing periods begin and end, by anchor, interval and item. Source: Stripe's "Billing cycle"."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime
from decimal import Decimal

from tallystick.sandbox.world import Object

_SECONDS = {"day": 86400, "week": 7 * 86400}


def boundary(anchor: int, interval: str, count: int, number: int) -> int:
    """The start of the period with that number; anchors on day 29 to 31 fall on short months' last day."""
    if interval in _SECONDS:
        return anchor + number * count * _SECONDS[interval]
    moment = datetime.fromtimestamp(anchor, UTC)
    months = moment.month - 1 + number * count * (12 if interval == "year" else 1)
    year, month = moment.year + months // 12, months % 12 + 1
    day = min(moment.day, monthrange(year, month)[1])
    return int(moment.replace(year=year, month=month, day=day).timestamp())


def number_at(anchor: int, interval: str, count: int, at: int) -> int:
    """The number of the period that an instant lies in; negative before the anchor."""
    length = boundary(anchor, interval, count, 1) - anchor
    number = (at - anchor) // length
    while boundary(anchor, interval, count, number) > at:
        number -= 1
    while boundary(anchor, interval, count, number + 1) <= at:
        number += 1
    return number


def begin(subscription: Object, item: Object, at: int) -> None:
    """Put an item into the period that an instant lies in; it is charged from that instant on."""
    recurring = item["price"]["recurring"]
    rhythm = (recurring["interval"], recurring["interval_count"])
    anchor = subscription["billing_cycle_anchor"]
    number = number_at(anchor, *rhythm, at)
    item.update(_number=number, _since=at, current_period_start=at)
    item["current_period_end"] = boundary(anchor, *rhythm, number + 1)


def advance(subscription: Object, item: Object) -> None:
    """Put an item into its next period."""
    recurring = item["price"]["recurring"]
    rhythm = (recurring["interval"], recurring["interval_count"])
    anchor = subscription["billing_cycle_anchor"]
    item["_number"] += 1
    item["current_period_start"] = item["_since"] = boundary(anchor, *rhythm, item["_number"])
    item["current_period_end"] = boundary(anchor, *rhythm, item["_number"] + 1)


def share(subscription: Object, item: Object) -> Decimal:
    """How much of a whole period an item's first period is."""
    recurring = item["price"]["recurring"]
    rhythm = (recurring["interval"], recurring["interval_count"])
    whole_start = boundary(subscription["billing_cycle_anchor"], *rhythm, item["_number"])
    start, end = item["current_period_start"], item["current_period_end"]
    return Decimal(end - start) / Decimal(end - whole_start)
