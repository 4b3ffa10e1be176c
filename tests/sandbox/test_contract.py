"""The sandbox answers as Stripe's description and documentation say, to the official client."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import stripe

from tallystick.sandbox import Sandbox
from tests.sandbox.conftest import DAY, START

Check = Callable[[Any, str], None]


def provision(client: stripe.StripeClient, unit: str = "0.05", **subscription: Any) -> tuple[Any, Any, Any]:
    """A meter with a price, and a customer subscribed to it."""
    meter = client.v1.billing.meters.create(
        {"display_name": "Tokens", "event_name": "tokens", "default_aggregation": {"formula": "sum"}}
    )
    price = client.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount_decimal": Decimal(unit),
            "product_data": {"name": "Tokens"},
            "recurring": {"interval": "month", "usage_type": "metered", "meter": meter.id},
        }
    )
    customer = client.v1.customers.create({"name": "Acme"})
    made = client.v1.subscriptions.create(
        {"customer": customer.id, "items": [{"price": price.id}], **subscription}
    )
    return meter, customer, made


def send(client: stripe.StripeClient, customer: str, value: str, at: int = START, **more: Any) -> Any:
    params: Any = {
        "event_name": "tokens",
        "payload": {"stripe_customer_id": customer, "value": value},
        "timestamp": at,
    }
    return client.v1.billing.meter_events.create({**params, **more})


def test_objects_are_shaped_as_described(
    client: stripe.StripeClient, sandbox: Sandbox, matches: Check
) -> None:
    """Every object the sandbox answers with validates against Stripe's OpenAPI description."""
    meter, customer, subscription = provision(client)
    matches(meter, "billing.meter")
    matches(customer, "customer")
    matches(subscription, "subscription")
    matches(subscription["items"].data[0].price, "price")
    matches(client.v1.products.list().data[0], "product")
    matches(send(client, customer.id, "30"), "billing.meter_event")
    window: Any = {"customer": customer.id, "start_time": START, "end_time": START + 60}
    [summary] = client.v1.billing.meters.event_summaries.list(meter.id, window).data
    matches(summary, "billing.meter_event_summary")
    sandbox.advance(31 * DAY)
    [invoice] = client.v1.invoices.list({"customer": customer.id}).data
    matches(invoice, "invoice")
    matches(invoice.lines.data[0], "line_item")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"event_name": "nothing"}, "No active meter found for event name nothing"),
        ({"timestamp": START - 36 * DAY}, "cannot be more than 35 days in past"),
        ({"timestamp": START + 400}, "5 minutes in the future"),
        ({"payload": {"value": "1"}}, "missing the customer key"),
        ({"payload": {"stripe_customer_id": "CUS"}}, "missing the value key"),
        ({"payload": {"stripe_customer_id": "CUS", "value": "x"}}, "Invalid decimal"),
        ({"payload": {"stripe_customer_id": "CUS", "value": "1234567890123456"}}, "15 significant digits"),
        ({"payload": {"stripe_customer_id": "cus_nobody", "value": "1"}}, "No such customer"),
        ({"payload": {"stripe_customer_id": "CUS", "value": "1e3"}}, "Invalid decimal"),
        ({"payload": {"stripe_customer_id": "CUS", "value": "١"}}, "Invalid decimal"),
        ({"identifier": "x" * 101}, "at most 100 characters"),
        ({"quantity": "1"}, "Received unknown parameter: quantity"),
    ],
)
def test_bad_events_are_refused(client: stripe.StripeClient, change: dict[str, Any], message: str) -> None:
    """Each refusal of the recording API, as a 400 that the client does not retry."""
    _, customer, _ = provision(client)
    if "payload" in change:
        payload = {k: v.replace("CUS", customer.id) for k, v in change["payload"].items()}
        change = {**change, "payload": payload}
    with pytest.raises(stripe.InvalidRequestError, match=message) as caught:
        send(client, customer.id, "1", **change)
    assert caught.value.http_status == 400


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"timestamp": START - 35 * DAY}, {"timestamp": START - 35 * DAY - 1}),
        ({"timestamp": START + 300}, {"timestamp": START + 301}),
        ({"identifier": "x" * 100}, {"identifier": "y" * 101}),
    ],
)
def test_limits_are_where_they_are_said_to_be(
    client: stripe.StripeClient, sandbox: Sandbox, good: dict[str, Any], bad: dict[str, Any]
) -> None:
    """The last one that is taken and the first one that is not."""
    _, customer, _ = provision(client)
    send(client, customer.id, "1", **good)
    with pytest.raises(stripe.InvalidRequestError):
        send(client, customer.id, "1", **bad)
    assert sandbox.totals()[0]["total"] == "1"


