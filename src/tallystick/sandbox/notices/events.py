"""Events: v1 snapshots and v2 thin events, kept for 30 days, queued for the destinations that want them.

Sources: Stripe's API reference (Event v1, Event v2) and "Event destinations". Only the destinations with the
thin style get thin events; what these carry has to be fetched.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tallystick.sandbox.forms import as_list, encode, from_rfc3339, rfc3339
from tallystick.sandbox.refusal import mapping, missing, second
from tallystick.sandbox.world import Delivery, Object, World

API_VERSION = "2026-05-27.dahlia"
KEPT_SECONDS = 30 * 86400
_THIN = "v2.core.event"
_DESTINATIONS = ("webhook_endpoint", "v2.core.event_destination")


def emit(world: World, kind: str, about: Object) -> Object:
    """A snapshot of an object as it is now; `about` may change later, the event does not."""
    event = world.add(
        "event",
        "evt",
        {
            "type": kind,
            "api_version": API_VERSION,
            "data": {"object": msgspec.Raw(encode(about))},
            "request": {"id": world.call.id or None, "idempotency_key": world.call.key},
            "pending_webhooks": 0,
            "_about": about["id"],
        },
    )
    event.pop("metadata")
    event["pending_webhooks"] = _queue(world, event, "snapshot")
    return event


def emit_thin(
    world: World, kind: str, data: Object, related: Object | None = None, *, created: int
) -> Object:
    """A thin event; what is pushed leaves `data` out."""
    event = world.add(_THIN, "evt_thin", {"type": kind, "data": data, "_created": created})
    event["created"] = rfc3339(created)
    event.pop("metadata")
    if related is not None:
        event["related_object"] = related
    _queue(world, event, "thin")
    return event


def _queue(world: World, event: Object, style: str) -> int:
    wanted = [d for kind in _DESTINATIONS for d in world.all(kind) if _wants(d, event["type"], style)]
    for destination in wanted:
        queue(world, destination, event)
    return len(wanted)


def wanted(world: World, kind: str) -> bool:
    """Whether any destination takes snapshots of that type."""
    return any(_wants(d, kind, "snapshot") for where in _DESTINATIONS for d in world.all(where))


def queue(world: World, destination: Object, event: Object) -> Delivery:
    """Put one event into the outbox for one destination."""
    url = destination["_url"]
    now = world.clock.now()
    delivery = Delivery(world.new_id("whd"), destination["id"], event["id"], url, now, answers=[])
    world.outbox.append(delivery)
    world.deliveries[delivery.id] = delivery
    return delivery


def _wants(destination: Object, kind: str, style: str) -> bool:
    names = destination["enabled_events"]
    return (
        destination["status"] == "enabled"
        and destination["_style"] == style
        and (kind in names or "*" in names)
    )


def find(world: World, identity: str) -> Object:
    """The event with that id, snapshot or thin; KeyError when there is none."""
    kind = "event" if identity in world.objects.get("event", {}) else _THIN
    return world.objects[kind][identity]


def pushed(event: Object) -> bytes:
    """The body of a webhook: a whole snapshot, or a thin event without its data."""
    thin = event["object"] == _THIN
    return encode({name: value for name, value in event.items() if not (thin and name == "data")})


def read_thin(world: World, identity: str) -> Object:
    """GET /v2/core/events/{id}."""
    event = world.get(_THIN, identity, "event")
    if world.clock.now() - event["_created"] > KEPT_SECONDS:
        raise missing("event", identity)
    return event


def thin_rows(world: World, params: Object) -> list[Object]:
    """GET /v2/core/events: newest first, by type, related object and time."""
    kinds, about = as_list(params.get("types")), params.get("object_id")
    oldest = world.clock.now() - KEPT_SECONDS
    rows = [event for event in world.all(_THIN) if event["_created"] >= oldest]
    if kinds:
        rows = [event for event in rows if event["type"] in kinds]
    if about:
        rows = [event for event in rows if event.get("related_object", {}).get("id") == about]
    for name, text in mapping(params, "created").items():
        rows = [event for event in rows if _compares(event["_created"], name, from_rfc3339(text, "created"))]
    return rows[::-1]


def snapshot_rows(world: World, params: Object) -> list[Object]:
    """GET /v1/events: newest first, by type (`invoice.*` too) and time."""
    oldest = world.clock.now() - KEPT_SECONDS
    rows = [event for event in world.all("event") if event["created"] >= oldest]
    kinds = as_list(params.get("types")) + as_list(params.get("type"))
    if kinds:
        rows = [event for event in rows if any(_fits(event["type"], kind) for kind in kinds)]
    created = params.get("created") or {}
    for name, text in created.items() if isinstance(created, dict) else [("eq", created)]:
        rows = [
            event for event in rows if _compares(event["created"], name, second({"created": text}, "created"))
        ]
    return rows[::-1]


def _fits(kind: str, pattern: str) -> bool:
    return kind.startswith(pattern[:-1]) if pattern.endswith("*") else kind == pattern


def _compares(value: int, name: str, bound: int) -> bool:
    outcomes: dict[str, Any] = {
        "gt": value > bound,
        "gte": value >= bound,
        "lt": value < bound,
        "lte": value <= bound,
        "eq": value == bound,
    }
    return bool(outcomes.get(name, True))
