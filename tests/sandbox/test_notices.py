"""Rejections that come later, events, and signed webhooks over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tallystick.sandbox import Sandbox
from tests.sandbox.conftest import DAY, START
from tests.sandbox.receiver import Receiver
from tests.sandbox.test_contract import Check, provision, send

REPORT = "v1.billing.meter.error_report_triggered"
NO_METER = "v1.billing.meter.no_meter_found"


def thin(client: stripe.StripeClient, receiver: Receiver, *kinds: str) -> tuple[str, str]:
    """A destination for thin events: id and secret."""
    made = client.v2.core.event_destinations.create(
        {
            "name": "ours",
            "type": "webhook_endpoint",
            "event_payload": "thin",
            "enabled_events": list(kinds) or [REPORT, NO_METER],
            "webhook_endpoint": {"url": receiver.url},
            "include": ["webhook_endpoint.signing_secret", "webhook_endpoint.url"],
        }
    )
    assert made.webhook_endpoint is not None
    assert made.webhook_endpoint.url == receiver.url
    return made.id, str(made.webhook_endpoint.signing_secret)


BAD = [
    ({"event_name": "nothing"}, "no_meter"),
    ({"timestamp": START - 36 * DAY}, "timestamp_too_far_in_past"),
    ({"timestamp": START + 400}, "timestamp_in_future"),
    ({"payload": {"value": "1"}}, "meter_event_no_customer_defined"),
    ({"payload": {"stripe_customer_id": "CUS"}}, "meter_event_value_not_found"),
    ({"payload": {"stripe_customer_id": "CUS", "value": "x"}}, "meter_event_invalid_value"),
    (
        {"payload": {"stripe_customer_id": "CUS", "value": "1234567890123456"}},
        "meter_event_value_too_many_digits",
    ),
    ({"payload": {"stripe_customer_id": "cus_nobody", "value": "1"}}, "meter_event_customer_not_found"),
]


@pytest.mark.parametrize(("change", "code"), BAD, ids=[code for _, code in BAD])
def test_bad_events_are_accepted_and_reported_later(
    client: stripe.StripeClient, sandbox: Sandbox, receiver: Receiver, change: dict[str, Any], code: str
) -> None:
    """Each reason: 2xx, nothing counted, then a thin event that has to be fetched."""
    meter, customer, _ = provision(client)
    _, secret = thin(client, receiver)
    sandbox.switch(asynchronous=["*"])
    if "payload" in change:
        change = {"payload": {k: v.replace("CUS", customer.id) for k, v in change["payload"].items()}}
    assert send(client, customer.id, "1", identifier="bad-1", **change).identifier == "bad-1"
    assert sandbox.totals() == []
    sandbox.advance(10)
    sandbox.drain()
    [pushed] = receiver.verified(secret)
    assert "data" not in pushed
    signature, body = receiver.got[0]
    notice = client.parse_event_notification(body.decode(), signature, secret)
    event: Any = notice.fetch_event()
    [error] = event.data.reason.error_types
    assert (error.code, error.error_count) == (code, 1)
    assert error.sample_errors[0].request.identifier == "bad-1"
    if code == "no_meter":
        assert (event.type, pushed.get("related_object")) == (NO_METER, None)
    else:
        assert (event.type, pushed["related_object"]["id"]) == (REPORT, meter.id)


def test_samples_are_truncated_and_windows_are_apart(
    client: stripe.StripeClient, sandbox: Sandbox, matches: Check
) -> None:
    """A report counts all errors and names a few; another window is another report; kept for 30 days."""
    provision(client)
    sandbox.switch(asynchronous=["meter_event_customer_not_found"], report_samples=2)
    for number in range(5):
        send(client, "cus_nobody", "1", identifier=f"lost-{number}")
    sandbox.advance(10)
    send(client, "cus_nobody", "1", identifier="another", at=START + 10)
    sandbox.advance(10)
    reports: Any = client.v2.core.events.list({"types": [REPORT]}).data
    assert [report.data.reason.error_count for report in reports] == [1, 5]
    [error] = reports[1].data.reason.error_types
    assert [s.request.identifier for s in error.sample_errors] == ["lost-0", "lost-1"]
    assert reports[1].data.validation_end.startswith("2026-01-01T00:00:10")
    for report in reports:
        matches(report, "v2.core.event")
    sandbox.advance(31 * DAY)
    assert client.v2.core.events.list().data == []
    with pytest.raises(stripe.InvalidRequestError):
        client.v2.core.events.retrieve(reports[0].id)


def test_the_window_of_a_report_is_a_switch(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """Nothing is said before its end."""
    provision(client)
    sandbox.switch(unknown_customer="asynchronous", report_window_seconds=3600)
    send(client, "cus_nobody", "1")
    sandbox.advance(3599)
    assert client.v2.core.events.list({"types": [REPORT]}).data == []
    sandbox.advance(1)
    [report] = client.v2.core.events.list({"types": [REPORT]}).data
    data: Any = report.data  # type: ignore[union-attr]
    assert (data.validation_start[11:19], data.validation_end[11:19]) == ("00:00:00", "01:00:00")


def test_samples_can_name_the_idempotency_key(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """The open question what a sample names: both sides, in both shapes."""
    provision(client)
    sandbox.switch(unknown_customer="asynchronous", sample_key="idempotency_key")
    params: Any = {"event_name": "tokens", "payload": {"stripe_customer_id": "cus_x", "value": "1"}}
    client.v1.billing.meter_events.create(params, {"idempotency_key": "our-key"})
    sandbox.advance(10)
    event: Any = client.v2.core.events.list({"types": [REPORT]}).data[0]
    assert event.data.reason.error_types[0].sample_errors[0].request.identifier == "our-key"
    sandbox.switch(sample_style="id_and_idempotency_key")
    client.v1.billing.meter_events.create(params, {"idempotency_key": "another"})
    sandbox.advance(10)
    event = client.v2.core.events.list({"types": [REPORT]}).data[0]
    assert event.data.reason.error_types[0].sample_errors[0].request["idempotency_key"] == "another"


@pytest.mark.parametrize(("switch", "free"), [("free", True), ("taken", False)])
def test_whether_a_rejected_identifier_is_free(
    client: stripe.StripeClient, sandbox: Sandbox, switch: str, free: bool
) -> None:
    """The open question whether a corrected event may come under the same identifier."""
    _, customer, _ = provision(client)
    sandbox.switch(unknown_customer="asynchronous", swallowed_identifier=switch)
    send(client, "cus_nobody", "1", identifier="one")
    if free:
        send(client, customer.id, "1", identifier="one")
    else:
        with pytest.raises(stripe.InvalidRequestError, match="already exists"):
            send(client, customer.id, "1", identifier="one")


def test_snapshot_events_keep_what_was(client: stripe.StripeClient, matches: Check) -> None:
    """v1 events hold the object as it was, are listed by type, and fetched."""
    meter, _, _ = provision(client)
    client.v1.billing.meters.update(meter.id, {"display_name": "Renamed"})
    client.v1.billing.meters.deactivate(meter.id)
    events = client.v1.events.list({"type": "billing.meter.*"}).data
    assert [event.type.rpartition(".")[2] for event in events] == ["deactivated", "updated", "created"]
    assert events[-1].data.object["display_name"] == "Tokens"
    assert client.v1.events.retrieve(events[0].id).data.object["status"] == "inactive"
    matches(events[0], "event")


def test_a_failing_endpoint_is_tried_again(
    client: stripe.StripeClient, sandbox: Sandbox, receiver: Receiver
) -> None:
    """Non-2xx answers are repeated after the pauses of the switch, on the sandbox's clock, then given up."""
    sandbox.switch(webhook_retry_seconds=[300, 1800])
    client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["billing.meter.created"]})
    receiver.answers = [500, 400]
    provision(client)
    [delivery] = sandbox.drain()
    assert (delivery["state"], delivery["answers"]) == ("pending", [[START, 500]])
    sandbox.advance(299)
    assert len(receiver.got) == 1
    sandbox.advance(1)
    sandbox.advance(1800)
    [delivery] = sandbox.drain()
    assert delivery["state"] == "delivered"
    assert [answer for _, answer in delivery["answers"]] == [500, 400, 200]