@pytest.mark.parametrize("seconds", [DAY, 7200])
def test_an_identifier_counts_once_for_24_hours(
    client: stripe.StripeClient, sandbox: Sandbox, seconds: int
) -> None:
    """A repeat is an error inside the window (a switch), to its last second, and a second event after it."""
    sandbox.switch(window_seconds=seconds)
    _, customer, _ = provision(client)
    send(client, customer.id, "5", identifier="one")
    with pytest.raises(stripe.InvalidRequestError, match="An event already exists with identifier one"):
        send(client, customer.id, "5", identifier="one")
    sandbox.advance(seconds - 1)
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        send(client, customer.id, "5", identifier="one")
    sandbox.advance(1)
    send(client, customer.id, "5", identifier="one")
    assert sandbox.totals()[0]["total"] == "10"


def test_idempotency_keys(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """A repeat under one key is answered from the store and counted once; other parameters are refused."""
    _, customer, _ = provision(client)
    params: Any = {"event_name": "tokens", "payload": {"stripe_customer_id": customer.id, "value": "1"}}
    params["timestamp"] = START
    for _ in range(2):
        again = client.v1.billing.meter_events.create(params, {"idempotency_key": "k"})
    assert again.last_response.headers["idempotent-replayed"] == "true"
    assert sandbox.totals()[0]["total"] == "1"
    params["timestamp"] = START + 1
    with pytest.raises(stripe.IdempotencyError):
        client.v1.billing.meter_events.create(params, {"idempotency_key": "k"})
    client.v1.billing.meter_events.create(params, {"idempotency_key": "k" * 255})
    with pytest.raises(stripe.StripeError, match="at most 255"):
        client.v1.billing.meter_events.create(params, {"idempotency_key": "k" * 256})


def test_summaries_are_aligned_and_paged(client: stripe.StripeClient) -> None:
    """Windows align to minutes, hours and days; groups come newest first."""
    meter, customer, _ = provision(client)
    for hour in range(3):
        send(client, customer.id, "1.5", at=START - hour * 3600 - 1)
    window: Any = {"customer": customer.id, "start_time": START - DAY, "end_time": START}
    summaries = client.v1.billing.meters.event_summaries
    assert [s.aggregated_value for s in summaries.list(meter.id, window).data] == [4.5]
    hours = summaries.list(meter.id, {**window, "value_grouping_window": "hour"}).data
    assert [s.start_time for s in hours] == [START - 3600, START - 7200, START - 10800]
    with pytest.raises(stripe.InvalidRequestError, match="aligned"):
        summaries.list(meter.id, {**window, "start_time": START - DAY + 1})


def test_the_cycle_closes_as_documented(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """Usage of the period counts until its draft is final; later usage of it is billed by nothing."""
    _, customer, _ = provision(client)
    send(client, customer.id, "30")
    end = sandbox.advance(31 * DAY)
    [draft] = client.v1.invoices.list({"customer": customer.id}).data
    assert (draft.status, draft.total) == ("draft", 2)  # 30 × 0.05 = 1.5, half up
    send(client, customer.id, "10", at=end - 1)
    send(client, customer.id, "1000", at=end)
    sandbox.advance(3600)
    final = client.v1.invoices.retrieve(draft.id)
    assert (final.status, final.total, final.lines.data[0].quantity) == ("open", 2, 40)
    send(client, customer.id, "1000", at=end - 1)
    assert client.v1.invoices.retrieve(draft.id).total == 2


def test_a_held_draft_waits(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """auto_advance=false holds an invoice past its hour; finalising it takes the newest usage along."""
    _, customer, _ = provision(client)
    end = sandbox.advance(31 * DAY)
    [draft] = client.v1.invoices.list({"customer": customer.id}).data
    client.v1.invoices.update(draft.id, {"auto_advance": False})
    sandbox.advance(5 * DAY)
    send(client, customer.id, "100", at=end - 1)
    assert client.v1.invoices.finalize_invoice(draft.id).total == 5


def test_cancelling_without_invoice_now_drops_usage(client: stripe.StripeClient) -> None:
    """Immediate cancel: only invoice_now bills what was used."""
    meter, customer, subscription = provision(client)
    send(client, customer.id, "100", at=START)
    client.v1.subscriptions.cancel(subscription.id)
    assert client.v1.invoices.list({"customer": customer.id}).data == []
    assert meter.status == "active"


TIERS = [(10, 5, 100), ("inf", 2, 30)]  # up to, unit amount, flat amount


def tiered(meter: Any, tiers: list[Any], mode: str, **more: Any) -> Any:
    return {
        "currency": "usd",
        "billing_scheme": "tiered",
        "tiers_mode": mode,
        "tiers": [{"up_to": up, "unit_amount": unit, "flat_amount": flat} for up, unit, flat in tiers],
        "product_data": {"name": "Tiered"},
        "recurring": {"interval": "month", "usage_type": "metered", "meter": meter.id},
        **more,
    }


@pytest.mark.parametrize(
    ("tiers", "more", "words"),
    [
        ([(10, 5, 0), (20, 2, 0)], {}, "the last one must be inf"),
        ([(10, 5, 0), (5, 2, 0), ("inf", 1, 0)], {}, "must rise"),
        ([("inf", 5, 0), ("inf", 2, 0)], {}, "must rise"),
        (TIERS, {"transform_quantity": {"divide_by": 10, "round": "up"}}, "cannot be combined"),
    ],
)
def test_tiers_that_there_are_not(client: stripe.StripeClient, tiers: Any, more: Any, words: str) -> None:
    meter, _, _ = provision(client)
    with pytest.raises(stripe.InvalidRequestError, match=words):
        client.v1.prices.create(tiered(meter, tiers, "volume", **more))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"unit_amount": "1.5"}, "Invalid integer"),
        ({"unit_amount": 1, "unit_amount_decimal": "1.5"}, "not both"),
        ({"unit_amount_decimal": "0.1234567890123"}, "Invalid decimal"),
        ({}, "unit_amount or unit_amount_decimal"),
        ({"unit_amount": 1, "usage_type": "licensed"}, "Only metered prices have a meter"),
    ],
)
def test_amounts_that_there_are_not(client: stripe.StripeClient, change: Any, words: str) -> None:
    """Whole ones, or decimals of at most twelve digits; and prices that have no usage."""
    meter, _, _ = provision(client)
    kind = {"usage_type": change.get("usage_type", "metered")}
    recurring = {"interval": "month", "meter": meter.id, **kind}
    params: Any = {"currency": "usd", "product_data": {"name": "t"}, "recurring": recurring}
    amounts = {name: value for name, value in change.items() if name != "usage_type"}
    with pytest.raises(stripe.InvalidRequestError, match=words):
        client.v1.prices.create({**params, **amounts})


