"""Setting Stripe up for declared meters, and checking that it is: `stripe plan|apply` and `doctor`.

Sources: Stripe's API reference (Meter, Price, Subscription) and "Configure meters".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

import stripe

from tallystick.errors import ConfigError, ProviderError
from tallystick.providers.check import Check
from tallystick.providers.port import Change, Wanted
from tallystick.providers.stripe.ways import subscribed
from tallystick.providers.transport import NotSent


def plan(client: stripe.StripeClient, wanted: Iterable[Wanted]) -> list[Change]:
    """What is missing at Stripe, in the order to create it."""
    meters = _meters(client)
    changes = []
    for meter in wanted:
        found = meters.get(meter.event_name)
        if found is None:
            changes.append(Change("meter", meter, f"meter {meter.event_name!r} with formula {meter.formula}"))
        if meter.unit_amount_decimal and (found is None or not _prices(client, found.id)):
            price = f"{meter.unit_amount_decimal} {meter.currency} cents per unit"
            changes.append(
                Change("price", meter, f"monthly metered price of {price} on {meter.event_name!r}")
            )
    return changes


def apply(client: stripe.StripeClient, changes: Iterable[Change]) -> list[str]:
    """Create what a plan lists; the ids made. Each call carries an idempotency key, so a repeat is harmless."""
    made = []
    for change in changes:
        meter = change.meter
        if change.kind == "meter":
            params: Any = {
                "display_name": meter.name,
                "event_name": meter.event_name,
                "default_aggregation": {"formula": meter.formula},
                "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
                "value_settings": {"event_payload_key": "value"},
            }
            key = {"idempotency_key": f"tallystick-meter-{meter.event_name}"}
            made.append(_ask(lambda p=params, k=key: client.v1.billing.meters.create(p, k)).id)
        else:
            made.append(_create_price(client, meter))
    return made


def _create_price(client: stripe.StripeClient, meter: Wanted) -> str:
    found = _meters(client).get(meter.event_name)
    if found is None:
        raise ProviderError(
            f"Stripe has no meter {meter.event_name!r} to put a price on; run: tallystick stripe apply"
        )
    key = {"idempotency_key": f"tallystick-price-{meter.event_name}"}
    params: Any = {
        "currency": meter.currency,
        "unit_amount_decimal": Decimal(meter.unit_amount_decimal),
        "product_data": {"name": meter.name},
        "recurring": {"interval": "month", "usage_type": "metered", "meter": found.id},
    }
    price: str = _ask(lambda: client.v1.prices.create(params, key)).id  # type: ignore[arg-type]
    return price


def doctor(client: stripe.StripeClient, wanted: Iterable[Wanted], links: Mapping[str, str]) -> list[Check]:
    """Check meters, prices and linked customers; ProviderError when Stripe cannot be asked."""
    meters = _meters(client)
    checks: list[Check] = []
    priced: dict[str, set[str]] = {}
    for meter in wanted:
        found = meters.get(meter.event_name)
        checks += _check_meter(meter, found)
        if found is not None:
            prices = {price.id for price in _prices(client, found.id)}
            priced[meter.event_name] = prices
            fix = (
                ""
                if prices
                else "tallystick stripe apply --price …, or create a metered price in the Dashboard"
            )
            text = f"{len(prices)} active price(s)" if prices else "no active price bills this meter"
            checks.append(Check(f"price on {meter.event_name}", bool(prices), text, fix))
    for customer, provider_customer in sorted(links.items()):
        checks += _check_customer(client, customer, provider_customer, priced)
    return checks


def doctor_of_items(
    client: stripe.StripeClient, wanted: Iterable[Wanted], links: Mapping[str, str]
) -> list[Check]:
    """Check that every linked customer has a subscription item for each meter, as usage records need."""
    names = [meter.event_name for meter in wanted]
    checks = []
    for customer, provider_customer in sorted(links.items()):
        items = _ask(lambda found=provider_customer: subscribed(client, found))
        missing = sorted(set(names) - {item.price.lookup_key for item in items})
        text = (
            f"no price with lookup_key {', '.join(missing)}"
            if missing
            else f"{provider_customer} is subscribed"
        )
        fix = f"subscribe {provider_customer}, or give its price that lookup_key" if missing else ""
        checks.append(Check(f"customer {customer}", not missing, text, fix))
    return checks


def doctor_of_interface(via: str, knock: Callable[[], None]) -> Check:
    """Check that the interface that usage goes through is open to this key."""
    try:
        _ask(knock)
    except ProviderError as error:
        fix = "see what the key may do, and [provider] via in docs/providers.md"
        return Check("interface", False, f"{via} cannot be used: {error}", fix)
    return Check("interface", True, f"usage goes through {via}")


def _check_meter(meter: Wanted, found: Any) -> list[Check]:
    subject = f"meter {meter.event_name}"
    if found is None:
        return [Check(subject, False, "Stripe has no meter of that event name", "tallystick stripe apply")]
    formula = found.default_aggregation.formula
    window = getattr(found, "event_time_window", None)
    keys = (found.customer_mapping.event_payload_key, found.value_settings.event_payload_key)
    checks = [
        (
            found.status == "active",
            f"is {found.status}",
            "reactivate it in Stripe; inactive meters take no events",
        ),
        (
            formula == meter.formula,
            f"formula {formula}",
            f"create a meter with formula {meter.formula}; it cannot change",
        ),
        (keys == ("stripe_customer_id", "value"), f"payload keys {keys}", "use stripe_customer_id and value"),
        (
            window is None,
            f"event_time_window {window}",
            "use a meter without one: it overwrites within an hour or day",
        ),
    ]
    return [Check(subject, ok, text, "" if ok else fix) for ok, text, fix in checks]


def _check_customer(
    client: stripe.StripeClient, customer: str, provider_customer: str, priced: Mapping[str, set[str]]
) -> list[Check]:
    subject = f"customer {customer}"
    try:
        client.v1.customers.retrieve(provider_customer)
        params: Any = {"customer": provider_customer, "status": "active", "limit": 100}
        subscriptions = client.v1.subscriptions.list(params).data
    except stripe.InvalidRequestError as error:
        fix = f"tallystick link {customer} cus_… with the right id"
        return [Check(subject, False, f"{provider_customer}: {error.user_message}", fix)]
    except (stripe.StripeError, NotSent) as error:
        raise ProviderError(f"Stripe cannot be asked: {error}") from error
    billed = {item.price.id for s in subscriptions for item in s["items"].data}
    missing = [name for name, prices in priced.items() if prices and not prices & billed]
    if missing:
        fix = f"subscribe {provider_customer} to a price of {', '.join(missing)}"
        return [Check(subject, False, f"no active subscription item bills {', '.join(missing)}", fix)]
    return [Check(subject, True, f"{provider_customer} is subscribed")]


def _meters(client: stripe.StripeClient) -> dict[str, Any]:
    listed = _ask(lambda: list(client.v1.billing.meters.list({"limit": 100}).auto_paging_iter()))
    found: dict[str, Any] = {}
    for meter in listed:
        if meter.event_name not in found or meter.status == "active":
            found[meter.event_name] = meter
    return found


def _prices(client: stripe.StripeClient, meter: str) -> list[Any]:
    listed = _ask(lambda: list(client.v1.prices.list({"limit": 100, "active": True}).auto_paging_iter()))
    return [price for price in listed if price.recurring and price.recurring.meter == meter]


def _ask(call: Any) -> Any:
    try:
        return call()
    except stripe.AuthenticationError as error:
        raise ConfigError(f"Stripe refuses STRIPE_API_KEY: {error.user_message}") from error
    except (stripe.StripeError, NotSent, OSError) as error:
        raise ProviderError(f"Stripe cannot be asked: {error}") from error