def test_an_endpoint_that_never_answers_is_given_up(
    client: stripe.StripeClient, sandbox: Sandbox, receiver: Receiver
) -> None:
    """After the last pause the delivery has failed; the event can still be listed."""
    client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"]})
    receiver.answers = [500] * 100
    client.v1.billing.meters.create(
        {"display_name": "a", "event_name": "a", "default_aggregation": {"formula": "sum"}}
    )
    sandbox.advance(DAY)
    [delivery] = sandbox.drain()
    assert (delivery["state"], len(delivery["answers"])) == ("failed", 4)
    assert client.v1.events.list().data[0].pending_webhooks == 1


def test_a_rolled_secret_signs_beside_its_successor(
    client: stripe.StripeClient, sandbox: Sandbox, receiver: Receiver
) -> None:
    """Two signatures until the old secret expires; then only the new one is good."""
    destination, old = thin(client, receiver, "*")
    new = sandbox.roll_secret(destination, expire_seconds=3600)
    client.v2.core.event_destinations.ping(destination)
    sandbox.drain()
    assert receiver.got[0][0].count("v1=") == 2
    receiver.verified(old)
    receiver.verified(new)
    sandbox.advance(3600)
    receiver.got.clear()
    client.v2.core.event_destinations.ping(destination)
    sandbox.drain()
    receiver.verified(new)
    with pytest.raises(stripe.SignatureVerificationError):
        receiver.verified(old)