@pytest.mark.parametrize(("rounding", "amount"), [("up", 3 * 7), ("down", 2 * 7)])
def test_packages(client: stripe.StripeClient, rounding: str, amount: int) -> None:
    """The quantity is divided and rounded before it is priced."""
    meter, customer, _ = provision(client)
    recurring = {"interval": "month", "usage_type": "metered", "meter": meter.id}
    params: Any = {
        "currency": "usd",
        "unit_amount": 7,
        "product_data": {"name": "Pack"},
        "recurring": recurring,
    }
    price = client.v1.prices.create({**params, "transform_quantity": {"divide_by": 10, "round": rounding}})
    made = client.v1.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})
    send(client, customer.id, "25")
    assert client.v1.invoices.create_preview({"subscription": made.id}).total == amount


def test_a_period_below_zero_bills_nothing(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """Corrections beyond the usage are lost; the quantity of a line is cut to a whole number, its decimals are kept."""
    meter, customer, subscription = provision(client, "1")
    send(client, customer.id, "5")
    send(client, customer.id, "-7.5")
    preview: Any = client.v1.invoices.create_preview({"subscription": subscription.id})
    assert (preview.total, preview.lines.data[0].quantity) == (0, 0)
    send(client, customer.id, "6")
    preview = client.v1.invoices.create_preview({"subscription": subscription.id})
    assert (preview.total, preview.lines.data[0].quantity) == (4, 3)
    assert str(preview.lines.data[0].quantity_decimal) == "3.5"
    assert sandbox.totals()[0]["total"] == "3.5"
    assert meter.status == "active"


@pytest.mark.parametrize(
    ("tiers", "mode", "quantity", "amount"),
    [
        (TIERS, "graduated", "15", 100 + 10 * 5 + 30 + 5 * 2),
        (TIERS, "graduated", "10", 100 + 10 * 5),
        (TIERS, "volume", "15", 30 + 15 * 2),
        (TIERS, "volume", "10", 100 + 10 * 5),
        ([(10, 5, 0), (20, 3, 0), ("inf", 1, 0)], "graduated", "25", 10 * 5 + 10 * 3 + 5),
    ],
)
def test_tiers(client: stripe.StripeClient, tiers: Any, mode: Any, quantity: str, amount: int) -> None:
    """Graduated tiers add up, volume tiers apply to everything, flat amounts of each reached; `up_to` is inclusive."""
    meter, customer, _ = provision(client)
    price = client.v1.prices.create(tiered(meter, tiers, mode))
    made = client.v1.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})
    send(client, customer.id, quantity)
    assert client.v1.invoices.create_preview({"subscription": made.id}).total == amount


