"""Reading usage back: event summaries, late and eventually consistent by switch; exact totals for tests.

Source: Stripe's API reference, Meter Event Summary.
"""

from __future__ import annotations

from decimal import Decimal

from tallystick.sandbox.refusal import Refusal, required, whole
from tallystick.sandbox.world import Event, Object, World

DAY = 86400


def summaries(world: World, identity: str, params: Object) -> list[Object]:
    """GET …/event_summaries: sums of aligned windows that hold events, newest first."""
    meter = world.get("billing.meter", identity)
    required(params, "customer", "start_time", "end_time")
    since, until = whole(params, "start_time"), whole(params, "end_time")
    group = params.get("value_grouping_window")
    width = {"hour": 3600, "day": DAY, None: 60}.get(group)
    if width is None:
        raise Refusal(
            "Invalid value_grouping_window: must be one of day or hour", param="value_grouping_window"
        )
    if since % width or until % width:
        raise Refusal(f"start_time and end_time must be aligned with {group or 'minute'} boundaries.")
    if since >= until:
        raise Refusal("start_time must be before end_time.", param="start_time")
    world.get("customer", params["customer"])
    events = _visible(world, world.events_of(identity, params["customer"], since, until))
    step = width if group else until - since
    windows: dict[int, list[Event]] = {}
    for event in events:
        windows.setdefault(since + (event.timestamp - since) // step * step, []).append(event)
    return [
        _summary(world, identity, start, start + step, world.aggregate(meter, windows[start]))
        for start in sorted(windows, reverse=True)
    ]


def _visible(world: World, events: list[Event]) -> list[Event]:
    """What has arrived where summaries are read; `stale_seconds` reads an older copy."""
    now = world.clock.now() - world.call.stale_seconds
    return [event for event in events if world.visible_at(event) <= now]


def _summary(world: World, meter: str, start: int, end: int, total: Decimal) -> Object:
    return {
        "id": f"mtrusg_sandbox{start}",
        "object": "billing.meter_event_summary",
        "aggregated_value": total,
        "end_time": end,
        "livemode": world.livemode,
        "meter": meter,
        "start_time": start,
    }


def totals(world: World) -> list[Object]:
    """All accepted usage per customer and meter, from the raw events (control plane)."""
    found = []
    for (meter, customer), events in sorted(world.events.items()):
        kept = [event for event in events if not event.cancelled]
        about = world.get("billing.meter", meter)
        found.append(
            {
                "customer": customer,
                "event_name": about["event_name"],
                "events": len(kept),
                "total": str(world.aggregate(about, kept)),
            }
        )
    return found
