"""Stripe's other interfaces for usage: sessions that end, usage that has no identifier, corrections to nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import stripe

from tallystick import Catalogue, Meter, Tally
from tallystick.app.environment import refuse_unbillable
from tallystick.errors import ConfigError
from tallystick.meters.config import DeliverySettings, parse
from tallystick.providers import Instruction, Outcome, Wanted
from tallystick.providers.choice import ProviderSettings, choose
from tallystick.providers.stripe import StripeProvider
from tallystick.providers.stripe.provider import API, EVENTS_API
from tallystick.sandbox import Sandbox
from tallystick.sandbox.serving import Settings
from tallystick.storage import open_store
from tallystick.values.instant import FrozenClock
from tests.providers.old_account import never_moved

KEY = "sk_test_ways_of_stripe"
START = 1_767_225_600
METERS = Catalogue([Meter("tokens", hold=False)])


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start(Settings(frozen_at=START)) as made:
        yield made


def one(customer: str, identifier: str = "ts-1", value: str = "5", **changes: Any) -> Instruction:
    fields = {"meter": "tokens", "happened_at": START, "idempotency_key": identifier, **changes}
    return Instruction(identifier=identifier, customer=customer, value=value, **fields)


def send(provider: StripeProvider, *instructions: Instruction) -> list[Outcome]:
    return [answer.outcome for answer in provider.send_many(instructions, still_ours=lambda: True)]


def metered(sandbox: Sandbox) -> str:
    prices = {"tokens": {"formula": "sum", "unit_amount_decimal": "1"}}
    made: str = sandbox.provision(meters=prices, customers=["ada"])["customers"]["ada"]
    return made


def test_a_session_that_is_over_is_opened_anew(sandbox: Sandbox) -> None:
    """Fifteen minutes, or less if Stripe ends it: the call is made again, and counts once."""
    customer = metered(sandbox)
    provider = StripeProvider(KEY, base=sandbox.url, via="meter_event_stream")
    assert send(provider, one(customer)) == [Outcome.ACCEPTED]
    sandbox.advance(16 * 60)
    assert send(provider, one(customer, "ts-2"), one(customer, "ts-3")) == [Outcome.ACCEPTED] * 2
    opened = [r for r in sandbox.requests() if r["path"].endswith("meter_event_session")]
    assert len(opened) == 2
    assert [Decimal(row["total"]) for row in sandbox.totals()] == [15]


def test_the_stream_has_an_address_of_its_own() -> None:
    """Unless everything is pointed elsewhere, at a sandbox for instance."""
    client = StripeProvider(KEY, via="meter_event_stream").client
    addresses = client._requestor._options.base_addresses
    assert (addresses["api"], addresses["meter_events"]) == (API, EVENTS_API)


@pytest.mark.parametrize("via", ["meter_events", "meter_events_v2", "meter_event_stream"])
def test_usage_corrected_to_nothing_is_nothing_there(sandbox: Sandbox, store_url: str, via: Any) -> None:
    customer, clock = metered(sandbox), FrozenClock(datetime.fromtimestamp(START, UTC))
    provider = StripeProvider(KEY, base=sandbox.url, via=via, timeout_seconds=2)
    with _tally(store_url, provider, clock) as tally:
        tally.link_customer("ada", customer)
        posted = tally.record("tokens", 40, customer="ada")
        tally.relay.drain()
        assert [Decimal(row["total"]) for row in sandbox.totals()] == [40]
        clock.advance(timedelta(seconds=5))
        tally.correct(posted.entries[0], quantity=0, reason="a test call", by="ada")
        tally.relay.drain()
        assert [Decimal(row["total"]) for row in sandbox.totals()] == [0]
        assert [b.difference for b in tally.tie_out()] == [0]


def _tally(store_url: str, provider: StripeProvider, clock: FrozenClock) -> Tally:
    settings = DeliverySettings(inline=False, relay="process")
    store = open_store(store_url, auto_migrate=True)
    return Tally(store, METERS, provider=provider, delivery=settings, clock=clock)


@pytest.fixture
def legacy(sandbox: Sandbox) -> str:
    return never_moved(sandbox.url)


Counted = Callable[[], Decimal]


@pytest.fixture
def counted(sandbox: Sandbox, legacy: str) -> Counted:
    """What Stripe's usage record summaries say."""
    reader = StripeProvider(KEY, base=sandbox.url, via="usage_records")
    return lambda: reader.total(legacy, "tokens", START, START + 60)


