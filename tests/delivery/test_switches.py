"""Periods that end before their time: plan switches and cancellations, through a relay and a real sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tallystick import Catalogue, Formula, Meter
from tallystick.values.instant import SECOND
from tests.delivery.world import World, billed

START = 1_767_225_600 + 30 * 86_400 + 7
METERS = Catalogue(
    [
        Meter("seats", formula=Formula.LAST, carry=True, hold=False),
        Meter("peak", formula=Formula.MAX, hold=False),
        Meter("people", formula=Formula.UNIQUE, unique_of="user", hold=False),
    ]
)


@pytest.fixture
def world(store_url: str) -> Iterator[World]:
    with billed(store_url, METERS, START, formula="last") as made:
        yield made


@pytest.fixture
def plan(world: World) -> Callable[..., Any]:
    """Switch the plan now: the running period ends, another begins."""

    def switch() -> None:
        [subscription] = world.client.v1.subscriptions.list({"customer": world.customer})
        world.client.v1.subscriptions.update(subscription.id, {"billing_cycle_anchor": "now"})

    return switch


def use(world: World, *, seats: int, load: int, user: str) -> None:
    world.record("seats", seats)
    world.record("peak", load)
    world.record("people", user=user)


def test_a_switch_in_mid_period(world: World, plan: Any) -> None:
    """What was used just before it and just after it is billed on its own side."""
    use(world, seats=3, load=7, user="bo")
    world.settle()
    world.pass_time(days=3)
    use(world, seats=5, load=30, user="cy")
    plan()
    use(world, seats=4, load=2, user="di")
    world.pass_time(minutes=20)
    world.settle()
    assert [b.difference for b in world.tally.tie_out()] == [0, 0, 0]
    world.pass_time(days=31)
    world.settle()
    first, second = world.invoiced()
    assert first == {"seats": 5, "peak": 30, "people": 2}
    assert second == {"seats": 4, "peak": 2, "people": 1}


def test_seats_are_carried_into_a_period_that_nobody_touched(world: World, plan: Any) -> None:
    """Two switches in one month: the provider is asked again long before the period it named would have ended."""
    world.record("seats", 5)
    world.settle()
    for _ in range(2):
        world.pass_time(days=4)
        plan()
        world.pass_time(hours=7)
    assert [invoice["seats"] for invoice in world.invoiced()] == [5, 5]


def test_nothing_is_told_in_a_period_that_was_cancelled(world: World) -> None:
    """No subscription, then another: what was recorded under the new one is told in its period."""
    use(world, seats=3, load=30, user="bo")
    world.settle()
    [old] = world.client.v1.subscriptions.list({"customer": world.customer})
    prices: Any = [{"price": item.price.id} for item in old["items"]]
    world.client.v1.subscriptions.cancel(old.id)
    world.record("peak", 9)
    world.pass_time(minutes=11)
    world.settle()
    world.client.v1.subscriptions.create({"customer": world.customer, "items": prices})
    use(world, seats=4, load=2, user="di")
    world.pass_time(minutes=20)
    world.settle()
    world.pass_time(days=31)
    world.settle()
    assert world.invoiced() == [{"seats": 4, "peak": 2, "people": 1}]


def test_late_values_of_an_ended_period_have_seconds_of_their_own(world: World) -> None:
    """Stripe does not say which of two events of one second is the last: here it takes the other one."""
    use(world, seats=3, load=1, user="bo")
    world.settle()
    world.pass_time(seconds=START + 28 * 86_400 - 1 - world.clock.now() // SECOND)
    posted = [world.tally.record(meter, 50, customer="ada").entries[0] for meter in ("seats", "peak")]
    for step in range(2, 6):
        world.tally.relay.step()
        world.pass_time(minutes=3)
        for entry in posted:
            world.tally.correct(entry, quantity=50 - step, reason="a test", by="ada")
    world.settle()
    world.settle()
    stamps = [second for second, _ in world.told("seats")]
    assert len(set(stamps)) == len(stamps)
    world.pass_time(days=31)
    assert [world.invoiced()[0][meter] for meter in ("seats", "peak")] == [45, 45]


def test_what_was_late_is_carried_too(world: World) -> None:
    """A correction that comes after the invoice it is for, when the value before it was carried already."""
    posted = world.record("seats", 5)
    world.settle()
    world.pass_time(days=31)
    world.settle()
    world.tally.correct(posted, quantity=4, reason="a test", by="ada")
    world.settle()
    assert [int(value) for _, value in sorted(world.told("seats"))] == [5, 5, 4]
    assert [d.value for d in world.tally.status().parked] == ["4"], "nobody would bill it"
    world.pass_time(days=31)
    assert world.invoiced()[-1]["seats"] == 4
