"""Adoption: an application that reports to Stripe itself cuts over within a period, and still ties out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe

from tallystick import Catalogue, Meter, Tally
from tallystick.errors import ConfigError
from tallystick.meters.config import DeliverySettings, parse
from tallystick.providers.stripe import StripeProvider
from tallystick.sandbox import Sandbox
from tallystick.storage import open_store
from tallystick.values.instant import SECOND, FrozenClock, to_datetime
from tests.delivery.world import billed


class Application:
    """Reports each call to Stripe by itself, as it did before."""

    def __init__(self, sandbox: Sandbox, clock: FrozenClock) -> None:
        self._client = stripe.StripeClient("sk_test_application", base_addresses={"api": sandbox.url})
        self._customer = sandbox.links["ada"]  # type: ignore[attr-defined]
        self._clock = clock

    def report(self, quantity: int) -> None:
        payload = {"stripe_customer_id": self._customer, "value": str(quantity)}
        at = self._clock.now() // SECOND
        self._client.v1.billing.meter_events.create(
            {"event_name": "tokens", "timestamp": at, "payload": payload}
        )


def start(sandbox: Sandbox, url: str, clock: FrozenClock, meter: Meter, *, shadow: bool = False) -> Tally:
    tally = Tally(
        open_store(url, auto_migrate=True),
        Catalogue([meter]),
        provider=StripeProvider("sk_test_confirmation", base=sandbox.url, timeout_seconds=2),
        delivery=DeliverySettings(inline=False, relay="process", shadow=shadow),
        clock=clock,
    )
    tally.links.link(sandbox.links)  # type: ignore[attr-defined]
    return tally


def test_shadow_then_cut_over(sandbox: Sandbox, store_url: str, clock: FrozenClock, counted: Any) -> None:
    application = Application(sandbox, clock)
    with start(sandbox, store_url, clock, Meter("tokens", hold=False), shadow=True) as shadow:
        for quantity in (10, 20, 30):
            shadow.record("tokens", quantity, customer="ada")
            application.report(quantity)
            clock.advance(timedelta(minutes=3))
        shadow.relay.drain()
        assert counted() == 60, "shadow sends nothing"
        (balance,) = shadow.tie_out()
        assert (balance.recorded, balance.provider, balance.difference) == (60, 60, 0)
        assert balance.shadow
        application.report(5)
        shadow.record("tokens", 7, customer="ada")
        assert shadow.tie_out()[0].difference == 2, "the two do not agree, and it shows"
        clock.advance(timedelta(minutes=7))
        application.report(2)
        assert shadow.tie_out()[0].difference == 0, "told a while later, as jobs do"

    clock.advance(timedelta(minutes=1))
    cut = to_datetime(clock.now() // (60 * SECOND) * (60 * SECOND) + 120 * SECOND).astimezone(UTC)
    with start(sandbox, store_url, clock, Meter("tokens", hold=False, report_from=cut)) as tally:
        early = tally.record("tokens", 1, customer="ada")
        application.report(1)
        clock.advance(timedelta(minutes=5))
        late = tally.record("tokens", 100, customer="ada")
        tally.correct(early.entries[0], quantity=0, reason="before the cut", by="Grace")
        tally.correct(late.entries[0], quantity=90, reason="after it", by="Grace")
        tally.relay.drain()
        assert counted() == 68 + 90, "what the application had reported, and ours from the cut on"
        (balance,) = tally.tie_out()
        assert (balance.excluded, balance.delivered, balance.provider) == (67, 90, 90)
        assert balance.difference == 0
        assert balance.recorded == balance.excluded + balance.delivered


def test_the_opening_balance_is_named_and_the_invoice_is_both(store_url: str) -> None:
    """Within a period: what the application told Stripe before the cut, and what we told it since."""
    start_of_period = 1_767_225_600
    cut = datetime.fromtimestamp(start_of_period + 7200, UTC)
    with billed(
        store_url, Catalogue([Meter("tokens", hold=False, report_from=cut)]), start_of_period, formula="sum"
    ) as world:
        for quantity in ("40", "20"):
            world.pass_time(minutes=30)
            payload = {"stripe_customer_id": world.customer, "value": quantity}
            world.client.v1.billing.meter_events.create({"event_name": "tokens", "payload": payload})
            world.record("tokens", int(quantity))
        [before] = world.tally.tie_out()
        assert (before.excluded, before.opening) == (60, 0), "the cut is still ahead"
        world.pass_time(hours=2)
        world.record("tokens", 100)
        [balance] = world.tally.tie_out()
        assert (balance.opening, balance.delivered, balance.provider) == (60, 100, 100)
        assert balance.difference == 0
        world.pass_time(days=31)
        assert world.invoiced()[0]["tokens"] == balance.opening + balance.delivered


@pytest.mark.parametrize("text", ["2026-11-01T00:00:00", "2026-11-01T00:00:30Z"])
def test_a_cut_that_cannot_be_compared_is_refused(text: str) -> None:
    import tomllib

    with pytest.raises(ConfigError, match="report_from = 2026-11-01"):
        parse(tomllib.loads(f"[meters.tokens]\nreport_from = {text}\n"), "tallystick.toml")
