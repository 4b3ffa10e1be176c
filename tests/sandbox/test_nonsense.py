"""Whatever a client sends, the sandbox answers as Stripe does: never with a mistake of its own."""

from __future__ import annotations

import json
import random
from typing import Any
from urllib.parse import urlencode

import pytest

from tallystick.sandbox.api import Api, Request
from tallystick.sandbox.clock import Clock
from tallystick.sandbox.routes import ROUTES
from tests.sandbox.conftest import START

_WORDS = """
amount anchor auto_advance automatically_finalizes_at backdate_start_date billing_cycle_anchor
billing_mode[type] billing_scheme cancel cancel[identifier] cancel_at cancel_at_period_end created
created[gte] currency customer customer_mapping[event_payload_key] default_aggregation
default_aggregation[formula] description disabled display_name enabled_events enabled_events[0] end_time
ending_before event_name event_payload event_time_window events frozen_time identifier invoice
invoice_now items items[0] items[0][price] items[0][quantity] items[0][id] items[x][price] limit meter
metadata name object_id page pause_collection pause_collection[behavior] payload
payload[stripe_customer_id] payload[value] pending_invoice_items_behavior period[start] period[end] price
pricing[price] product product_data product_data[name] quantity quantity_decimal recurring
recurring[interval] recurring[interval_count] recurring[usage_type] recurring[meter]
recurring[aggregate_usage] start_time starting_after status subscription test_clock tiers tiers[0][up_to]
tiers[0][unit_amount] tiers_mode timestamp transform_quantity transform_quantity[divide_by]
transform_quantity[round] type types[0] unit_amount unit_amount_decimal url value_grouping_window
value_settings value_settings[event_payload_key] webhook_endpoint webhook_endpoint[url]
"""
NAMES = _WORDS.split()
VALUES = [
    "",
    "0",
    "1",
    "-1",
    "1.5",
    "1e400",
    "NaN",
    "x",
    "true",
    "é",
    "9" * 40,
    "sum",
    "cancel",
    "void",
    "hour",
]
VALUES += ["thin", "webhook_endpoint", "tiered", "graduated", "metered", "month", "up", "now", "usd", "set"]
VALUES += [str(START), str(START + 60), "2026-01-01T00:00:00Z", "http://127.0.0.1:9/", "tokens", "*"]


class Fuzzer:
    """Sends nonsense that is close enough to sense to get far, and collects the ids it gets back."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.api = Api(Clock(START))
        self.ids = ["nothing"]

    def prepare(self) -> None:
        """One of everything."""
        meter = self.sane("/v1/billing/meters", display_name="t", event_name="tokens", formula="sum")
        recurring = {
            "recurring[interval]": "month",
            "recurring[usage_type]": "metered",
            "recurring[meter]": meter,
        }
        price = self.sane(
            "/v1/prices", currency="usd", unit_amount="1", **{"product_data[name]": "t"}, **recurring
        )
        customer = self.sane("/v1/customers", name="Acme")
        self.sane("/v1/subscriptions", customer=customer, **{"items[0][price]": price})
        self.sane("/v1/test_helpers/test_clocks", frozen_time=str(START))
        self.sane("/v1/invoices", customer=customer)
        self.sane("/v1/invoiceitems", customer=customer, amount="5")
        self.sane("/v1/webhook_endpoints", url="http://127.0.0.1:9/", enabled_events="*")
        world = self.api.worlds["test"]
        self.ids += [identity for kind in world.objects.values() for identity in kind]

    def sane(self, path: str, **params: str) -> str:
        if "formula" in params:
            params["default_aggregation[formula]"] = params.pop("formula")
        reply = self.send("POST", path, urlencode(params).encode(), "application/x-www-form-urlencoded")
        assert reply.status == 200, reply.body
        return str(json.loads(reply.body)["id"])

    def send(self, method: str, path: str, body: bytes, kind: str, query: str = "") -> Any:
        headers = {"authorization": "Bearer sk_test_nonsense", "content-type": kind}
        headers["stripe-version"] = self.random.choice(["2025-02-24.acacia", "2026-05-27.dahlia"])
        return self.api.handle(Request(method, path + query, headers, body))

    def value(self) -> Any:
        return self.random.choice(self.ids if self.random.random() < 0.4 else VALUES)

    def nonsense(self) -> tuple[str, str, bytes, Any]:
        method, pattern, _ = self.random.choice(ROUTES)
        path = pattern.pattern.replace("([^/]+)", self.random.choice(self.ids))
        if path.startswith("/v2/") and method == "POST":
            params = {self.random.choice(NAMES).partition("[")[0]: self.thing() for _ in range(5)}
            body = json.dumps(params).encode()
            return method, path, body, self.send(method, path, body, "application/json")
        pairs = [(self.random.choice(NAMES), self.value()) for _ in range(self.random.randrange(9))]
        body = urlencode(pairs).encode()
        if method == "POST":
            return method, path, body, self.send(method, path, body, "application/x-www-form-urlencoded")
        return method, path, body, self.send(method, path, b"", "", "?" + body.decode())

    def thing(self) -> Any:
        return self.random.choice(
            [self.value(), 5, None, True, [self.value()], {"url": self.value()}, [{}], {}]
        )


@pytest.mark.parametrize("seed", range(40))
def test_nonsense_is_refused_and_never_a_mistake(seed: int) -> None:
    """400, 404 or an answer; a 500 would be the sandbox's own."""
    fuzzer = Fuzzer(seed)
    fuzzer.prepare()
    for _ in range(250):
        method, path, body, reply = fuzzer.nonsense()
        assert reply.status != 500, (method, path, body, reply.body)
        json.loads(reply.body)
