"""A correction that brings a total below zero stands, and is told of: the provider would bill it as nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from tallystick import Catalogue, Formula, Meter, Tally
from tallystick.ledger.model import Entry, Kind, Posting
from tallystick.reconciliation.credits import Credits
from tallystick.storage import open_store
from tests.delivery.world import World, billed

METERS = Catalogue([Meter("gb", decimals=1, hold=False), Meter("peak", formula=Formula.MAX, hold=False)])
SUMS = Catalogue([Meter("gb", decimals=1, hold=False)])


@pytest.fixture
def world(store_url: str) -> Iterator[World]:
    with billed(store_url, SUMS, 1_767_225_600, formula="sum") as made:
        yield made


def wait_for_the_period(world: World) -> None:
    """Usage that waits makes the relay ask for the running period."""
    world.sandbox.outage()
    world.tally.record("gb", 5, customer="ada")
    world.sandbox.advance(120)
    world.clock.advance(timedelta(minutes=2))
    world.sandbox.recover()
    world.settle()


def test_below_zero_in_the_running_period(world: World) -> None:
    """January was billed; what is taken back in February is more than February has used so far."""
    january = world.record("gb", 100)
    wait_for_the_period(world)
    world.tally.correct(january, quantity=60, reason="counted twice", by="Grace")
    assert world.tally.finding_counts["negative_total"] == 0, "January has the rest"
    world.settle()
    world.pass_time(days=31)
    wait_for_the_period(world)
    world.tally.correct(january, quantity=55, reason="counted twice", by="Grace")
    assert world.tally.finding_counts["negative_total"] == 0, "February comes to nothing"
    posted = world.tally.correct(january, quantity=Decimal("54.5"), reason="counted twice", by="Grace")
    assert [entry.quantity for entry in posted.entries] == [-5], "it is recorded all the same"
    world.tally.noted.keep()
    [told] = [kept for kept in world.tally.noted.open() if kept.code == "negative_total"]
    assert (told.subject, told.count) == ("ada gb", 1)
    assert "customer 'ada' has -0.5 of gb since 2026-02-01 00:00 UTC" in told.message
    assert "a correction by -0.5;" in told.message
    world.settle()
    assert [balance.difference for balance in world.tally.tie_out()] == [0]
    world.pass_time(days=31)
    assert [invoice["gb"] for invoice in world.invoiced()] == [65, 0], "and this is why"


def test_below_zero_at_all(store_url: str) -> None:
    """Where no period is known, all that was ever recorded counts; what does not add up has no such total."""
    with Tally(open_store(store_url, auto_migrate=True), METERS) as tally:
        first = {m: tally.record(m, 3, customer="ada").entries[0] for m in ("gb", "peak")}

        def taken_back(meter: str, steps: int) -> list[Entry]:
            entry = msgspec.structs.replace(
                first[meter],
                entry=tally.ledger.ids.next(),
                kind=Kind.CORRECTION,
                quantity=steps,
                refers=first[meter].entry,
                recorded_at=0,
            )
            return list(tally.ledger.post(Posting((entry,))).entries)

        credits = Credits(tally.ledger, METERS, tally.links, tally.find)
        credits.look_at([first["gb"], *taken_back("gb", -30), *taken_back("peak", -40)])
        assert not tally.findings
        credits.look_at(taken_back("gb", -1))
        assert [(f.code, f.subject) for f in tally.findings] == [("negative_total", "ada gb")]
        assert "has -0.1 of gb, after a correction by -0.1;" in tally.findings[0].message
