"""Delivery by Stripe's other ways, to OpenMeter and to Lago, on both stores: exact whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal

import pytest

from tallystick import Catalogue, Meter, Tally
from tallystick.meters.config import DeliverySettings
from tallystick.providers import Provider
from tallystick.providers.openmeter import OpenMeterProvider
from tallystick.sandbox import Sandbox
from tallystick.storage import open_store
from tallystick.values.instant import SECOND, Clock, FrozenClock
from tests.providers.conformance import rigs
from tests.providers.conformance.rigs import Rig

METERS = Catalogue([Meter("tokens", hold=False), Meter("gb", decimals=3, hold=False)])
CUSTOMERS = ["org_a", "org_b", "org_c"]
OTHERS = [name for name in rigs.RIGS if name != "stripe"]
CHECKED_AT_ONCE = [name for name in OTHERS if not name.startswith("stripe")]


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with Sandbox.start() as sandbox:
        yield rigs.RIGS[request.param](sandbox, [meter.name for meter in METERS], CUSTOMERS)


Make = Callable[..., Tally]


@pytest.fixture
def make(rig: Rig, store_url: str) -> Iterator[Make]:
    """Make a Tally on the shared store, its customers linked."""
    made: list[Tally] = []

    def build(*, inline: bool = False, clock: Clock | None = None, provider: Provider | None = None) -> Tally:
        tally = Tally(
            open_store(store_url, auto_migrate=True),
            METERS,
            provider=provider or rig.provider(),
            delivery=DeliverySettings(inline=inline, budget_ms=5000, relay="process"),
            clock=clock,
        )
        tally.links.link(rig.customers)
        made.append(tally)
        return tally

    yield build
    for tally in made:
        tally.close()


def balanced(tally: Tally) -> bool:
    """Nothing is under way, and the provider's totals are ours."""
    return tally.status().settled and all(balance.difference == 0 for balance in tally.tie_out())


@pytest.mark.parametrize("rig", OTHERS, indirect=True)
def test_every_kind_of_bad_answer(make: Make, rig: Rig) -> None:
    """Lost replies, half answers, 500s, 429s: the totals are exact; without a window nothing is sent twice."""
    tally = make()
    for n in range(60):
        tally.record("tokens", n, customer=CUSTOMERS[n % 3])
        tally.record("gb", Decimal("0.1"), customer=CUSTOMERS[n % 3])
        if n == 0:
            tally.relay.drain()
            rig.sandbox.faults(lose_reply=15, half_answer=10, rate_limit=15, seed=7)
        tally.relay.step()
    rig.sandbox.faults()
    tally.relay.drain(wait_seconds=30)
    assert tally.status().parked == []
    assert rig.counted() == sum(range(60)) + 6
    assert balanced(tally)


@pytest.mark.parametrize("rig", OTHERS, indirect=True)
def test_an_outage_delays_and_loses_nothing(make: Make, rig: Rig) -> None:
    """The provider goes away: records succeed, wait, and arrive afterwards, in batches where it takes them."""
    tally = make(inline=True)
    tally.record("tokens", 1, customer="org_a")
    assert rig.counted() == 1
    rig.sandbox.outage()
    for n in range(20):
        tally.record("tokens", 1, customer=CUSTOMERS[n % 3])
    rig.sandbox.recover()
    tally.relay.drain(wait_seconds=30)
    assert rig.counted() == 21
    assert balanced(tally)


@pytest.mark.parametrize("rig", CHECKED_AT_ONCE, indirect=True)
def test_nobody_is_sent_what_nobody_is_billed_for(make: Make, rig: Rig) -> None:
    """A link to nobody parks with the reason; mended over there, it is driven again."""
    tally = make()
    tally.link_customer("org_x", "sub_gone")
    for customer in ("org_x", "org_a"):
        tally.record("tokens", 5, customer=customer)
    tally.relay.drain()
    [parked] = tally.status().parked
    assert "sub_gone" in parked.reason
    assert rig.counted() == 5
    rig.sandbox.tell(rig.kind, customers={"sub_gone": "pro"})
    assert tally.redrive() == 1
    tally.relay.drain()
    assert rig.counted() == 10
    assert balanced(tally)