def test_usage_records_are_protected_by_their_key_alone(
    sandbox: Sandbox, legacy: str, counted: Counted
) -> None:
    """A lost reply and a stored failure are repeated under the same key: the key stays what it was."""
    provider = StripeProvider(KEY, base=sandbox.url, via="usage_records")
    assert send(provider, one(legacy)) == [Outcome.ACCEPTED]
    sandbox.faults(lose_reply=100)
    assert send(provider, one(legacy, "ts-2", "7")) == [Outcome.UNKNOWN]
    sandbox.faults(fail_done=100)
    answer = provider.send(one(legacy, "ts-3", "11"), still_ours=lambda: True)
    assert (answer.outcome, answer.answered) == (Outcome.UNKNOWN, False), "a new key would count again"
    sandbox.faults()
    assert send(provider, one(legacy, "ts-2", "7")) == [Outcome.ACCEPTED]
    assert counted() == 23
    sandbox.advance(3600)
    assert provider.period(legacy, "tokens") == (START, START + 31 * 86_400)


@pytest.mark.parametrize("fault", ["rate_limit", "unauthorized", "key_in_use"])
def test_the_key_of_a_usage_record_outlives_every_answer(
    sandbox: Sandbox, legacy: str, counted: Counted, store_url: str, fault: str
) -> None:
    """A lost reply may have been counted; whatever Stripe says to the repeat, a new key would count again."""
    clock = FrozenClock(datetime.fromtimestamp(START, UTC))
    provider = StripeProvider(KEY, base=sandbox.url, via="usage_records", timeout_seconds=2)
    with _tally(store_url, provider, clock) as tally:
        tally.link_customer("ada", legacy)
        tally.record("tokens", 5, customer="ada")
        for fate in ("lose_reply", fault):
            sandbox.fault(f"{fate} route=/v1/subscription_items/* times=1")
            clock.advance(timedelta(minutes=6))
            sandbox.advance(360)
            tally.relay.step()
        for _ in range(4):
            clock.advance(timedelta(minutes=6))
            sandbox.advance(360)
            tally.relay.step()
        assert tally.status().settled
        assert counted() == 5


@pytest.mark.parametrize(("value", "words"), [("0.5", "whole numbers"), ("-3", "whole numbers")])
def test_what_usage_records_cannot_say_is_refused(
    sandbox: Sandbox, legacy: str, counted: Counted, value: str, words: str
) -> None:
    provider = StripeProvider(KEY, base=sandbox.url, via="usage_records")
    answer = provider.send(one(legacy, value=value), still_ours=lambda: True)
    assert answer.outcome is Outcome.REFUSED
    assert words in answer.reason
    nobody = provider.send(one("cus_nobody"), still_ours=lambda: True)
    assert nobody.outcome is Outcome.REFUSED
    assert counted() == 0


def test_a_subscription_that_was_replaced(sandbox: Sandbox, legacy: str, counted: Counted) -> None:
    """The item of before is refused; the attempt after that finds the new one."""
    provider = StripeProvider(KEY, base=sandbox.url, via="usage_records")
    assert send(provider, one(legacy)) == [Outcome.ACCEPTED]
    client = stripe.StripeClient(KEY, base_addresses={"api": sandbox.url})
    [old] = client.v1.subscriptions.list({"customer": legacy}).data
    price = old["items"].data[0].price.id
    client.v1.subscriptions.cancel(old.id)
    client.v1.subscriptions.create({"customer": legacy, "items": [{"price": price}]})
    sandbox.advance(60)
    answers = [send(provider, one(legacy, "ts-2", happened_at=START + 30)) for _ in range(2)]
    assert answers == [[Outcome.REFUSED], [Outcome.ACCEPTED]]
    assert (
        StripeProvider(KEY, base=sandbox.url, via="usage_records").total(legacy, "tokens", START, START + 60)
        == 5
    )


