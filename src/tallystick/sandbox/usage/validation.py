"""What makes a meter event bad, with the code and the words of each kind of answer.

Sources: Stripe's "Record usage for billing with the API" and the API's error codes; docs/sandbox.md names the
switches where these leave something open.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import msgspec

from tallystick.sandbox.refusal import Refusal
from tallystick.sandbox.world import Object, World

DAY = 86400
_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,12})?\Z")
_WHOLE = re.compile(r"[0-9]{1,30}\Z")

# What the v2 call says at once, by the code of the later report. Codes that are not here are always reported later.
V2_CODES = {
    "no_meter": "no_meter",
    "archived_meter": "archived_meter",
    "meter_event_no_customer_defined": "payload_no_customer_defined",
    "meter_event_value_not_found": "payload_no_value_defined",
    "meter_event_invalid_value": "payload_invalid_value",
    "meter_event_value_too_many_digits": "payload_invalid_value",
}


class Given(msgspec.Struct):
    """A meter event as the client sent it, whichever call it came by; no timestamp means now."""

    event_name: str
    payload: dict[str, str]
    identifier: str
    timestamp: int | None


class Checked(msgspec.Struct):
    """A good event."""

    meter: Object
    customer: str
    value: Decimal
    timestamp: int


class Problem(Exception):
    """A bad event: the code of the later report, the parameter and words of the v1 answer."""

    def __init__(self, code: str, message: str, meter: str | None = None, param: str = "payload") -> None:
        super().__init__(message)
        self.code = code
        self.meter = meter
        self.param = param

    def refusal(self, version: str) -> Refusal:
        """The same as an answer of the v1 or v2 call."""
        if version == "v2":
            return Refusal(str(self), code=V2_CODES.get(self.code, self.code))
        code = "resource_missing" if self.code == "meter_event_customer_not_found" else ""
        return Refusal(str(self), code=code, param=self.param)


def check(world: World, given: Given) -> Checked:
    """A good event, or the first Problem in Stripe's order."""
    meter = world.by_event_name.get(given.event_name)
    words = f"No active meter found for event name {given.event_name}"
    if meter is None:
        raise Problem("no_meter", words, param="event_name")
    if meter["status"] != "active":
        raise Problem("archived_meter", words, meter["id"], "event_name")
    key = meter["customer_mapping"]["event_payload_key"]
    customer = given.payload.get(key, "")
    timestamp = _timestamp(world, meter, given.timestamp, customer)
    if not customer:
        words = f"The event payload is missing the customer key {key}."
        raise Problem("meter_event_no_customer_defined", words, meter["id"])
    if customer not in world.objects.get("customer", {}):
        words = f"No such customer: '{customer}'"
        raise Problem("meter_event_customer_not_found", words, meter["id"])
    return Checked(meter, customer, _value(world, meter, given.payload), timestamp)


def _timestamp(world: World, meter: Object, given: int | None, customer: str) -> int:
    virtual = world.switches.test_clock_limits == "test_clock"
    now = world.now_of(customer) if virtual else world.clock.now()
    if given is None:
        return now
    oldest = now - 35 * DAY
    if given < oldest:
        words = (
            "The event timestamp cannot be more than 35 days in past. "
            f"Expected a timestamp greater than or equal to {oldest}."
        )
        raise Problem("timestamp_too_far_in_past", words, meter["id"], "timestamp")
    if given > now + 300:
        words = "The event timestamp cannot be more than 5 minutes in the future."
        raise Problem("timestamp_in_future", words, meter["id"], "timestamp")
    return given


def _value(world: World, meter: Object, payload: dict[str, str]) -> Decimal:
    if meter["default_aggregation"]["formula"] == "count":
        return Decimal(1)
    key = meter["value_settings"]["event_payload_key"]
    text = payload.get(key)
    if text is None:
        words = f"The event payload is missing the value key {key}."
        raise Problem("meter_event_value_not_found", words, meter["id"])
    rule = _NUMBER if world.switches.values == "decimal" else _WHOLE
    if not rule.match(text):
        words = f"Invalid {'decimal' if rule is _NUMBER else 'positive integer'}: {text}"
        raise Problem("meter_event_invalid_value", words, meter["id"])
    digits = text.lstrip("-").replace(".", "").strip("0")
    if len(digits) > 15:
        words = "The event value has more than 15 significant digits."
        raise Problem("meter_event_value_too_many_digits", words, meter["id"])
    return Decimal(text)


def payload_of(params: Object, switches_maximum: int | None) -> dict[str, str]:
    """The payload: a map of text to text."""
    payload: Any = params["payload"]
    if not isinstance(payload, dict) or not all(isinstance(value, str) for value in payload.values()):
        raise Refusal("Invalid payload: must be a map of strings.", param="payload")
    if switches_maximum is not None and len(payload) > switches_maximum:
        raise Refusal(f"The payload has more than {switches_maximum} keys.", param="payload")
    return payload