@pytest.mark.parametrize("rig", ["openmeter"], indirect=True)
def test_doubles_mean_the_nearest_step(make: Make, rig: Rig) -> None:
    """What OpenMeter adds up as doubles is off in its last digits; the tie-out is exact to the step."""
    clock = FrozenClock()
    rig.sandbox.tell("clock", freeze=clock.now() // SECOND)
    tally = make(clock=clock)
    for _ in range(250):
        tally.record("gb", Decimal("0.01"), customer="org_a")
        clock.advance(timedelta(seconds=1))
    tally.relay.drain()
    since = clock.now() // SECOND - 300
    assert rig.provider().total(rig.customer, "gb", since, since + 360) != Decimal("2.5")
    [balance] = tally.tie_out()
    assert (balance.provider, balance.difference) == (Decimal("2.500"), 0)


@pytest.mark.parametrize("rig", ["lago"], indirect=True)
def test_another_providers_links_are_not_used(make: Make, rig: Rig, store_url: str) -> None:
    """After a change of provider usage waits for new links; links made without a provider belong to any."""
    settings = DeliverySettings(inline=False, relay="process")
    before = OpenMeterProvider(base=f"{rig.sandbox.url}/openmeter")
    for provider, name in ((before, "org_x"), (None, "org_y")):
        store = open_store(store_url, auto_migrate=True)
        with Tally(store, METERS, provider=provider, delivery=settings) as other:
            other.link_customer(name, "sub_org_a")
            assert name in other.links.all()
    tally = make()
    assert "org_x" not in tally.links.all()
    tally.record("tokens", 5, customer="org_x")
    tally.record("tokens", 7, customer="org_y")
    assert tally.relay.drain().unlinked == 1
    assert rig.counted() == 7
    tally.link_customer("org_x", "sub_org_b")
    tally.relay.drain()
    assert rig.counted() == 12


@pytest.mark.parametrize("rig", ["openmeter", "lago"], indirect=True)
def test_a_success_that_was_not_one_shows_in_the_tie_out(make: Make, rig: Rig) -> None:
    """Answered with success and lost in the provider's queue: the difference names customer and meter."""
    tally = make()
    rig.sandbox.tell(rig.kind, settings={"swallow": 1})
    tally.record("tokens", 5, customer="org_a")
    tally.record("tokens", 7, customer="org_b")
    tally.relay.drain()
    assert tally.status().settled
    off = [balance for balance in tally.tie_out() if balance.difference]
    assert [(b.customer, b.meter) for b in off] in ([("org_a", "tokens")], [("org_b", "tokens")])


@pytest.mark.parametrize("rig", ["openmeter"], indirect=True)
def test_an_id_claimed_before_it_was_queued_shows_in_the_tie_out(make: Make, rig: Rig) -> None:
    """OpenMeter remembers the id, fails to queue, takes the repeat for a duplicate: metered zero times."""
    tally = make()
    tally.record("tokens", 1, customer="org_a")
    tally.relay.drain()
    rig.sandbox.tell("openmeter", settings={"claims_first": True})
    rig.sandbox.faults(fail=100)
    tally.record("tokens", 5, customer="org_a")
    tally.relay.drain()
    rig.sandbox.faults()
    tally.relay.drain(wait_seconds=30)
    assert tally.status().settled
    assert [balance.difference for balance in tally.tie_out()] == [5]


@pytest.mark.parametrize("rig", ["openmeter"], indirect=True)
def test_a_window_that_is_not_there_shows_in_the_tie_out(make: Make, rig: Rig) -> None:
    """Configured here, switched off over there: the repeat counts twice, and the difference says so."""
    rig.sandbox.tell("openmeter", settings={"deduplicate_seconds": 0})
    tally = make()
    tally.record("tokens", 1, customer="org_a")
    tally.relay.drain()
    rig.sandbox.faults(lose_reply=100)
    tally.record("tokens", 5, customer="org_a")
    tally.relay.drain()
    rig.sandbox.faults()
    tally.relay.drain(wait_seconds=30)
    assert [balance.difference for balance in tally.tie_out()] == [-5]


@pytest.mark.parametrize("rig", ["openmeter-plain"], indirect=True)
def test_without_deduplication_a_lost_answer_is_looked_up(make: Make, rig: Rig) -> None:
    """Stored later than asked for: asked again; never listed: parked for a person, and never sent again."""
    clock = FrozenClock()
    rig.sandbox.tell("clock", freeze=clock.now() // SECOND)
    tally = make(clock=clock)
    for customer in ("org_a", "org_b"):
        tally.record("tokens", 1, customer=customer)
    tally.relay.drain()
    rig.sandbox.tell("openmeter", settings={"swallow": 1})
    rig.sandbox.faults(lose_reply=100)
    tally.record("tokens", 2, customer="org_a")  # lost over there
    tally.relay.drain()
    tally.record("tokens", 4, customer="org_b")  # stored, its answer lost
    tally.relay.drain()
    rig.sandbox.faults()
    sent = rig.sandbox.tell("openmeter")["events"]
    for _ in range(20):
        clock.advance(timedelta(minutes=2))
        tally.relay.step()
    assert sent == 3
    assert rig.sandbox.tell("openmeter")["events"] == 4, (
        "the totals prove it absent: sent once more, as another"
    )
    assert tally.status().parked == []
    assert rig.counted() == 8


@pytest.mark.parametrize("rig", ["openmeter-plain"], indirect=True)
def test_what_cannot_be_looked_up_for_a_day_waits_for_a_person(make: Make, rig: Rig) -> None:
    """The list does not reach back far enough: asked for a day, then parked with what the provider said."""
    clock = FrozenClock()
    rig.sandbox.tell("clock", freeze=clock.now() // SECOND + 40 * 86400)
    tally = make(clock=clock)
    tally.record("tokens", 1, customer="org_a")
    tally.relay.drain()
    rig.sandbox.faults(lose_reply=100)
    tally.record("tokens", 2, customer="org_a")
    tally.relay.drain()
    rig.sandbox.faults()
    clock.advance(timedelta(hours=23))
    tally.relay.step()
    assert tally.status().in_delivery == {"unknown": 1}
    clock.advance(timedelta(hours=2))
    tally.relay.step()
    assert "more than 32 days" in tally.status().parked[0].reason
    assert rig.counted() == 3
