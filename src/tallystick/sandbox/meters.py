"""Meters, meter events with Stripe's validation, adjustments, summaries.

Sources: Stripe's API reference (Meter, Meter Event, Meter Event Adjustment, Meter Event Summary) and
"Record usage for billing with the API".
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from tallystick.sandbox.refusal import Refusal, missing, required, whole
from tallystick.sandbox.world import Event, Object, World, aggregate

DAY = 86400
WINDOW = DAY  # "within a rolling period of at least 24 hours"
_NUMBER = re.compile(r"-?\d{1,30}(\.\d{1,12})?\Z")


def create(world: World, params: Object) -> Object:
    """POST /v1/billing/meters."""
    required(params, "display_name", "event_name", "default_aggregation")
    formula = params["default_aggregation"].get("formula")
    if formula not in ("sum", "count", "last"):
        raise Refusal(
            "Invalid default_aggregation[formula]: must be one of count, sum, or last", param="formula"
        )
    name = params["event_name"]
    if name in world.by_event_name and world.by_event_name[name]["status"] == "active":
        raise Refusal(f"A meter with the event name {name} already exists.", code="resource_already_exists")
    mapping = params.get("customer_mapping") or {"event_payload_key": "stripe_customer_id", "type": "by_id"}
    meter = world.add(
        "billing.meter",
        "mtr",
        {
            "display_name": params["display_name"],
            "event_name": name,
            "default_aggregation": {"formula": formula},
            "customer_mapping": mapping,
            "value_settings": params.get("value_settings") or {"event_payload_key": "value"},
            "event_time_window": params.get("event_time_window"),
            "status": "active",
            "status_transitions": {"deactivated_at": None},
            "updated": world.clock.now(),
        },
    )
    meter.pop("metadata")
    world.by_event_name[name] = meter
    return meter


def update(world: World, identity: str, params: Object) -> Object:
    """POST /v1/billing/meters/{id}: only the display name can change."""
    meter = world.get("billing.meter", identity)
    meter.update(display_name=params.get("display_name", meter["display_name"]), updated=world.clock.now())
    return meter


def set_status(world: World, identity: str, status: str) -> Object:
    """POST …/deactivate and …/reactivate."""
    meter = world.get("billing.meter", identity)
    now = world.clock.now()
    at = now if status == "inactive" else None
    meter.update(status=status, status_transitions={"deactivated_at": at}, updated=now)
    return meter


def record(world: World, params: Object) -> Object:
    """POST /v1/billing/meter_events."""
    required(params, "event_name", "payload")
    name, payload = params["event_name"], params["payload"]
    meter = world.by_event_name.get(name)
    if meter is None or meter["status"] != "active":
        raise Refusal(f"No active meter found for event name {name}")
    now = world.clock.now()
    timestamp = _timestamp(params.get("timestamp"), now)
    customer = payload.get(meter["customer_mapping"]["event_payload_key"])
    if not customer:
        key = meter["customer_mapping"]["event_payload_key"]
        raise Refusal(f"The event payload is missing the customer key {key}.", param="payload")
    if customer not in world.objects.get("customer", {}):
        raise Refusal(f"No such customer: '{customer}'", code="resource_missing", param="payload")
    value = _value(meter, payload)
    identifier = params.get("identifier") or world.new_id("mtrevt")
    _refuse_repeat(world, identifier, now)
    event = Event(meter["id"], customer, value, identifier, timestamp, now)
    world.identifiers[identifier] = event
    world.events.setdefault((meter["id"], customer), []).append(event)
    return {
        "object": "billing.meter_event",
        "created": now,
        "event_name": name,
        "identifier": identifier,
        "livemode": world.livemode,
        "payload": payload,
        "timestamp": timestamp,
    }


def _refuse_repeat(world: World, identifier: str, now: int) -> None:
    if len(identifier) > 100:
        raise Refusal("Invalid identifier: must be at most 100 characters.", param="identifier")
    before = world.identifiers.get(identifier)
    if before is not None and now - before.received_at < WINDOW:
        raise Refusal(f"An event already exists with identifier {identifier}.")


def _timestamp(given: Any, now: int) -> int:
    if given is None:
        return now
    if not str(given).isdigit():
        raise Refusal(f"Invalid integer: {given}", param="timestamp")
    timestamp = int(given)
    oldest = now - 35 * DAY
    if timestamp < oldest:
        raise Refusal(
            "The event timestamp cannot be more than 35 days in past. "
            f"Expected a timestamp greater than or equal to {oldest}.",
            param="timestamp",
        )
    if timestamp > now + 300:
        raise Refusal("The event timestamp cannot be more than 5 minutes in the future.", param="timestamp")
    return timestamp


def _value(meter: Object, payload: dict[str, str]) -> Decimal:
    if meter["default_aggregation"]["formula"] == "count":
        return Decimal(1)
    key = meter["value_settings"]["event_payload_key"]
    text = payload.get(key)
    if text is None:
        raise Refusal(f"The event payload is missing the value key {key}.", param="payload")
    if not _NUMBER.match(text):
        raise Refusal(f"Invalid decimal: {text}", param="payload")
    digits = text.lstrip("-").replace(".", "").strip("0")
    if len(digits) > 15:
        raise Refusal("The event value has more than 15 significant digits.", param="payload")
    return Decimal(text)


def adjust(world: World, params: Object) -> Object:
    """POST /v1/billing/meter_event_adjustments: cancel one event within 24 hours of its receipt."""
    required(params, "event_name", "type")
    identifier = (params.get("cancel") or {}).get("identifier", "")
    event = world.identifiers.get(identifier)
    if params["type"] != "cancel":
        raise Refusal("Invalid type: must be cancel", param="type")
    if event is None or world.get("billing.meter", event.meter)["event_name"] != params["event_name"]:
        raise missing("meter event", identifier)
    if event.cancelled:
        raise Refusal(f"The event with identifier {identifier} has already been cancelled.")
    if world.clock.now() - event.received_at > DAY:
        raise Refusal("Meter events can only be cancelled within 24 hours of Stripe receiving them.")
    event.cancelled = True
    return {
        "object": "billing.meter_event_adjustment",
        "event_name": params["event_name"],
        "livemode": world.livemode,
        "status": "complete",
        "type": "cancel",
        "cancel": {"identifier": identifier},
    }


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
    visible = world.clock.now() - world.summary_lag_seconds
    step = width if group else until - since
    found = []
    for start in range(since, until, step) if step > 0 else ():
        events = world.events_of(identity, params["customer"], start, start + step, visible)
        if events:
            total = aggregate(meter["default_aggregation"]["formula"], events)
            found.append(_summary(world, identity, start, start + step, total))
    return found[::-1]


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
                "total": str(aggregate(about["default_aggregation"]["formula"], kept)),
            }
        )
    return found
