"""Recording and cancelling meter events, by v1 and by v2.

Sources: Stripe's API reference (Meter Event, Meter Event Adjustment, v1 and v2) and "Record usage for billing
with the API". A 2xx means received: what is checked later is in `rejections`.
"""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any

from tallystick.sandbox.forms import from_rfc3339, rfc3339
from tallystick.sandbox.refusal import Refusal, known, mapping, missing, required, second, text
from tallystick.sandbox.usage import rejections
from tallystick.sandbox.usage.validation import V2_CODES, Checked, Given, Problem, check, payload_of
from tallystick.sandbox.world import Event, Object, World

DAY = 86400


class Repeated(Refusal):
    """The identifier was seen before."""


def record(world: World, params: Object) -> Object:
    """POST /v1/billing/meter_events."""
    given = _given(world, params, _v1_time(params.get("timestamp")))
    timestamp = accept(world, given, "v1")
    return {
        "object": "billing.meter_event",
        "created": world.clock.now(),
        "event_name": given.event_name,
        "identifier": given.identifier,
        "livemode": world.livemode,
        "payload": given.payload,
        "timestamp": timestamp,
    }


def record_v2(world: World, params: Object) -> Object:
    """POST /v2/billing/meter_events: the same in JSON, with named error codes."""
    given = _given(world, params, _v2_time(params.get("timestamp")))
    timestamp = accept(world, given, "v2")
    return {
        "object": "v2.billing.meter_event",
        "created": rfc3339(world.clock.now()),
        "event_name": given.event_name,
        "identifier": given.identifier,
        "livemode": world.livemode,
        "payload": given.payload,
        "timestamp": rfc3339(timestamp),
    }


def record_streamed(world: World, events: list[Object]) -> None:
    """A call of the v2 stream: read as a whole or not at all; what is wrong then is said later, a repeat not at all."""
    read = [_given(world, event, _v2_time(event.get("timestamp"))) for event in events]
    for given in read:
        with suppress(Repeated):
            accept(world, given, "stream")


def _given(world: World, params: Object, timestamp: int | None) -> Given:
    required(params, "event_name", "payload")
    known(params, "event_name", "identifier", "payload", "timestamp")
    payload = payload_of(params, world.switches.max_payload_keys)
    identifier = params.get("identifier") or world.new_id("mtrevt")
    for name, given in (("identifier", identifier), ("event_name", params["event_name"])):
        if not isinstance(given, str) or len(given) > 100:
            raise Refusal(f"Invalid {name}: must be at most 100 characters.", param=name)
    return Given(params["event_name"], payload, identifier, timestamp)


def _v1_time(given: Any) -> int | None:
    if given is None:
        return None
    return second({"timestamp": given}, "timestamp")


def _v2_time(given: Any) -> int | None:
    return None if given is None else from_rfc3339(given, "timestamp")


def accept(world: World, given: Given, version: str) -> int:
    """Count an event, or take it to report it later; its timestamp. A Refusal for what is checked at once."""
    now = world.clock.now()
    try:
        checked = check(world, given)
    except Problem as problem:
        if not _later(world, problem, version):
            raise problem.refusal(version) from None
        _refuse_repeat(world, given, now, version)
        rejections.take(world, given, problem)
        _mark(world, given, now)
        return now if given.timestamp is None else given.timestamp
    if not _refuse_repeat(world, given, now, version):
        return checked.timestamp  # the switch says: dropped without a word
    if world.call.reject_as:
        rejections.take_good(world, given, checked, world.call.reject_as)
        _mark(world, given, now)
    else:
        keep(world, given, checked, now)
    return checked.timestamp


def _later(world: World, problem: Problem, version: str) -> bool:
    """Whether a bad event is answered 2xx."""
    codes = world.switches.asynchronous
    if version == "stream" or "*" in codes or problem.code in codes:
        return True
    if version == "v2":
        return problem.code not in V2_CODES
    unknown = problem.code == "meter_event_customer_not_found"
    return unknown and world.switches.unknown_customer == "asynchronous"


