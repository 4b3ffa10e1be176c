"""Meters: made, renamed, archived and brought back; an event name belongs to one active meter.

Sources: Stripe's API reference (Meter) and "Configure meters".
"""

from __future__ import annotations

from tallystick.sandbox.notices import events
from tallystick.sandbox.refusal import Refusal, known, mapping, one_of, required, text
from tallystick.sandbox.world import Object, World

_PARAMETERS = (
    "customer_mapping",
    "default_aggregation",
    "display_name",
    "event_name",
    "event_time_window",
    "value_settings",
)


def create(world: World, params: Object) -> Object:
    """POST /v1/billing/meters."""
    required(params, "display_name", "event_name", "default_aggregation")
    known(params, *_PARAMETERS)
    formula = mapping(params, "default_aggregation").get("formula")
    if formula not in ("sum", "count", "last"):
        raise Refusal(
            "Invalid default_aggregation[formula]: must be one of count, sum, or last", param="formula"
        )
    name = _short(params, "event_name", 100)
    _refuse_taken(world, name)
    if params.get("event_time_window"):
        one_of(params, "event_time_window", "day", "hour")
    by = _mapping(params, "customer_mapping", {"event_payload_key": "stripe_customer_id", "type": "by_id"})
    one_of(by, "type", "by_id")
    value = _mapping(params, "value_settings", {"event_payload_key": "value"})
    meter = world.add(
        "billing.meter",
        "mtr",
        {
            "display_name": _short(params, "display_name", 250),
            "event_name": name,
            "default_aggregation": {"formula": formula},
            "customer_mapping": by,
            "value_settings": value,
            "event_time_window": params.get("event_time_window"),
            "status": "active",
            "status_transitions": {"deactivated_at": None},
            "updated": world.clock.now(),
        },
    )
    meter.pop("metadata")
    world.by_event_name[name] = meter
    events.emit(world, "billing.meter.created", meter)
    return meter


def _short(params: Object, name: str, longest: int) -> str:
    given = text(params, name)
    if len(given) > longest:
        raise Refusal(f"Invalid {name}: must be at most {longest} characters.", param=name)
    return given


def _mapping(params: Object, name: str, defaults: Object) -> Object:
    """Where in the payload a meter looks."""
    given = mapping(params, name)
    if given:
        known(given, *defaults)
        required(given, *defaults)
        _short(given, "event_payload_key", 100)
    return {**defaults, **given}


def _refuse_taken(world: World, name: str) -> None:
    if name in world.by_event_name and world.by_event_name[name]["status"] == "active":
        raise Refusal(f"A meter with the event name {name} already exists.", code="resource_already_exists")


def update(world: World, identity: str, params: Object) -> Object:
    """POST /v1/billing/meters/{id}: only the display name can change."""
    known(params, "display_name")
    meter = world.get("billing.meter", identity)
    meter.update(display_name=_short({**meter, **params}, "display_name", 250), updated=world.clock.now())
    events.emit(world, "billing.meter.updated", meter)
    return meter


def set_status(world: World, identity: str, status: str) -> Object:
    """POST …/deactivate and …/reactivate; an event name that another meter took over stays with that one."""
    meter = world.get("billing.meter", identity)
    if meter["status"] == status:
        return meter
    now = world.clock.now()
    if status == "active":
        _refuse_taken(world, meter["event_name"])
        world.by_event_name[meter["event_name"]] = meter
    at = now if status == "inactive" else None
    meter.update(status=status, status_transitions={"deactivated_at": at}, updated=now)
    word = "deactivated" if status == "inactive" else "reactivated"
    events.emit(world, f"billing.meter.{word}", meter)
    return meter
