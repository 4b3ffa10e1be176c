"""Subscriptions, drafts and invoices through the months; test clocks; usage records of old accounts."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
import stripe

from tallystick.sandbox import Sandbox
from tests.sandbox.conftest import DAY, START
from tests.sandbox.receiver import Receiver
from tests.sandbox.test_contract import Check, provision, send

OLD = "2025-02-24.acacia"


def day(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def period(client: stripe.StripeClient, subscription: str) -> tuple[int, int]:
    item = client.v1.subscriptions.retrieve(subscription)["items"].data[0]
    return item.current_period_start, item.current_period_end


def invoices(client: stripe.StripeClient, customer: str) -> list[Any]:
    """Oldest first."""
    return client.v1.invoices.list({"customer": customer, "limit": 100}).data[::-1]


def test_an_anchor_in_the_future_makes_a_short_first_period(
    client: stripe.StripeClient, sandbox: Sandbox
) -> None:
    """From the start to the anchor; then whole months."""
    _, customer, made = provision(client, "1", billing_cycle_anchor=day("2026-01-15"))
    assert period(client, made.id) == (START, day("2026-01-15"))
    send(client, customer.id, "3")
    sandbox.advance(14 * DAY)
    assert period(client, made.id) == (day("2026-01-15"), day("2026-02-15"))
    [invoice] = invoices(client, customer.id)
    assert (invoice.total, invoice.lines.data[0].period.start) == (3, START)


def test_a_start_in_the_past_brings_its_periods(client: stripe.StripeClient) -> None:
    """Each with its invoice; the running period is the present one."""
    _, customer, made = provision(client, "1", backdate_start_date=day("2025-10-31"))
    assert period(client, made.id) == (day("2025-12-31"), day("2026-01-31"))
    starts = [invoice.period_start for invoice in invoices(client, customer.id)]
    assert starts == [day("2025-10-31"), day("2025-11-30")]


@pytest.mark.parametrize("anchor", [29, 30, 31])
def test_anchors_on_days_that_some_months_lack(
    client: stripe.StripeClient, sandbox: Sandbox, anchor: int
) -> None:
    """The last day of a short month, and back to the anchor; no second belongs to two periods or none."""
    sandbox.advance(day(f"2026-01-{anchor}") - START)
    _, customer, made = provision(client)
    sandbox.advance(day("2027-03-01") - day(f"2026-01-{anchor}"))
    rows = invoices(client, customer.id)
    assert len(rows) == 13
    assert all(a.period_end == b.period_start for a, b in pairwise(rows))
    ends = [datetime.fromtimestamp(row.period_end, UTC).day for row in rows]
    assert ends[:3] == [28, anchor, min(anchor, 30)]
    assert period(client, made.id)[0] == rows[-1].period_end


def test_items_of_different_intervals(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """Each item has its own period; an invoice takes the items that end at its instant."""
    meter, customer, made = provision(client, "1")
    weekly = client.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 10,
            "product_data": {"name": "Weekly"},
            "recurring": {"interval": "week", "usage_type": "metered", "meter": meter.id},
        }
    )
    client.v1.subscription_items.create({"subscription": made.id, "price": weekly.id})
    send(client, customer.id, "2")
    sandbox.advance(31 * DAY)
    rows = invoices(client, customer.id)
    assert [row.total for row in rows] == [20, 0, 0, 0, 2]
    assert [row.period_end - START for row in rows] == [7 * DAY, 14 * DAY, 21 * DAY, 28 * DAY, 31 * DAY]


@pytest.mark.parametrize(("mode", "totals"), [("flexible", [10 * 1 + 5 * 3]), ("classic", [0, 5 * 3])])
def test_a_price_change_in_the_middle(
    client: stripe.StripeClient, sandbox: Sandbox, mode: str, totals: list[int]
) -> None:
    """Flexible bills the usage so far at the old price, classic only what comes after, at the new one."""
    meter, customer, made = provision(client, "1", billing_mode={"type": mode})
    dearer = client.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 3,
            "product_data": {"name": "Dear"},
            "recurring": {"interval": "month", "usage_type": "metered", "meter": meter.id},
        }
    )
    send(client, customer.id, "10")
    sandbox.advance(DAY)
    client.v1.subscription_items.update(made["items"].data[0].id, {"price": dearer.id})
    send(client, customer.id, "5", at=START + DAY)
    sandbox.advance(30 * DAY)
    assert [invoice.total for invoice in invoices(client, customer.id)] == totals


def test_licensed_items_are_paid_ahead(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """The first invoice is final at once, a short first period costs its share, metered lines follow behind."""
    _, customer, metered = provision(client, "1")
    seat = client.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 3100,
            "product_data": {"name": "Seat"},
            "recurring": {"interval": "month"},
        }
    )
    items: Any = [
        {"price": seat.id, "quantity": 2},
        {"price": metered["items"].data[0].price.id},
    ]
    client.v1.subscriptions.cancel(metered.id)
    client.v1.subscriptions.create(
        {"customer": customer.id, "items": items, "billing_cycle_anchor": day("2026-01-16")}
    )
    send(client, customer.id, "7")
    [first] = invoices(client, customer.id)
    assert (first.status, first.total, first.billing_reason) == ("open", 3000, "subscription_create")
    sandbox.advance(15 * DAY)
    lines = invoices(client, customer.id)[1].lines.data
    assert [(line.amount, line.period.start) for line in lines] == [(7, START), (6200, day("2026-01-16"))]


def test_early_finalisation_closes_the_window(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """Finalised by hand within the hour: usage that comes after it is billed by nothing."""
    _, customer, _ = provision(client, "1")
    end = sandbox.advance(31 * DAY)
    [draft] = invoices(client, customer.id)
    assert draft.automatically_finalizes_at == end + 3600
    send(client, customer.id, "4", at=end - 1)
    client.v1.invoices.finalize_invoice(draft.id)
    send(client, customer.id, "4", at=end - 1)
    sandbox.advance(3600)
    assert client.v1.invoices.retrieve(draft.id).total == 4
    with pytest.raises(stripe.InvalidRequestError, match="already finalized"):
        client.v1.invoices.finalize_invoice(draft.id)


def test_a_cancelled_event_leaves_a_final_invoice_as_it_is(
    client: stripe.StripeClient, sandbox: Sandbox
) -> None:
    """On a draft it is taken off; what is final stays, although Stripe takes the cancellation."""
    _, customer, _ = provision(client, "1")
    send(client, customer.id, "4", identifier="one", at=START)
    sandbox.advance(31 * DAY - 10)
    for name in ("two", "three"):
        send(client, customer.id, "4", identifier=name, at=START + 31 * DAY - 10)
    sandbox.advance(20)
    cancel: Any = {"event_name": "tokens", "type": "cancel", "cancel": {"identifier": "two"}}
    client.v1.billing.meter_event_adjustments.create(cancel)
    [draft] = invoices(client, customer.id)
    assert (draft.status, draft.total) == ("draft", 8)
    sandbox.advance(3600)
    client.v1.billing.meter_event_adjustments.create({**cancel, "cancel": {"identifier": "three"}})
    [final] = invoices(client, customer.id)
    assert (final.status, final.total) == ("open", 8)


@pytest.mark.parametrize(("how", "status"), [("charge_automatically", "open"), ("send_invoice", "draft")])
def test_the_first_invoice_has_no_window_unless_it_is_sent(
    client: stripe.StripeClient, sandbox: Sandbox, how: str, status: str
) -> None:
    """Final at once, or after an hour; whatever the setting for renewals says."""
    sandbox.switch(draft_seconds=72 * 3600)
    seat: Any = {
        "currency": "usd",
        "unit_amount": 100,
        "product_data": {"name": "Seat"},
        "recurring": {"interval": "month"},
    }
    items: Any = [{"price": client.v1.prices.create(seat).id}]
    customer = client.v1.customers.create({"name": "Acme"}).id
    params: Any = {"customer": customer, "items": items, "collection_method": how}
    client.v1.subscriptions.create({**params, **({"days_until_due": 30} if how == "send_invoice" else {})})
    assert [invoice.status for invoice in invoices(client, customer)] == [status]
    sandbox.advance(3600)
    assert [invoice.status for invoice in invoices(client, customer)] == ["open"]


def test_the_draft_time_is_a_setting(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """Up to 72 hours, as the Dashboard allows; a draft of its own date becomes final then."""
    sandbox.switch(draft_seconds=72 * 3600)
    _, customer, _ = provision(client, "1")
    end = sandbox.advance(31 * DAY)
    [draft] = invoices(client, customer.id)
    assert draft.automatically_finalizes_at == end + 72 * 3600
    client.v1.invoices.update(draft.id, {"automatically_finalizes_at": end + 100})
    sandbox.advance(99)
    assert client.v1.invoices.retrieve(draft.id).status == "draft"
    sandbox.advance(1)
    assert client.v1.invoices.retrieve(draft.id).status == "open"


def test_the_hour_begins_with_the_answer_to_the_webhook(
    client: stripe.StripeClient, sandbox: Sandbox, receiver: Receiver
) -> None:
    """An endpoint that fails puts finalising off: an hour after its answer, or 72 hours after the draft."""
    sandbox.switch(webhook_retry_seconds=[7200])
    client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["invoice.created"]})
    _, customer, _ = provision(client, "1")
    receiver.answers = [500]
    end = sandbox.advance(31 * DAY)
    sandbox.advance(7200)  # the second attempt succeeds
    [draft] = invoices(client, customer.id)
    assert (draft.status, draft.automatically_finalizes_at) == ("draft", end + 7200 + 3600)
    sandbox.advance(3600)
    assert invoices(client, customer.id)[0].status == "open"
    receiver.answers = [500, 500]
    end = sandbox.advance(28 * DAY - 10800)
    sandbox.advance(72 * 3600 - 1)
    assert invoices(client, customer.id)[1].status == "draft"
    sandbox.advance(1)
    assert invoices(client, customer.id)[1].status == "open"


def test_drafts_need_not_wait_for_webhooks(
    client: stripe.StripeClient, sandbox: Sandbox, receiver: Receiver
) -> None:
    """By switch; and `invoice.upcoming` can be left out."""
    sandbox.switch(drafts_wait_for_webhooks=False, upcoming_days=0)
    client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"]})
    receiver.answers = [500] * 100
    _, customer, _ = provision(client, "1")
    sandbox.advance(31 * DAY + 3600)
    assert invoices(client, customer.id)[0].status == "open"
    assert "invoice.upcoming" not in receiver.types()


def test_usage_that_comes_while_the_webhook_is_answered_is_billed(
    client: stripe.StripeClient, sandbox: Sandbox, receiver: Receiver
) -> None:
    """As a gate does it: hold the draft before the 2xx, send what is missing, finalise."""
    client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["invoice.created"]})
    _, customer, _ = provision(client, "1")
    held = []

    def hold(body: bytes) -> None:
        draft = json.loads(body)["data"]["object"]
        client.v1.invoices.update(draft["id"], {"auto_advance": False})
        send(client, customer.id, "9", at=draft["period_end"] - 1)
        held.append(draft["id"])

    receiver.on_event = hold
    sandbox.advance(40 * DAY)
    assert client.v1.invoices.retrieve(held[0]).status == "draft"
    assert client.v1.invoices.finalize_invoice(held[0]).total == 9


def test_a_month_tells_its_story(client: stripe.StripeClient, sandbox: Sandbox, receiver: Receiver) -> None:
    """One jump over two months: webhooks in their order, each draft announced before it is final."""
    client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"]})
    provision(client)
    sandbox.drain()
    receiver.got.clear()
    sandbox.advance(60 * DAY)
    kinds = [kind for kind in receiver.types() if kind.startswith("invoice.")]
    assert kinds == ["invoice.upcoming", "invoice.created", "invoice.finalized"] * 2


def test_invoice_items_make_up_for_what_was_late(
    client: stripe.StripeClient, sandbox: Sandbox, matches: Check
) -> None:
    """After the invoice is final: an item on the next one, or a credit; half a cent below zero is a switch."""
    _, customer, _ = provision(client)
    item = client.v1.invoice_items.create(
        {"customer": customer.id, "amount": 250, "currency": "usd", "description": "late usage of December"}
    )
    matches(item, "invoiceitem")
    amounts = []
    for rule in ("up", "away", "even"):
        sandbox.switch(negative_half=rule)
        params: Any = {"customer": customer.id, "quantity": 5, "unit_amount_decimal": "-0.5"}
        amounts.append(client.v1.invoice_items.create(params).amount)
    assert amounts == [-2, -3, -2]
    sandbox.advance(31 * DAY)
    [invoice] = invoices(client, customer.id)
    assert invoice.total == 250 - 7
    matches(invoice.lines.data[1], "line_item")
    assert client.v1.invoice_items.retrieve(item.id).invoice == invoice.id
    client.v1.invoice_items.delete(item.id)
    client.v1.invoice_items.update(
        invoice.lines.data[2].parent.invoice_item_details.invoice_item, {"amount": 0}
    )
    assert client.v1.invoices.finalize_invoice(invoice.id).total == -5


def test_a_single_invoice_waits_to_be_told(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """auto_advance=false; then finalised and paid, or void."""
    customer = client.v1.customers.create({"name": "Acme"}).id
    client.v1.invoice_items.create({"customer": customer, "amount": 100, "currency": "usd"})
    made = client.v1.invoices.create({"customer": customer, "pending_invoice_items_behavior": "include"})
    sandbox.advance(DAY)
    assert (client.v1.invoices.retrieve(made.id).status, made.total) == ("draft", 100)
    assert client.v1.invoices.pay(made.id).status == "paid"
    other = client.v1.invoices.create({"customer": customer})
    client.v1.invoices.finalize_invoice(other.id)
    assert client.v1.invoices.void_invoice(other.id).status == "void"
    third = client.v1.invoices.create({"customer": customer})
    assert client.v1.invoices.delete(third.id).deleted


@pytest.mark.parametrize(
    ("behavior", "status"),
    [("keep_as_draft", "draft"), ("void", "void"), ("mark_uncollectible", "uncollectible")],
)
def test_pausing_collection(
    client: stripe.StripeClient, sandbox: Sandbox, behavior: Any, status: str
) -> None:
    """What becomes of the invoices of a paused subscription."""
    _, customer, made = provision(client, "1")
    client.v1.subscriptions.update(made.id, {"pause_collection": {"behavior": behavior}})
    sandbox.advance(31 * DAY + 3600)
    assert invoices(client, customer.id)[0].status == status


@pytest.mark.parametrize("how", ["cancel_at_period_end", "cancel_at"])
def test_cancelling_later_bills_what_was_used(
    client: stripe.StripeClient, sandbox: Sandbox, how: str
) -> None:
    """One last invoice and none after it."""
    _, customer, made = provision(client, "1")
    params: Any = (
        {"cancel_at_period_end": True} if how == "cancel_at_period_end" else {"cancel_at": START + DAY}
    )
    client.v1.subscriptions.update(made.id, params)
    send(client, customer.id, "5")
    sandbox.advance(90 * DAY)
    assert [invoice.total for invoice in invoices(client, customer.id)] == [5]
    assert client.v1.subscriptions.retrieve(made.id).status == "canceled"


def ready(client: stripe.StripeClient, sandbox: Sandbox, clock: str) -> Any:
    """The clock when it has arrived; each look lets the sandbox go on."""
    for _ in range(200):
        found = client.v1.test_helpers.test_clocks.retrieve(clock)
        if found.status == "ready":
            return found
        sandbox.tell("drain")
    raise AssertionError("the test clock does not arrive")


def on_clock(client: stripe.StripeClient, frozen: int) -> tuple[Any, str]:
    clock = client.v1.test_helpers.test_clocks.create({"frozen_time": frozen, "name": "ours"})
    return clock, client.v1.customers.create({"name": "Clocked", "test_clock": clock.id}).id


def test_a_test_clock_moves_its_customers_alone(
    client: stripe.StripeClient, sandbox: Sandbox, matches: Check, receiver: Receiver
) -> None:
    """Advancing drafts and finalises for its customers; the sandbox's time stands still."""
    client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"]})
    meter, other, made = provision(client, "1")
    clock, customer = on_clock(client, day("2026-06-15"))
    matches(clock, "test_helpers.test_clock")
    client.v1.subscriptions.create(
        {"customer": customer, "items": [{"price": made["items"].data[0].price.id}]}
    )
    send(client, customer, "6", at=day("2026-06-15"))
    clocks = client.v1.test_helpers.test_clocks
    assert clocks.advance(clock.id, {"frozen_time": day("2026-07-16")}).status == "advancing"
    assert ready(client, sandbox, clock.id).frozen_time == day("2026-07-16")
    [invoice] = invoices(client, customer)
    assert (invoice.status, invoice.total, invoice.created) == ("open", 6, day("2026-07-15"))
    assert invoices(client, other.id) == []
    assert sandbox.tell("clock")["now"] == START
    assert "test_helpers.test_clock.ready" in client.v1.events.list({"limit": 1}).data[0].type
    with pytest.raises(stripe.InvalidRequestError, match="two intervals"):
        clocks.advance(clock.id, {"frozen_time": day("2026-12-01")})
    with pytest.raises(stripe.InvalidRequestError, match="only goes forward"):
        clocks.advance(clock.id, {"frozen_time": day("2026-07-01")})
    assert clocks.delete(clock.id).deleted
    assert client.v1.customers.retrieve(customer).deleted
    assert client.v1.customers.retrieve(other.id).name == "Acme"
    assert meter.status == "active"