def keep(world: World, given: Given, checked: Checked, now: int) -> None:
    """Count a good event."""
    event = Event(
        checked.meter["id"],
        checked.customer,
        checked.value,
        given.identifier,
        checked.timestamp,
        now,
        world.now_of(checked.customer),
    )
    world.identifiers[_scope(world, given), given.identifier] = event
    world.events.setdefault((event.meter, event.customer), []).append(event)


def _mark(world: World, given: Given, now: int) -> None:
    """Keep the identifier of an event that was answered 2xx and is not counted, where the switch says so."""
    if world.switches.swallowed_identifier == "taken":
        marker = Event("", "", Decimal(0), given.identifier, 0, now, 0, void=True)
        world.identifiers[_scope(world, given), given.identifier] = marker


def _scope(world: World, given: Given) -> str:
    if world.switches.repeat_scope == "account":
        return ""
    meter = world.by_event_name.get(given.event_name)
    return given.payload.get(meter["customer_mapping"]["event_payload_key"], "") if meter else ""


def _refuse_repeat(world: World, given: Given, now: int, version: str) -> bool:
    """Whether to count it: refuses inside the window; after it the switch decides."""
    before = world.identifiers.get((_scope(world, given), given.identifier))
    if before is None:
        return True
    outcome = world.switches.repeat_after_window
    if now < world.forgotten_at(before) or outcome == "refused":
        words = f"An event already exists with identifier {given.identifier}."
        raise Repeated(words, code="duplicate_meter_event" if version == "v2" else "")
    return outcome == "counts"


def adjust(world: World, params: Object) -> Object:
    """POST /v1/billing/meter_event_adjustments: cancel one event within 24 hours of its receipt."""
    try:
        identifier = _cancel(world, params)
    except Problem as problem:
        if problem.code == "missing":
            raise missing("meter event", problem.param) from None
        raise Refusal(str(problem), param=problem.param) from None
    return {
        "object": "billing.meter_event_adjustment",
        "event_name": params["event_name"],
        "livemode": world.livemode,
        "status": "complete",
        "type": "cancel",
        "cancel": {"identifier": identifier},
    }


def adjust_v2(world: World, params: Object) -> Object:
    """POST /v2/billing/meter_event_adjustments."""
    try:
        identifier = _cancel(world, params)
    except Problem as problem:
        raise Refusal(str(problem), code="invalid_cancel_configuration") from None
    return {
        "id": world.new_id("mtradj"),
        "object": "v2.billing.meter_event_adjustment",
        "created": rfc3339(world.clock.now()),
        "event_name": params["event_name"],
        "livemode": world.livemode,
        "status": "complete",
        "type": "cancel",
        "cancel": {"identifier": identifier},
    }


def _cancel(world: World, params: Object) -> str:
    required(params, "event_name", "type")
    known(params, "event_name", "type", "cancel")
    if params["type"] != "cancel":
        raise Problem("type", "Invalid type: must be cancel", param="type")
    identifier: str = text(mapping(params, "cancel"), "identifier")
    events = [event for (_, name), event in _named(world, identifier) if name == identifier]
    event = next((e for e in events if _event_name(world, e) == params["event_name"] and not e.void), None)
    if event is None:
        raise Problem("missing", f"No such meter event: '{identifier}'", param=identifier)
    if event.cancelled:
        raise Problem("again", f"The event with identifier {identifier} has already been cancelled.")
    if world.clock.now() - event.received_at > DAY:
        words = "Meter events can only be cancelled within 24 hours of Stripe receiving them."
        raise Problem("late", words)
    event.cancelled = True
    return identifier


def _named(world: World, identifier: str) -> list[tuple[tuple[str, str], Event]]:
    if world.switches.repeat_scope == "account":
        found = world.identifiers.get(("", identifier))
        return [(("", identifier), found)] if found else []
    return list(world.identifiers.items())


def _event_name(world: World, event: Event) -> str:
    found: str = world.objects["billing.meter"].get(event.meter, {}).get("event_name", "")
    return found
