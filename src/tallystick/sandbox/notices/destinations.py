"""Where events go: v1 webhook endpoints (snapshots) and v2 event destinations (snapshots or thin).

Sources: Stripe's API reference (Webhook Endpoint, Event Destination v2) and "Receive events at your webhook
endpoint"; a secret that is rolled signs beside its successor until it expires.
"""

from __future__ import annotations

import hashlib
from typing import Any

from tallystick.sandbox.forms import as_list, rfc3339
from tallystick.sandbox.notices import events
from tallystick.sandbox.refusal import Refusal, mapping, missing, one_of, required, text
from tallystick.sandbox.world import Object, World

V1 = "webhook_endpoint"
V2 = "v2.core.event_destination"


def create_endpoint(world: World, params: Object) -> Object:
    """POST /v1/webhook_endpoints: the only answer that holds the secret."""
    required(params, "url", "enabled_events")
    made = world.add(
        V1,
        "we",
        {
            "url": _url(params["url"]),
            "enabled_events": as_list(params["enabled_events"]),
            "description": params.get("description"),
            "metadata": params.get("metadata") or {},
            "api_version": params.get("api_version"),
            "application": None,
            "status": "enabled",
            "_url": params["url"],
            "_style": "snapshot",
        },
    )
    made["_secrets"] = [(_secret(world, made), None)]
    return {**made, "secret": made["_secrets"][0][0]}


def update_endpoint(world: World, identity: str, params: Object) -> Object:
    """POST /v1/webhook_endpoints/{id}."""
    found = world.get(V1, identity)
    for name in ("description", "metadata"):
        found[name] = params.get(name, found[name])
    if "url" in params:
        found["url"] = found["_url"] = _url(params["url"])
    if "enabled_events" in params:
        found["enabled_events"] = as_list(params["enabled_events"])
    if "disabled" in params:
        found["status"] = "disabled" if params["disabled"] == "true" else "enabled"
    return found


def create_destination(world: World, params: Object) -> Object:
    """POST /v2/core/event_destinations: url and secret only when they are asked for with `include`."""
    required(params, "name", "type", "event_payload", "enabled_events")
    one_of(params, "type", "webhook_endpoint")
    one_of(params, "event_payload", "snapshot", "thin")
    url = _url(text(mapping(params, "webhook_endpoint"), "url"))
    now = rfc3339(world.clock.now())
    made = world.add(
        V2,
        "ed",
        {
            "name": params["name"],
            "description": params.get("description") or "",
            "type": "webhook_endpoint",
            "event_payload": params["event_payload"],
            "enabled_events": as_list(params["enabled_events"]),
            "events_from": as_list(params.get("events_from")) or ["@self"],
            "metadata": params.get("metadata") or {},
            "status": "enabled",
            "_url": url,
            "_style": params["event_payload"],
        },
    )
    made.update(created=now, updated=now)
    if params["event_payload"] == "snapshot":
        made["snapshot_api_version"] = params.get("snapshot_api_version") or events.API_VERSION
    made["_secrets"] = [(_secret(world, made), None)]
    return shown(made, params, new=True)


def shown(destination: Object, params: Object, *, new: bool = False) -> Object:
    """A destination with what `include` asks for."""
    include = as_list(params.get("include"))
    endpoint = {}
    if "webhook_endpoint.url" in include:
        endpoint["url"] = destination["_url"]
    if new and "webhook_endpoint.signing_secret" in include:
        endpoint["signing_secret"] = destination["_secrets"][0][0]
    return {**destination, "webhook_endpoint": endpoint} if endpoint else destination


def read_destination(world: World, identity: str, params: Object) -> Object:
    """GET /v2/core/event_destinations/{id}."""
    return shown(world.get(V2, identity, "event destination"), params)


def update_destination(world: World, identity: str, params: Object) -> Object:
    """POST /v2/core/event_destinations/{id}."""
    found = world.get(V2, identity, "event destination")
    for name in ("name", "description", "enabled_events", "metadata"):
        found[name] = params.get(name, found[name])
    if "webhook_endpoint" in params:
        found["_url"] = _url(text(mapping(params, "webhook_endpoint"), "url"))
    found["updated"] = rfc3339(world.clock.now())
    return shown(found, params)


def switch_destination(world: World, identity: str, status: str) -> Object:
    """POST …/enable and …/disable."""
    found = world.get(V2, identity, "event destination")
    found["status"] = status
    found["updated"] = rfc3339(world.clock.now())
    if status == "disabled":
        found["status_details"] = {"disabled": {"reason": "user"}}
    else:
        found.pop("status_details", None)
    return found


def ping(world: World, identity: str) -> Object:
    """POST …/ping: a thin event of its own for this destination."""
    found = world.get(V2, identity, "event destination")
    related = {"id": identity, "type": V2, "url": f"/v2/core/event_destinations/{identity}"}
    event = world.add("v2.core.event", "evt_thin", {"type": "v2.core.event_destination.ping"})
    event.update(_created=world.clock.now(), created=rfc3339(world.clock.now()), related_object=related)
    event.pop("metadata")
    events.queue(world, found, event)
    return event


def delete_destination(world: World, identity: str) -> Object:
    """DELETE /v2/core/event_destinations/{id}."""
    world.get(V2, identity, "event destination")
    world.remove(V2, identity)
    return {"id": identity, "object": V2}


def find(world: World, identity: str) -> Object:
    """A destination of either kind."""
    for kind in (V1, V2):
        if identity in world.objects.get(kind, {}):
            return world.objects[kind][identity]
    raise missing("webhook endpoint", identity)


def roll_secret(world: World, identity: str, expire_seconds: int) -> str:
    """Give a destination a new secret; the old one signs too for so long (Dashboard only on Stripe itself)."""
    found = find(world, identity)
    new = _secret(world, found)
    until = world.clock.now() + expire_seconds
    old = [(secret, min(until, end) if end else until) for secret, end in found["_secrets"]]
    found["_secrets"] = [(new, None), *old]
    return new


def secrets(world: World, destination: Object) -> list[str]:
    """The secrets that sign now, newest first."""
    now = world.clock.now()
    return [secret for secret, end in destination["_secrets"] if end is None or end > now]


def _secret(world: World, destination: Object) -> str:
    number = world.new_id("secret")
    return "whsec_" + hashlib.sha256(f"{world.mode}{destination['id']}{number}".encode()).hexdigest()[:32]


def _url(given: Any) -> str:
    if not isinstance(given, str) or not given.startswith(("http://", "https://")):
        raise Refusal(f"Invalid URL: {given!r}; an explicit scheme (such as https) is needed.", param="url")
    return given
