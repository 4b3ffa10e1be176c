"""What comes after the invoice of its period is not sent, where Stripe would take it and bill it to nobody."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick import Catalogue, Formula, Meter
from tallystick.cycles import Level
from tallystick.delivery.rules import TOO_LATE
from tests.delivery.world import World, billed

START = 1_767_225_600 + 27
METERS = Catalogue(
    [Meter("tokens", hold=False), Meter("seats", hold=False, formula=Formula.LAST, carry=True)]
)
SUMS = Catalogue([METERS["tokens"]])


def a_backlog(world: World, hours: float, quantity: int = 5) -> None:
    """Used in the last minutes of the first period, while Stripe was away until so long after it."""
    world.record("tokens", 1)
    world.pass_time(days=31, minutes=-10)
    world.sandbox.outage()
    world.record("tokens", quantity)
    world.record("tokens", 2 * quantity)
    world.pass_time(hours=hours)
    world.sandbox.recover()
    world.settle()


@pytest.mark.parametrize(
    ("hours", "draft_hours", "in_time"), [(0.5, 1, True), (3, 1, False), (3, 72, True), (80, 72, False)]
)
def test_after_the_draft_it_is_an_invoice_item_to_make(
    store_url: str, hours: float, draft_hours: int, in_time: bool
) -> None:
    with billed(store_url, SUMS, START, formula="sum", draft_hours=draft_hours) as world:
        a_backlog(world, hours)
        deadlines = world.tally.deadlines
        assert deadlines is not None
        missed = deadlines.missed()
        assert [(one.quantity, one.entries) for one in missed] == ([] if in_time else [(15, 2)])
        assert {d.reason for d in world.tally.status().parked} == (set() if in_time else {TOO_LATE})
        world.tally.redrive()
        world.settle()
        assert bool(world.tally.status().parked) is not in_time
        world.pass_time(days=4)
        [first] = world.invoiced()
        assert first["tokens"] == (16 if in_time else 1)
        assert sum(value for _, value in world.told("tokens")) == first["tokens"]
        world.record("tokens", 7)
        world.settle()
        assert sum(value for _, value in world.told("tokens")) == first["tokens"] + 7


def test_a_lost_answer_is_not_repeated_after_the_draft(store_url: str) -> None:
    """If it never arrived, a repeat would be taken now; a day later the totals prove that it did not."""
    with billed(store_url, SUMS, START, formula="sum") as world:
        world.record("tokens", 1)
        world.pass_time(days=31, minutes=-10)
        world.sandbox.fault("drop times=1 route=/v1/billing/meter_events")
        world.tally.record("tokens", 5, customer="ada")
        world.tally.relay.step()
        assert world.tally.status().in_delivery == {"unknown": 1}
        world.sandbox.advance(3 * 3600)
        world.clock._now += 3 * 3600 * 1_000_000
        world.settle()
        [parked] = world.tally.status().parked
        assert parked.reason == TOO_LATE
        world.pass_time(hours=25)
        for _ in range(3):
            world.pass_time(minutes=11)
        [proven] = world.tally.status().parked
        assert proven.first_sent_at is None
        assert sum(value for _, value in world.told("tokens")) == 1


def test_values_that_stand_are_late_too(store_url: str) -> None:
    """Of seats the invoice has what was told in time; what was late is proposed, and carried on."""
    with billed(store_url, Catalogue([METERS["seats"]]), START, formula="last") as world:
        world.record("seats", 3)
        world.settle()
        world.pass_time(days=31, minutes=-10)
        world.sandbox.outage()
        world.record("seats", 8)
        world.pass_time(hours=3)
        world.sandbox.recover()
        world.settle()
        [parked] = world.tally.status().parked
        assert (parked.value, parked.reason) == ("8", TOO_LATE)
        assert world.tally.deadlines is not None
        assert [one.level for one in world.tally.deadlines.pressing()] == [Level.MISSED]
        world.pass_time(days=32)
        first, second = world.invoiced()
        assert (first["seats"], second["seats"]) == (3, 8)


def test_where_no_period_is_known_it_is_sent(store_url: str, monkeypatch: Any) -> None:
    """Nothing is held back on a guess."""
    with billed(store_url, SUMS, START, formula="sum") as world:
        assert world.tally.provider is not None
        monkeypatch.setattr(world.tally.provider, "period", lambda customer, meter: None)
        a_backlog(world, hours=3)
        assert sum(value for _, value in world.told("tokens")) == 16