@pytest.mark.parametrize("switch", ["test_clock", "sandbox"])
def test_which_clock_the_35_days_read(client: stripe.StripeClient, sandbox: Sandbox, switch: str) -> None:
    """The open question how test clocks and the limits of timestamps go together."""
    sandbox.switch(test_clock_limits=switch)
    provision(client)
    _, customer = on_clock(client, day("2026-06-15"))
    at = day("2026-06-15") if switch == "test_clock" else START
    wrong = START if switch == "test_clock" else day("2026-06-15")
    send(client, customer, "1", at=at)
    with pytest.raises(stripe.InvalidRequestError, match="The event timestamp cannot be more than"):
        send(client, customer, "1", at=wrong)


@pytest.mark.parametrize(("reaches", "total"), [(True, 4), (False, 0)])
def test_whether_late_usage_reaches_the_draft_of_a_test_clock(
    client: stripe.StripeClient, sandbox: Sandbox, reaches: bool, total: int
) -> None:
    """People report that it does not; on the sandbox's own clock it always does."""
    sandbox.switch(late_usage_on_test_clocks=reaches)
    _, _, made = provision(client, "1")
    clock, customer = on_clock(client, START)
    client.v1.subscriptions.create(
        {"customer": customer, "items": [{"price": made["items"].data[0].price.id}]}
    )
    end = START + 31 * DAY
    client.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": end + 60})
    ready(client, sandbox, clock.id)
    send(client, customer, "4", at=end - 1)
    [draft] = invoices(client, customer)
    assert (draft.status, draft.total) == ("draft", total)
    assert client.v1.invoices.finalize_invoice(draft.id).total == total