def test_anchors_at_the_end_of_a_month(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """A cycle anchored on the 31st ends on short months' last day and comes back to the 31st."""
    sandbox.advance(30 * DAY)  # 31 January
    _, _, made = provision(client)
    ends = []
    for _ in range(3):
        end = client.v1.subscriptions.retrieve(made.id)["items"].data[0].current_period_end
        ends.append(end)
        sandbox.advance(end - sandbox.tell("clock")["now"])
    assert [(end - START) // DAY for end in ends] == [58, 89, 119]  # 28 February, 31 March, 30 April


def test_keys_and_modes(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    """A wrong key is a 401; live and test see different worlds."""
    provision(client)
    live = stripe.StripeClient("sk_live_sandbox_tests", base_addresses={"api": sandbox.url})
    assert live.v1.customers.list().data == []
    with pytest.raises(stripe.AuthenticationError):
        stripe.StripeClient("pk_test_wrong_key", base_addresses={"api": sandbox.url}).v1.customers.list()


def test_a_flag_that_says_false_is_false(client: stripe.StripeClient) -> None:
    """invoice_now=false drops usage like leaving it out."""
    _, customer, subscription = provision(client)
    send(client, customer.id, "100")
    client.v1.subscriptions.cancel(subscription.id, {"invoice_now": False})
    assert client.v1.invoices.list({"customer": customer.id}).data == []


def test_invoice_now_bills_what_was_used(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """Immediate cancel with invoice_now drafts an invoice of the running period."""
    _, customer, subscription = provision(client)
    send(client, customer.id, "100")
    sandbox.advance(DAY)
    client.v1.subscriptions.cancel(subscription.id, {"invoice_now": True})
    [invoice] = client.v1.invoices.list({"customer": customer.id}).data
    assert (invoice.total, invoice.lines.data[0].period.end) == (5, START + DAY)


def test_cancelling_an_event(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """Within 24 hours, once, by identifier and event name."""
    _, customer, _ = provision(client)
    send(client, customer.id, "5", identifier="one")
    params: Any = {"event_name": "tokens", "type": "cancel", "cancel": {"identifier": "one"}}
    adjustments = client.v1.billing.meter_event_adjustments
    assert adjustments.create(params).status == "complete"
    assert sandbox.totals()[0]["total"] == "0"
    with pytest.raises(stripe.InvalidRequestError, match="already been cancelled"):
        adjustments.create(params)
    send(client, customer.id, "5", identifier="two")
    sandbox.advance(DAY + 1)
    with pytest.raises(stripe.InvalidRequestError, match="within 24 hours"):
        adjustments.create({**params, "cancel": {"identifier": "two"}})


@pytest.mark.parametrize("name", ["limit", "start_time"])
def test_bad_numbers_are_a_400(sandbox: Sandbox, client: stripe.StripeClient, name: str) -> None:
    """Not a 500."""
    meter, customer, _ = provision(client)
    window: Any = {"customer": customer.id, "start_time": START, "end_time": START + 60, name: "x"}
    with pytest.raises(stripe.InvalidRequestError, match="Invalid integer: x"):
        client.v1.billing.meters.event_summaries.list(meter.id, window)
