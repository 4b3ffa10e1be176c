"""Meters that do not add up, through a relay and a real sandbox to the invoice lines of two renewals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tallystick import Catalogue, Formula, Meter
from tallystick.delivery import due
from tallystick.errors import ActionError
from tallystick.values.instant import SECOND
from tests.delivery.world import World, billed

START = 1_767_225_600 + 30 * 86_400 + 7  # the last of a month, at an odd second
METERS = Catalogue(
    [
        Meter("seats", formula=Formula.LAST, carry=True, decimals=1, hold=False),
        Meter("disk", formula=Formula.LAST, carry=False, hold=False),
        Meter("peak", formula=Formula.MAX, hold=False),
        Meter("people", formula=Formula.UNIQUE, unique_of="user", hold=False),
    ]
)


@pytest.fixture
def world(store_url: str) -> Iterator[World]:
    with billed(store_url, METERS, START, formula="last") as made:
        yield made


def use(world: World) -> None:
    world.record("seats", Decimal("5.5"))
    world.record("seats", 7)
    world.record("seats", Decimal("6.5"))
    world.record("disk", 40)
    for load in (3, 9, 4):
        world.record("peak", load)
    for user in ("bo", "cy", "bo", "di"):
        world.record("people", user=user)
    world.settle()


def test_the_invoice_lines_of_two_renewals(world: World) -> None:
    use(world)
    said = {m.name: world.tally.usage("ada", m.name)[0].quantity for m in METERS}
    assert said == {"seats": Decimal("6.5"), "disk": 40, "peak": 9, "people": 3}
    assert {b.meter: (b.recorded, b.provider) for b in world.tally.tie_out()} == {
        n: (q, q) for n, q in said.items()
    }
    world.pass_time(days=31)
    world.settle()
    world.record("people", user="bo")
    world.settle()
    assert [b.difference for b in world.tally.tie_out() if b.meter in ("seats", "people")] == [0, 0]
    world.pass_time(days=31)
    world.settle()
    first, second = world.invoiced()
    assert first == said
    assert second == {"seats": Decimal("6.5"), "disk": 0, "peak": 0, "people": 1}, (
        "seats stand, the others begin anew"
    )


def test_every_dispatch_is_confirmed_or_overtaken(world: World, states: Callable[[], set[str]]) -> None:
    use(world)
    world.pass_time(hours=1)
    assert states() == {"confirmed"}
    assert not world.tally.findings


@pytest.fixture
def states(world: World) -> Callable[[], set[str]]:
    """The states of all dispatches that were not overtaken, straight from the table."""

    def read() -> set[str]:
        store = world.tally.ledger.store
        table = "tallystick_dispatches" if store.dialect == "sqlite" else "tallystick.dispatches"
        with store.read() as transaction:
            run = transaction._execute if hasattr(transaction, "_execute") else transaction._cursor.execute
            rows = run(f"select state, reason from {table}").fetchall()
        return {state for state, reason in rows if not reason.startswith("overtaken")}

    return read


def test_lost_replies_and_an_outage_over_a_day_leave_the_last_value(world: World, states: Any) -> None:
    """An outcome that nobody knows is settled by the next value, and needs no proof past the window."""
    world.record("seats", 3)
    world.sandbox.faults(lose_reply=60, fail=40, seed=7)
    for seats in (8, 2, 11):
        world.record("seats", seats)
    world.sandbox.faults()
    world.sandbox.outage()
    world.pass_time(hours=25)
    world.sandbox.recover()
    for _ in range(10):
        world.pass_time(minutes=10)
    assert states() == {"confirmed"}
    [balance] = world.tally.tie_out()
    assert (balance.recorded, balance.provider) == (11, 11)


def test_what_a_newer_value_says_too_is_given_up(world: World) -> None:
    """A request takes the slot before the relay repeats what got lost: the repeat has nothing left to say."""
    world.record("seats", 3)
    world.sandbox.fault("drop times=1 route=/v1/billing/meter_events")
    world.tally.record("seats", 8, customer="ada")
    world.tally.relay.step()
    assert world.tally.status().in_delivery == {"unknown": 1}
    world.clock.advance(timedelta(seconds=1))
    world.tally.record("seats", 11, customer="ada")
    world.sandbox.advance(661)
    world.clock.advance(timedelta(minutes=11))
    ledger, sender, deadlines = world.tally.ledger, world.tally.sender, world.tally.deadlines
    assert sender is not None
    assert deadlines is not None
    deadlines.chore()  # the period of both is sure now
    owed, _ = ledger.read(due.due_obligations(ledger.where, ledger.clock.now(), 99))
    world.tally.relay._send(sender.claim(world.tally.relay._by_slot(owed)[1]))
    world.settle()
    assert [value for _, value in world.told("seats")] == [3, 11]
    assert world.tally.status().settled


def test_a_correction_counts_where_the_corrected_entry_lies(world: World) -> None:
    use(world)
    world.tally.correct(world.record("peak", 50), quantity=5, reason="a test", by="ada")
    wrong = world.record("people", user="eve")
    world.tally.correct(wrong, quantity=0, reason="a bot", by="ada")
    world.settle()
    assert [world.tally.usage("ada", meter)[0].quantity for meter in ("peak", "people")] == [9, 3]
    world.pass_time(days=31)
    world.settle()
    assert world.invoiced()[0] == {"seats": Decimal("6.5"), "disk": 40, "peak": 9, "people": 3}


def test_what_is_late_for_an_ended_period_is_stamped_inside_it(world: World) -> None:
    """The relay stands still over the renewal: usage of both periods waits, and each is told its own."""
    use(world)
    world.sandbox.outage()
    world.record("peak", 30)
    world.record("seats", 2)
    world.sandbox.advance(28 * 86_400)  # the renewal, and some minutes
    world.clock.advance(timedelta(days=28))
    world.record("peak", 1)
    world.record("seats", 3)
    world.sandbox.recover()
    world.settle()
    world.settle()
    world.pass_time(days=31)
    world.settle()
    first, second = world.invoiced()
    assert (first["peak"], first["seats"]) == (30, 2)
    assert (second["peak"], second["seats"]) == (1, 3)


def test_what_comes_too_late_is_proposed_as_it_stands(world: World) -> None:
    """Of a peak the highest beyond what was told in time is proposed, not what the loads add up to."""
    use(world)
    world.sandbox.outage()
    for load in (30, 50, 10):
        world.record("peak", load)
    world.sandbox.advance(31 * 86_400)
    world.pass_time(days=31)
    assert world.tally.deadlines is not None
    [missed] = world.tally.deadlines.missed()
    assert (missed.meter, missed.quantity) == ("peak", 50 - 9)


def test_nothing_is_a_value_too(world: World) -> None:
    world.record("seats", 4)
    world.record("seats", 0)
    world.settle()
    world.pass_time(days=31)
    world.settle()
    assert world.invoiced()[0]["seats"] == 0


def test_a_burst_in_one_second_is_told_once_and_in_order(world: World) -> None:
    """Two values of one second would leave it to the provider which is the last."""
    for seats in range(20):
        world.tally.record("seats", seats, customer="ada")
        world.tally.relay.step()
    world.settle()
    told = [r for r in world.sandbox.requests() if r["path"].endswith("meter_events")]
    assert len(told) == 2
    [balance] = world.tally.tie_out()
    assert balance.provider == 19
    assert world.clock.now() // SECOND > START


def test_a_unique_meter_must_be_told_what_is_unique(world: World) -> None:
    with pytest.raises(
        ActionError, match=r"counts different values of 'user'; give attributes=\{'user': …\}"
    ):
        world.tally.record("people", 1, customer="ada")