def old_item(client: stripe.StripeClient, aggregate: str) -> tuple[str, Callable[..., Any], str]:
    """An item on the legacy system: id, a caller under the old version, and the customer."""

    def call(method: Any, path: str, **params: Any) -> Any:
        return client.raw_request(method, path, stripe_version=OLD, **params).data

    customer = client.v1.customers.create({"name": "Acme"}).id
    product = client.v1.products.create({"name": "Old"}).id
    price = call(
        "post", "/v1/prices", currency="usd", product=product, unit_amount=2,
        recurring={"interval": "month", "usage_type": "metered", "aggregate_usage": aggregate},
    )  # fmt: skip
    made = client.v1.subscriptions.create({"customer": customer, "items": [{"price": price["id"]}]})
    return made["items"].data[0].id, call, customer


@pytest.mark.parametrize(
    ("aggregate", "expected"), [("sum", 9), ("max", 5), ("last_during_period", 1), ("last_ever", 1)]
)
def test_usage_records_under_an_old_version(
    client: stripe.StripeClient, sandbox: Sandbox, aggregate: str, expected: int
) -> None:
    """Increments add up at their second, `set` overwrites it; the price's aggregate decides."""
    item, call, customer = old_item(client, aggregate)
    path = f"/v1/subscription_items/{item}/usage_records"
    sandbox.advance(10)
    call("post", path, quantity=9, timestamp=START)
    call("post", path, quantity=3, timestamp=START, action="set")
    call("post", path, quantity=3, timestamp=START + 1)
    call("post", path, quantity=2, timestamp=START + 1)
    made = call("post", path, quantity=1, timestamp="now")
    assert (made["object"], made["timestamp"]) == ("usage_record", START + 10)
    with pytest.raises(stripe.InvalidRequestError, match="future"):
        call("post", path, quantity=1, timestamp=START + 11)
    sandbox.advance(31 * DAY)
    assert invoices(client, customer)[0].total == 2 * expected
    rows = call("get", f"/v1/subscription_items/{item}/usage_record_summaries")["data"]
    assert [row["total_usage"] for row in rows] == [expected if aggregate == "last_ever" else 0, expected]


def test_usage_records_are_gone_in_newer_versions(client: stripe.StripeClient) -> None:
    """Unknown address; no metered price without a meter; a metered item with one points to meter events."""
    item, call, _ = old_item(client, "sum")
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL"):
        client.raw_request("post", f"/v1/subscription_items/{item}/usage_records", quantity=1)
    with pytest.raises(stripe.InvalidRequestError, match="must be backed by meters"):
        client.v1.prices.create(
            {
                "currency": "usd",
                "unit_amount": 1,
                "product_data": {"name": "x"},
                "recurring": {"interval": "month", "usage_type": "metered"},
            }
        )
    _, _, made = provision(client)
    with pytest.raises(stripe.InvalidRequestError, match="not on the legacy"):
        call("post", f"/v1/subscription_items/{made['items'].data[0].id}/usage_records", quantity=1)
