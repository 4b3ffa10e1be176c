"""The v2 meter event stream: sessions whose token is the key of the stream call.

Source: Stripe's API reference, Meter Event Session and Meter Event Stream v2.
"""

from __future__ import annotations

from tallystick.sandbox.forms import rfc3339
from tallystick.sandbox.refusal import Refusal
from tallystick.sandbox.usage.record import record_streamed
from tallystick.sandbox.world import Object, World

LARGEST = 100  # events in one call
_KIND = "v2.billing.meter_event_session"


def open_session(world: World, params: Object) -> Object:
    """POST /v2/billing/meter_event_session: a token, good for 15 minutes."""
    now = world.clock.now()
    session = world.add(_KIND, "mes", {"_expires": now + world.switches.session_seconds})
    token = f"tok_{world.mode}_{session['id']}"
    session.update(authentication_token=token, created=rfc3339(now), expires_at=rfc3339(session["_expires"]))
    session.pop("metadata")
    return session


def knows(world: World, token: str) -> bool:
    """Whether a session of this world gave out that token."""
    return any(session["authentication_token"] == token for session in world.all(_KIND))


def send(world: World, params: Object, token: str) -> Object:
    """POST /v2/billing/meter_event_stream: up to 100 events; all of their checks come later."""
    session = next((s for s in world.all(_KIND) if s["authentication_token"] == token), None)
    if session is None or session["_expires"] <= world.clock.now():
        raise Refusal(
            "The session has expired. Please create a new one.",
            kind="temporary_session_expired",
            code="billing_meter_event_session_expired",
            doc_url="https://docs.stripe.com/error-codes#billing-meter-event-session-expired",
        )
    events = params.get("events")
    if not isinstance(events, list) or not events or not all(isinstance(each, dict) for each in events):
        raise Refusal("Missing required param: events.", code="parameter_missing", param="events")
    if len(events) > LARGEST:
        words = f"events may hold at most {LARGEST} meter events, not {len(events)}."
        raise Refusal(words, code="invalid_fields", param="events")
    record_streamed(world, events)
    return {}
