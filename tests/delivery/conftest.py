"""A Tally that delivers to a real sandbox process through the official client."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tallystick import Catalogue, Formula, Meter, Tally
from tallystick.meters.config import DeliverySettings
from tallystick.providers.stripe import StripeProvider
from tallystick.sandbox import Sandbox
from tallystick.storage import open_store

KEY = "sk_test_delivery_tests"
CUSTOMERS = ["org_a", "org_b", "org_c"]
METERS = Catalogue(
    [Meter("tokens", hold=False), Meter("calls", formula=Formula.COUNT), Meter("gb", decimals=3)]
)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A local Stripe with the meters and customers of these tests."""
    with Sandbox.start() as made:
        prices = {meter.name: {"formula": "sum", "unit_amount_decimal": "1"} for meter in METERS}
        made.links = made.provision(meters=prices, customers=CUSTOMERS)["customers"]  # type: ignore[attr-defined]
        yield made


@pytest.fixture
def make(sandbox: Sandbox, store_url: str) -> Iterator[Callable[..., Tally]]:
    """Make a Tally on the shared store; `inline=True` delivers within the request."""
    made: list[Tally] = []

    def build(*, inline: bool = False, linked: bool = True, requests_per_second: int = 0) -> Tally:
        tally = Tally(
            open_store(store_url, auto_migrate=True),
            METERS,
            provider=StripeProvider(KEY, base=sandbox.url, timeout_seconds=2),
            delivery=DeliverySettings(
                inline=inline, budget_ms=5000, relay="process", requests_per_second=requests_per_second
            ),
        )
        if linked:
            tally.links.link(sandbox.links)  # type: ignore[attr-defined]
        made.append(tally)
        return tally

    yield build
    for tally in made:
        tally.close()
