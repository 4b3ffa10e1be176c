"""Setting Stripe up and the doctor, against the sandbox."""

from __future__ import annotations

import stripe

from tallystick.providers import Wanted
from tallystick.providers.stripe import setup

WANTED = [Wanted("tokens", "tokens", "sum", "0.05"), Wanted("calls", "api_calls", "sum", "1")]


def test_plan_and_apply_create_what_is_missing_once(client: stripe.StripeClient) -> None:
    """Meters first, then prices on them; a second plan is empty."""
    changes = setup.plan(client, WANTED)
    assert [(c.kind, c.meter.event_name) for c in changes] == [
        ("meter", "tokens"), ("price", "tokens"), ("meter", "api_calls"), ("price", "api_calls"),
    ]  # fmt: skip
    setup.apply(client, changes)
    assert setup.plan(client, WANTED) == []


def test_the_doctor_prints_the_fix_for_each_miss(client: stripe.StripeClient) -> None:
    """Missing meter, wrong formula, inactive meter, no price, unknown customer, no subscription."""
    wrong = client.v1.billing.meters.create(
        {"display_name": "t", "event_name": "tokens", "default_aggregation": {"formula": "count"}}
    )
    client.v1.billing.meters.deactivate(wrong.id)
    customer = client.v1.customers.create({"name": "Acme"}).id
    checks = setup.doctor(client, WANTED, {"org_a": customer, "org_b": "cus_nobody"})
    misses = {(check.subject, check.message.split(",")[0]) for check in checks if not check.ok}
    assert misses == {
        ("meter tokens", "is inactive"),
        ("meter tokens", "formula count"),
        ("price on tokens", "no active price bills this meter"),
        ("meter api_calls", "Stripe has no meter of that event name"),
        ("customer org_b", "cus_nobody: No such customer: 'cus_nobody'"),
    }
    assert all(check.fix for check in checks if not check.ok)


def test_a_customer_without_a_subscription_item_is_a_miss(client: stripe.StripeClient) -> None:
    """Usage of a customer that no price bills would vanish from the invoice."""
    setup.apply(client, setup.plan(client, WANTED))
    customer = client.v1.customers.create({"name": "Acme"}).id
    miss = setup.doctor(client, WANTED, {"org_a": customer})[-1]
    assert not miss.ok
    assert miss.message == "no active subscription item bills tokens, api_calls"
    items = [{"price": price.id} for price in client.v1.prices.list().data]
    client.v1.subscriptions.create({"customer": customer, "items": items})  # type: ignore[typeddict-item]
    assert setup.doctor(client, WANTED, {"org_a": customer})[-1].ok
