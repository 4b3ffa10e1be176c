"""The v2 meter event calls, through the official client: JSON, named errors, sessions and streams."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import stripe

from tallystick.sandbox import Sandbox
from tests.sandbox.conftest import DAY, START
from tests.sandbox.test_contract import Check, provision, send
from tests.sandbox.test_notices import REPORT


def moment(second: int) -> Any:
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")


def event(customer: str, value: str = "1", **more: Any) -> Any:
    return {"event_name": "tokens", "payload": {"stripe_customer_id": customer, "value": value}, **more}


def test_an_event_counts_like_a_v1_one(client: stripe.StripeClient, sandbox: Sandbox, matches: Check) -> None:
    """RFC 3339 in and out; both calls share identifiers and totals."""
    _, customer, _ = provision(client)
    made = client.v2.billing.meter_events.create(
        event(customer.id, "2.5", identifier="a", timestamp=moment(START - 60))
    )
    matches(made, "v2.billing.meter_event")
    assert made.timestamp == "2025-12-31T23:59:00.000Z"
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        send(client, customer.id, "2.5", identifier="a")
    assert sandbox.totals()[0]["total"] == "2.5"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"event_name": "nothing"}, "no_meter"),
        ({"payload": {"value": "1"}}, "payload_no_customer_defined"),
        ({"payload": {"stripe_customer_id": "CUS"}}, "payload_no_value_defined"),
        ({"payload": {"stripe_customer_id": "CUS", "value": "x"}}, "payload_invalid_value"),
        ({"identifier": "taken"}, "duplicate_meter_event"),
    ],
)
def test_errors_have_names(
    client: stripe.StripeClient, matches: Check, change: dict[str, Any], code: str
) -> None:
    """What the v2 call refuses at once."""
    _, customer, _ = provision(client)
    send(client, customer.id, "1", identifier="taken")
    if "payload" in change:
        change = {"payload": {k: v.replace("CUS", customer.id) for k, v in change["payload"].items()}}
    with pytest.raises(stripe.StripeError) as caught:
        client.v2.billing.meter_events.create({**event(customer.id), **change})
    assert caught.value.http_status == 400
    assert caught.value.error.code == code
    matches(caught.value.json_body, f"v2.error.{code}")


def test_an_archived_meter_has_a_name_of_its_own(client: stripe.StripeClient) -> None:
    """v2 tells an archived meter from none; v1 does not."""
    meter, customer, _ = provision(client)
    client.v1.billing.meters.deactivate(meter.id)
    with pytest.raises(stripe.StripeError) as caught:
        client.v2.billing.meter_events.create(event(customer.id))
    assert caught.value.error.code == "archived_meter"


@pytest.mark.parametrize(
    ("path", "given", "code"),
    [
        ("/v2/billing/meter_events", {"identifier": "x" * 101}, "invalid_fields"),
        ("/v2/billing/meter_events", {"payload": {"value": 1}}, "invalid_fields"),
        ("/v2/billing/meter_events", {"timestamp": "2026-01-01T00:00:00"}, "invalid_fields"),
        ("/v2/billing/meter_events", {"timestamp": "2026-01-01"}, "invalid_fields"),
        ("/v2/core/events/evt_nothing", None, "not_found"),
        ("/v2/nothing", None, "not_found"),
    ],
)
def test_every_error_has_a_code(
    client: stripe.StripeClient, matches: Check, path: str, given: dict[str, Any] | None, code: str
) -> None:
    """As the description asks for; a time has a zone."""
    _, customer, _ = provision(client)
    params = {} if given is None else {**event(customer.id), **given}
    with pytest.raises(stripe.StripeError) as caught:
        client.raw_request("post" if params else "get", path, **params)
    matches(caught.value.json_body, "v2.error")
    assert caught.value.error.code == code


@pytest.mark.parametrize("fate", ["fail", "unavailable", "rate_limit", "lock_timeout", "unauthorized"])
def test_every_fault_has_a_code(
    client: stripe.StripeClient, sandbox: Sandbox, matches: Check, fate: str
) -> None:
    """Those of faults, too."""
    sandbox.fault(f"{fate} times=1")
    with pytest.raises(stripe.StripeError) as caught:
        client.v2.billing.meter_event_session.create()
    matches(caught.value.json_body, "v2.error")


def test_customer_and_time_are_checked_later(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """These have no v2 code: accepted, then reported."""
    _, customer, _ = provision(client)
    client.v2.billing.meter_events.create(event("cus_nobody"))
    client.v2.billing.meter_events.create(event(customer.id, timestamp=moment(START - 36 * DAY)))
    sandbox.advance(10)
    report: Any = client.v2.core.events.list({"types": [REPORT]}).data[0]
    codes = {error.code for error in report.data.reason.error_types}
    assert codes == {"meter_event_customer_not_found", "timestamp_too_far_in_past"}


def test_cancelling(client: stripe.StripeClient, sandbox: Sandbox, matches: Check) -> None:
    """By identifier; anything wrong is invalid_cancel_configuration."""
    _, customer, _ = provision(client)
    send(client, customer.id, "5", identifier="one")
    params: Any = {"event_name": "tokens", "type": "cancel", "cancel": {"identifier": "one"}}
    matches(client.v2.billing.meter_event_adjustments.create(params), "v2.billing.meter_event_adjustment")
    assert sandbox.totals()[0]["total"] == "0"
    with pytest.raises(stripe.StripeError) as caught:
        client.v2.billing.meter_event_adjustments.create({**params, "cancel": {"identifier": "two"}})
    matches(caught.value.json_body, "v2.error.invalid_cancel_configuration")


def streaming(client: stripe.StripeClient, sandbox: Sandbox) -> stripe.StripeClient:
    """A client whose key is the token of a new session."""
    session = client.v2.billing.meter_event_session.create()
    return stripe.StripeClient(
        session.authentication_token,
        base_addresses={"api": sandbox.url, "meter_events": sandbox.url},
    )


def test_a_stream_takes_a_hundred_and_checks_later(
    client: stripe.StripeClient, sandbox: Sandbox, matches: Check
) -> None:
    """100 a call; the good count, a repeat is dropped, the bad are reported."""
    _, customer, _ = provision(client)
    matches(client.v2.billing.meter_event_session.create(), "v2.billing.meter_event_session")
    stream = streaming(client, sandbox)
    events = [event(customer.id, identifier=f"s{number}") for number in range(97)]
    events += [event(customer.id, identifier="s0"), event(customer.id, "x"), event("cus_nobody")]
    stream.v2.billing.meter_event_stream.create({"events": events})
    assert sandbox.totals()[0]["total"] == "97"
    sandbox.advance(10)
    report: Any = client.v2.core.events.list({"types": [REPORT]}).data[0]
    assert report.data.reason.error_count == 2
    with pytest.raises(stripe.StripeError, match="at most 100"):
        stream.v2.billing.meter_event_stream.create({"events": [*events, event(customer.id)]})


@pytest.mark.parametrize("bad", [{"identifier": "x" * 101}, {"timestamp": "yesterday"}, "no event"])
def test_a_stream_call_is_read_as_a_whole(client: stripe.StripeClient, sandbox: Sandbox, bad: Any) -> None:
    """After a 400 none of its events counts, so that it can be sent again."""
    _, customer, _ = provision(client)
    stream = streaming(client, sandbox)
    last = bad if isinstance(bad, str) else event(customer.id, **bad)
    with pytest.raises(stripe.StripeError) as caught:
        stream.v2.billing.meter_event_stream.create({"events": [event(customer.id, identifier="s1"), last]})
    assert caught.value.http_status == 400
    assert sandbox.totals() == []


@pytest.mark.parametrize("seconds", [900, 60])
def test_a_token_expires_after_15_minutes(
    client: stripe.StripeClient, sandbox: Sandbox, matches: Check, seconds: int
) -> None:
    """Or as the switch says; it opens nothing but the stream."""
    sandbox.switch(session_seconds=seconds)
    _, customer, _ = provision(client)
    stream = streaming(client, sandbox)
    with pytest.raises(stripe.AuthenticationError):
        stream.v1.customers.list()
    with pytest.raises(stripe.AuthenticationError):
        send(stream, customer.id, "1")
    sandbox.advance(seconds - 1)
    stream.v2.billing.meter_event_stream.create({"events": [event(customer.id)]})
    sandbox.advance(1)
    with pytest.raises(stripe.TemporarySessionExpiredError) as caught:
        stream.v2.billing.meter_event_stream.create({"events": [event(customer.id)]})
    matches(caught.value.json_body, "v2.error.billing_meter_event_session_expired")


def test_a_v2_failure_is_run_again_under_its_key(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """v1 replays the first answer, a 500 too; v2 repeats only a success."""
    _, customer, _ = provision(client)
    for create, seen in (
        (client.v1.billing.meter_events.create, 500),
        (client.v2.billing.meter_events.create, 200),
    ):
        sandbox.faults("fail times=1 route=*/meter_events")
        key = f"key-{seen}"
        given = event(customer.id, identifier=key)
        with pytest.raises(stripe.APIError):
            create(given, {"idempotency_key": key})
        try:
            status = create(given, {"idempotency_key": key}).last_response.code
        except stripe.APIError as error:
            status = int(str(error.http_status))
        assert status == seen
    assert sandbox.totals()[0]["total"] == "1"
    again = client.v2.billing.meter_events.create(
        event(customer.id, identifier="key-200"), {"idempotency_key": "key-200"}
    )
    assert again.identifier == "key-200"
    assert sandbox.totals()[0]["total"] == "1"
