"""One rig per provider: how to set its stand-in up, and what the stand-in holds by its own count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec

from tallystick.providers import Outcome, Provider
from tallystick.providers.lago import LagoProvider
from tallystick.providers.openmeter import OpenMeterProvider
from tallystick.providers.stripe import StripeProvider
from tallystick.sandbox import Sandbox

HOUR = 3600
KEYS = {"stripe": "sk_test_conformance", "openmeter": "om_conformance", "lago": "lago-conformance"}
WRONG = {"stripe": "sk_test_x", "openmeter": "om_wrong", "lago": "lago-wrong"}


class Rig(msgspec.Struct):
    """A provider on its stand-in; `customers` maps names of ours to ids of theirs."""

    kind: str
    sandbox: Sandbox
    build: Callable[..., Provider]
    customers: dict[str, str]
    later: frozenset[str] = (
        frozenset()
    )  # what is wrong in these is answered like good ones, and reported later

    def refused(self, what: str) -> Outcome:
        """What an attempt says of an instruction whose customer, meter or age is one that nobody is billed for."""
        return Outcome.ACCEPTED if what in self.later else Outcome.REFUSED

    @property
    def customer(self) -> str:
        """A customer that is billed."""
        return self.customers["org_a"]

    @property
    def base(self) -> str:
        """The address of the stand-in."""
        return self.sandbox.url if self.kind == "stripe" else f"{self.sandbox.url}/{self.kind}"

    def provider(self, key: str = "", base: str = "") -> Provider:
        """The provider with its key and address, unless others are given."""
        return self.build(key or KEYS[self.kind], base=base or self.base, timeout_seconds=5)

    def totals(self) -> dict[tuple[str, str], Decimal]:
        """What the stand-in added up from the raw events, by customer and meter."""
        if self.kind == "stripe":
            rows = self.sandbox.totals()
            return {(row["customer"], row["event_name"]): Decimal(row["total"]) for row in rows}
        rows = self.sandbox.tell(self.kind)["totals"]
        return {(row["customer"], row["meter"]): Decimal(row["total"]) for row in rows}

    def counted(self) -> Decimal:
        """Everything the stand-in counted."""
        return sum(self.totals().values(), Decimal(0))

    def requests(self) -> int:
        """How many requests reached the stand-in so far."""
        found: int = self.sandbox.tell("statistics")["requests"]
        return found


def stripe(sandbox: Sandbox, meters: list[str], customers: list[str]) -> Rig:
    """Stripe, with a price on every meter and customers subscribed to all."""
    prices = {meter: {"formula": "sum", "unit_amount_decimal": "1"} for meter in meters}
    made = sandbox.provision(meters=prices, customers=customers)["customers"]
    return Rig("stripe", sandbox, StripeProvider, made)


def stripe_v2(sandbox: Sandbox, meters: list[str], customers: list[str]) -> Rig:
    """Stripe by its second API."""
    rig = stripe(sandbox, meters, customers)
    build = partial(StripeProvider, via="meter_events_v2")
    return msgspec.structs.replace(rig, build=build, later=frozenset({"customer", "age"}))


def stripe_stream(sandbox: Sandbox, meters: list[str], customers: list[str]) -> Rig:
    """Stripe by the stream, a hundred events a call."""
    rig = stripe(sandbox, meters, customers)
    build = partial(StripeProvider, via="meter_event_stream")
    return msgspec.structs.replace(rig, build=build, later=frozenset({"customer", "age", "meter"}))


def openmeter(sandbox: Sandbox, meters: list[str], customers: list[str], *, window: int = 24 * HOUR) -> Rig:
    """OpenMeter; `window` is what deduplication is switched on for, here and there."""
    settings = {"key": KEYS["openmeter"], "deduplicate_seconds": window}
    subjects = {f"subject_{name}": "pro" for name in customers}
    sandbox.tell("openmeter", settings=settings, meters=meters, customers=subjects)

    def build(key: str, **rest: Any) -> Provider:
        return OpenMeterProvider(key, duplicate_window_seconds=window, **rest)

    return Rig("openmeter", sandbox, build, {name: f"subject_{name}" for name in customers})


def plain_openmeter(sandbox: Sandbox, meters: list[str], customers: list[str]) -> Rig:
    """OpenMeter as it comes: every repeat counts again."""
    return openmeter(sandbox, meters, customers, window=0)


def lago(sandbox: Sandbox, meters: list[str], customers: list[str], *, clickhouse: bool = False) -> Rig:
    """Lago with its events in PostgreSQL."""
    settings = {"key": KEYS["lago"], "clickhouse": clickhouse}
    subscriptions = {f"sub_{name}": "pro" for name in customers}
    sandbox.tell("lago", settings=settings, meters=meters, customers=subscriptions)
    return Rig("lago", sandbox, LagoProvider, {name: f"sub_{name}" for name in customers})


def clickhouse_lago(sandbox: Sandbox, meters: list[str], customers: list[str]) -> Rig:
    """Lago with its events in ClickHouse."""
    return lago(sandbox, meters, customers, clickhouse=True)


RIGS: Mapping[str, Callable[[Sandbox, list[str], list[str]], Rig]] = {
    "stripe": stripe,
    "stripe-v2": stripe_v2,
    "stripe-stream": stripe_stream,
    "openmeter": openmeter,
    "openmeter-plain": plain_openmeter,
    "lago": lago,
    "lago-clickhouse": clickhouse_lago,
}
