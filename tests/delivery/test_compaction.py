"""Many entries become few calls, and none of them crosses the boundary of a period."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tallystick import Catalogue, Formula, Meter
from tallystick.errors import ActionError, ConfigError, QuantityError
from tallystick.reconciliation.explanation import explain
from tests.delivery.world import World, billed

START = 1_767_225_600 + 27  # the renewal is in the middle of a minute
METERS = Catalogue([Meter("tokens", hold=False), Meter("calls", hold=False, bucket_seconds=1)])


@pytest.fixture
def world(store_url: str) -> Iterator[World]:
    with billed(store_url, METERS, START, formula="sum") as made:
        yield made


def test_a_backlog_over_a_renewal(world: World) -> None:
    """Ten entries a minute while Stripe is away; afterwards one call a minute, two for that of the renewal."""
    learn(world)
    world.sandbox.outage()
    world.pass_time(days=31, minutes=-7, seconds=-40)  # five minutes before it
    for _ in range(100):
        world.tally.record("tokens", 3, customer="ada")
        world.tally.record("calls", 1, customer="ada")
        world.sandbox.advance(6)
        world.clock.advance(timedelta(seconds=6))
    world.sandbox.recover()
    world.settle()
    sent = [r for r in world.sandbox.requests() if _is_usage(r)]
    dispatches = world.dispatches("tokens")
    assert 10 <= len(dispatches) <= 14
    assert len(world.dispatches("calls")) == 101
    assert len(sent) >= 110
    assert {b.meter: b.difference for b in world.tally.tie_out()} == {"tokens": 0, "calls": 0}
    world.pass_time(days=31)
    world.settle()
    first, second = world.invoiced()
    assert (first["tokens"], second["tokens"]) == (151, 150)
    assert (first["calls"], second["calls"]) == (51, 50)


def test_every_call_explains_to_its_entries(world: World) -> None:
    world.sandbox.outage()
    posted = []
    for number in range(20):
        posted.append(world.tally.record("tokens", number, customer="ada").entries[0].id)
        world.clock.advance(timedelta(seconds=6))
    world.sandbox.recover()
    world.settle()
    behind = []
    for identifier, value in world.dispatches("tokens"):
        found = explain(world.tally.ledger, identifier)
        assert sum(e.quantity for e in found.entries) == Decimal(value)
        behind += [e.id for e in found.entries]
    assert behind == posted[1:], "nothing is nothing to tell"


def learn(world: World) -> None:
    """Let usage wait for two minutes, so that the running period is asked for."""
    world.sandbox.outage()
    for meter in METERS:
        world.tally.record(meter.name, 0, customer="ada")
        world.tally.record(meter.name, 1, customer="ada")
    world.clock.advance(timedelta(minutes=2))
    world.sandbox.advance(120)
    world.sandbox.recover()
    world.pass_time(seconds=40)


def _is_usage(request: dict[str, object]) -> bool:
    return str(request["path"]).endswith("/billing/meter_events")


def test_where_stripe_counts_events_each_entry_is_one(store_url: str) -> None:
    """A meter that somebody else made: nothing is added up on the way, and nothing can be taken back."""
    meter = Meter("calls", formula=Formula.COUNT, hold=False, counted_there=True)
    with billed(store_url, Catalogue([meter]), START, formula="count") as world:
        for _ in range(3):
            world.tally.record("calls", 1, customer="ada")
        three = world.tally.record("calls", 3, customer="ada").entries[0]
        world.settle()
        assert [value for _, value in world.dispatches("calls")] == ["1"] * 6
        assert [b.difference for b in world.tally.tie_out()] == [0]
        with pytest.raises(ActionError, match="counts events and cannot take one back"):
            world.tally.correct(three, quantity=2, reason="r", by="b")
        with pytest.raises(QuantityError, match="at most 100 are sent for one action"):
            world.tally.record("calls", 101, customer="ada")
        world.pass_time(days=31)
        assert world.invoiced()[0]["calls"] == 6


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"counted_there": True}, "counted_there is for count meters"),
        ({"carry": True}, "carry is for last meters"),
        ({"formula": Formula.LAST}, "needs carry = true"),
        ({"formula": Formula.UNIQUE}, "names the attribute it counts"),
        ({"unique_of": "user"}, "names the attribute it counts"),
        ({"formula": Formula.UNIQUE, "unique_of": "user", "decimals": 2}, "has no decimals"),
        ({"bucket_seconds": 7000}, "it must divide an hour"),
        ({"bucket_seconds": 7}, "it must divide an hour"),
    ],
)
def test_a_wrong_declaration_is_told(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Catalogue([Meter("m", **fields)])
