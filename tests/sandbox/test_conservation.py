"""What was sent is what was billed: random months in process, judged by sums kept beside the sandbox."""

from __future__ import annotations

import json
import random
from typing import Any
from urllib.parse import urlencode

import pytest

from tallystick.sandbox.api import Api, Request
from tallystick.sandbox.billing.periods import boundary, number_at
from tallystick.sandbox.clock import Clock
from tests.sandbox.conftest import DAY, START

HEADERS = {"authorization": "Bearer sk_test_conservation", "stripe-version": "2026-05-27.dahlia"}


class Account:
    """One customer with one meter and two prices of it, driven through the API without a socket."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.clock = Clock(START + self.random.randrange(400) * DAY + self.random.randrange(DAY))
        self.api = Api(self.clock)
        self.world = self.api.worlds["test"]
        self.meter = self.call(
            "/v1/billing/meters", display_name="t", event_name="t", **{"default_aggregation[formula]": "sum"}
        )["id"]
        self.customer = self.call("/v1/customers", name="Acme")["id"]
        self.prices = [self.price(interval) for interval in ("month", "month", "week")]
        self.sent = 0

    def call(self, path: str, method: str = "POST", **params: Any) -> Any:
        body = urlencode(params).encode()
        reply = self.api.handle(Request(method, path, HEADERS, body))
        answer = json.loads(reply.body)
        assert reply.status == 200, answer
        return answer

    def price(self, interval: str) -> str:
        recurring = {"interval": interval, "usage_type": "metered", "meter": self.meter}
        given = {f"recurring[{name}]": value for name, value in recurring.items()}
        made = self.call("/v1/prices", currency="usd", unit_amount=1, **{"product_data[name]": "t"}, **given)
        return str(made["id"])

    def send(self, item: Any) -> None:
        """Usage of the running period, a while ago or just now."""
        value = self.random.randrange(1, 1000)
        since = max(item["current_period_start"], item["_since"])
        at = self.random.randint(since, self.clock.now())
        self.call(
            "/v1/billing/meter_events",
            event_name="t",
            timestamp=at,
            **{"payload[stripe_customer_id]": self.customer, "payload[value]": value},
        )
        self.sent += value

    def billed(self) -> int:
        rows = self.world.all("invoice")
        return sum(int(line["quantity"]) for row in rows for line in row["lines"]["data"])


@pytest.mark.parametrize("seed", range(150))
def test_every_unit_is_billed_once(seed: int) -> None:
    """Over anchors, price changes, intervals and a last invoice: the lines add up to what was sent."""
    account = Account(seed)
    chance, now = account.random, account.clock.now()
    anchor = {"billing_cycle_anchor": now + chance.randrange(28 * DAY)} if chance.random() < 0.5 else {}
    made = account.call(
        "/v1/subscriptions", customer=account.customer, **{"items[0][price]": account.prices[0]}, **anchor
    )
    identity, item = made["id"], made["items"]["data"][0]["id"]
    for _ in range(60):
        account.clock.advance(chance.choice([1, 60, 3600, DAY, 5 * DAY, 40 * DAY]))
        account.call("/v1/subscriptions/" + identity, "GET")
        running = account.world.get("subscription_item", item)
        for _ in range(chance.randrange(4)):
            account.send(running)
        if chance.random() < 0.15:
            account.call("/v1/subscription_items/" + item, price=chance.choice(account.prices))
    account.clock.advance(1)  # a period is half open: usage of its last second lies before it
    account.call("/v1/subscriptions/" + identity, "DELETE", invoice_now="true")
    account.clock.advance(DAY)
    account.call("/v1/invoices", "GET")
    assert {row["status"] for row in account.world.all("invoice")} == {"open"}
    assert account.billed() == account.sent


@pytest.mark.parametrize("interval", ["day", "week", "month", "year"])
def test_each_instant_lies_in_one_period(interval: str) -> None:
    """Before the anchor and after it, for every count."""
    chance = random.Random(interval)
    for _ in range(500):
        anchor, at = START + chance.randrange(1000 * DAY), START + chance.randrange(2000 * DAY)
        count = chance.randint(1, 5)
        number = number_at(anchor, interval, count, at)
        assert boundary(anchor, interval, count, number) <= at < boundary(anchor, interval, count, number + 1)
