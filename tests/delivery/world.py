"""A customer's months: a Tally whose relay delivers to a real sandbox, both on one clock that tests move."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import stripe

from tallystick import Catalogue, Tally
from tallystick.meters.config import DeliverySettings
from tallystick.providers.stripe import StripeProvider
from tallystick.sandbox import Sandbox
from tallystick.sandbox.serving import Settings
from tallystick.storage import open_store
from tallystick.values.instant import FrozenClock


class World:
    """One customer, the relay, and Stripe, on one clock."""

    def __init__(self, sandbox: Sandbox, tally: Tally, clock: FrozenClock, customer: str) -> None:
        self.sandbox, self.tally, self.clock, self.customer = sandbox, tally, clock, customer
        addresses: Any = {"api": sandbox.url, "meter_events": sandbox.url}
        self.client = stripe.StripeClient("sk_test_absolutes", base_addresses=addresses)

    def record(self, meter: str, quantity: Any = 1, **attributes: Any) -> Any:
        posted = self.tally.record(meter, quantity, customer="ada", attributes=attributes or None)
        self.pass_time(seconds=2)
        return posted.entries[0]

    def pass_time(self, **passed: float) -> None:
        """Both clocks; the relay gets a few turns, as it would."""
        step = timedelta(**passed)
        self.sandbox.advance(int(step.total_seconds()))
        self.clock.advance(step)
        for _ in range(3):
            self.tally.relay.step()

    def settle(self) -> None:
        """Some minutes go by: periods are learned, totals are read."""
        for _ in range(4):
            self.pass_time(minutes=2)

    def invoiced(self) -> list[dict[str, Decimal]]:
        """Quantities by meter of each invoice, oldest first."""
        names = {m.id: m.event_name for m in self.client.v1.billing.meters.list()}
        prices = {p.id: names[p.recurring.meter] for p in self.client.v1.prices.list() if p.recurring}  # type: ignore[index]
        found = []
        for invoice in self.client.v1.invoices.list({"customer": self.customer}):
            lines = {}
            for line in invoice.lines:
                price = line.pricing.price_details.price  # type: ignore[union-attr]
                lines[prices[str(price)]] = Decimal(str(line["quantity_decimal"]))
            found.append(lines)
        return found[::-1]

    def dispatches(self, meter: str) -> list[tuple[str, str]]:
        """Identifier and value of every dispatch of a meter, straight from the table, in the order of time."""
        store = self.tally.ledger.store
        table = "tallystick_dispatches" if store.dialect == "sqlite" else "tallystick.dispatches"
        query = f"select identifier, value from {table} where meter = '{meter}' order by happened_at"
        with store.read() as transaction:
            run = transaction._execute if hasattr(transaction, "_execute") else transaction._cursor.execute
            return [(row[0], row[1]) for row in run(query).fetchall()]

    def told(self, meter: str) -> list[tuple[int, Decimal]]:
        """Second and value of each event that Stripe has taken for a meter, in the order of receipt."""
        ids = {m.id: m.event_name for m in self.client.v1.billing.meters.list()}
        events = [e for e in self.sandbox.tell("events") if ids[e["meter"]] == meter]
        return [(e["timestamp"], Decimal(e["value"])) for e in events]


@contextmanager
def billed(
    store_url: str, meters: Catalogue, start: int, *, formula: str, draft_hours: int = 1
) -> Iterator[World]:
    """A customer "ada", subscribed to prices of 1 a unit from `start` on (seconds since 1970 UTC)."""
    with Sandbox.start(Settings(frozen_at=start)) as sandbox:
        sandbox.switch(draft_seconds=draft_hours * 3600)
        prices = {m.name: {"formula": formula, "unit_amount_decimal": "100"} for m in meters}
        customers = sandbox.provision(meters=prices, customers=["ada"])["customers"]
        clock = FrozenClock(datetime.fromtimestamp(start, UTC))
        provider = StripeProvider(
            "sk_test_absolutes", base=sandbox.url, timeout_seconds=2, draft_hours=draft_hours
        )
        settings = DeliverySettings(inline=False, relay="process")
        store = open_store(store_url, auto_migrate=True)
        with Tally(store, meters, provider=provider, delivery=settings, clock=clock) as tally:
            tally.links.link(customers)
            yield World(sandbox, tally, clock, customers["ada"])