def test_destinations_come_and_go(
    client: stripe.StripeClient, receiver: Receiver, sandbox: Sandbox, matches: Check
) -> None:
    """Made, shown with what is asked for, changed, disabled, deleted; both kinds."""
    destination, _ = thin(client, receiver)
    shown = client.v2.core.event_destinations.retrieve(destination)
    matches(shown, "v2.core.event_destination")
    assert "webhook_endpoint" not in shown
    assert client.v2.core.event_destinations.disable(destination).status == "disabled"
    assert client.v2.core.event_destinations.enable(destination).status == "enabled"
    assert client.v2.core.event_destinations.update(destination, {"name": "new"}).name == "new"
    assert len(client.v2.core.event_destinations.list().data) == 1
    client.v2.core.event_destinations.delete(destination)
    assert client.v2.core.event_destinations.list().data == []

    made = client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"]})
    matches(made, "webhook_endpoint")
    assert str(made.secret).startswith("whsec_")
    assert "secret" not in client.v1.webhook_endpoints.retrieve(made.id)
    assert client.v1.webhook_endpoints.update(made.id, {"disabled": True}).status == "disabled"
    provision(client)
    assert sandbox.drain() == []
    assert client.v1.webhook_endpoints.delete(made.id).deleted


def test_webhooks_are_lost_doubled_and_overtaken(
    client: stripe.StripeClient, sandbox: Sandbox, receiver: Receiver
) -> None:
    """The switches make what Stripe warns of; in the end each event has come at least once."""
    sandbox.switch(webhook_duplicate=40, webhook_drop=40, webhook_shuffle=50)
    client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"]})
    for number in range(12):
        name = f"meter_{number:02d}"
        client.v1.billing.meters.create(
            {"display_name": name, "event_name": name, "default_aggregation": {"formula": "sum"}}
        )
    sandbox.advance(DAY)
    ids = [client.construct_event_without_verification(body.decode()).id for _, body in receiver.got]
    assert set(ids) == {event.id for event in client.v1.events.list({"limit": 100}).data}
    assert len(ids) > len(set(ids))
    assert ids != sorted(ids)


@pytest.mark.parametrize("switch", ["real", "clock"])
def test_which_time_a_signature_names(
    client: stripe.StripeClient, sandbox: Sandbox, receiver: Receiver, switch: str
) -> None:
    """Real time, which clients accept; or the sandbox's, which a clock of long ago makes too old."""
    sandbox.switch(signature_time=switch)
    destination, secret = thin(client, receiver, "*")
    client.v2.core.event_destinations.ping(destination)
    sandbox.drain()
    if switch == "real":
        assert len(receiver.verified(secret)) == 1
    else:
        assert receiver.got[0][0].startswith(f"t={START},")
        with pytest.raises(stripe.SignatureVerificationError, match="outside the tolerance"):
            receiver.verified(secret)


def test_live_and_test_have_their_own_events(
    client: stripe.StripeClient, sandbox: Sandbox, receiver: Receiver
) -> None:
    """An endpoint of one mode never hears of the other."""
    live = stripe.StripeClient("sk_live_sandbox_tests", base_addresses={"api": sandbox.url})
    live.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"]})
    provision(client)
    assert sandbox.tell("drain", mode="live") == []
    live.v1.customers.create({"name": "Real"})
    [delivery] = sandbox.tell("drain", mode="live")
    assert delivery["type"] == "customer.created"
    assert [event.livemode for event in live.v1.events.list().data] == [True]
