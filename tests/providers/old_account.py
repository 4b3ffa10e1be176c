"""An account of before Stripe had meters."""

from __future__ import annotations

from typing import Any

import stripe


def never_moved(url: str) -> str:
    """A customer of the sandbox at that address whose price has no meter, as accounts have them that never moved."""
    client = stripe.StripeClient("sk_test_of_an_old_account", base_addresses={"api": url})
    old = {"stripe_version": "2025-02-24.acacia"}

    def make(path: str, **params: Any) -> Any:
        return client.deserialize(client.raw_request("post", path, **params, **old), api_mode="V1")

    product = make("/v1/products", name="tokens")
    price = make(
        "/v1/prices",
        product=product.id,
        currency="usd",
        unit_amount=1,
        lookup_key="tokens",
        recurring={"interval": "month", "usage_type": "metered"},
    )
    customer = make("/v1/customers", name="ada")
    make("/v1/subscriptions", customer=customer.id, items=[{"price": price.id}])
    found: str = customer.id
    return found