def test_the_doctor_looks_for_items(sandbox: Sandbox, legacy: str) -> None:
    provider = StripeProvider(KEY, base=sandbox.url, via="usage_records")
    wanted = [Wanted("tokens", "tokens"), Wanted("images", "images")]
    assert provider.plan(wanted) == []
    interface, ada = provider.doctor(wanted, {"ada": legacy})
    assert (interface.ok, interface.message) == (True, "usage goes through usage_records")
    assert (ada.ok, ada.message) == (False, "no price with lookup_key images")
    assert provider.doctor(wanted[:1], {"ada": legacy})[1].ok


@pytest.mark.parametrize(
    ("via", "route"),
    [("meter_event_stream", "/v2/billing/meter_event_session"), ("usage_records", "/v1/prices")],
)
def test_the_doctor_knocks_at_the_interface(sandbox: Sandbox, via: Any, route: str) -> None:
    provider = StripeProvider(KEY, base=sandbox.url, via=via)
    sandbox.faults(f"unavailable route={route} times=1")
    assert [check.ok for check in provider.doctor([], {})] == [False]
    assert [check.ok for check in provider.doctor([], {})] == [True]


def test_test_mode_has_a_slower_pace() -> None:
    assert StripeProvider(KEY).profile.requests_per_second == 25
    assert StripeProvider(KEY.replace("test", "live")).profile.requests_per_second == 1000


def test_usage_records_take_no_fractions() -> None:
    profile = StripeProvider(KEY, via="usage_records").profile
    with pytest.raises(
        ConfigError, match="'gb' has decimals = 3; by this way stripe takes whole numbers only"
    ):
        refuse_unbillable(Catalogue([Meter("gb", decimals=3)]), profile)


def test_usage_records_through_the_relay(
    sandbox: Sandbox, legacy: str, counted: Counted, store_url: str
) -> None:
    clock = FrozenClock(datetime.fromtimestamp(START, UTC))
    provider = StripeProvider(KEY, base=sandbox.url, via="usage_records", timeout_seconds=2)
    with _tally(store_url, provider, clock) as tally:
        tally.link_customer("ada", legacy)
        sandbox.faults(lose_reply=50, seed=3)
        for number in range(12):
            tally.record("tokens", number, customer="ada")
            clock.advance(timedelta(seconds=61))
            sandbox.advance(61)
            tally.relay.step()
        sandbox.faults()
        for _ in range(20):
            clock.advance(timedelta(minutes=6))
            sandbox.advance(360)
            tally.relay.step()
        assert tally.status().settled
        assert counted() == sum(range(12))
        assert [b.difference for b in tally.tie_out()] == [0]
        assert not [f for f in tally.findings if f.code == "unconfirmed_window"]


def test_the_way_is_chosen_in_the_configuration() -> None:
    settings = parse({"provider": {"via": "meter_events_v2"}}, "here")
    provider = choose(settings.provider, "test", {"STRIPE_API_KEY": KEY})
    assert isinstance(provider, StripeProvider)
    assert type(provider._way).__name__ == "MeterEventsV2"
    with pytest.raises(ConfigError, match="Invalid enum value 'carrier_pigeon'"):
        parse({"provider": {"via": "carrier_pigeon"}}, "here")
    with pytest.raises(ConfigError, match="lago has one way: remove it"):
        choose(ProviderSettings(kind="lago", via="usage_records"), "test", {"LAGO_API_KEY": "k"})
