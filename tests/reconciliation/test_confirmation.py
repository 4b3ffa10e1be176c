"""Confirmation and proof of absence, against a real sandbox: exact totals after outcomes nobody knows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import stripe

from tallystick import Tally
from tallystick.reconciliation import confirmation
from tallystick.reconciliation.rules import Reading, counted_of, is_ambiguous
from tallystick.sandbox import Sandbox
from tallystick.values.instant import SECOND, FrozenClock
from tests.delivery.test_rules import dispatch

Later = Callable[..., int]


@pytest.fixture
def later(tally: Tally, clock: FrozenClock) -> Later:
    """Let time pass, then relay once, which confirms first; how many windows were cleared up."""

    def step(**passed: Any) -> int:
        clock.advance(timedelta(**passed))
        return tally.relay.step().kept_up

    return step


def test_what_was_accepted_and_is_in_the_totals_is_confirmed(
    tally: Tally, clock: FrozenClock, later: Later, states: Any
) -> None:
    tally.record("tokens", 5, customer="ada")
    clock.advance(timedelta(seconds=5))
    tally.record("tokens", 7, customer="ada")
    tally.record("gb", Decimal("0.125"), customer="bob")
    tally.relay.drain()
    assert later(seconds=30) == 0, "summaries are given time"
    assert later(minutes=3) == 2
    assert states() == [("confirmed", 5), ("confirmed", 7), ("confirmed", 125)]
    assert later(minutes=3) == 0
    assert {finding.code for finding in tally.findings} <= {"clock_skew"}, "these clocks are hours apart"
    assert all(balance.difference == 0 for balance in tally.tie_out())


def test_what_is_accepted_and_never_counted_is_a_finding(
    tally: Tally, sandbox: Sandbox, later: Later, states: Any
) -> None:
    """Half an hour later; it is not sent again, for nothing proves that it is lost."""
    sandbox.fault("swallow times=1 route=/v1/billing/meter_events")
    tally.record("tokens", 40, customer="ada")
    tally.relay.drain()
    later(minutes=29)
    assert not tally.finding_counts["unconfirmed_window"]
    later(minutes=2)
    assert tally.finding_counts["unconfirmed_window"] == 1
    assert states() == [("accepted", 40)]


def leave_in_doubt(tally: Tally, sandbox: Sandbox, later: Later, **faults: int) -> None:
    """Send into the fault; a day later the repeats would be counted again, and are parked."""
    sandbox.faults(**faults)
    tally.relay.step()
    sandbox.faults()
    later(hours=25)


@pytest.mark.parametrize("times", [1, 3])
def test_lost_replies_that_were_counted_are_not_sent_again(
    tally: Tally, sandbox: Sandbox, clock: FrozenClock, later: Later, states: Any, counted: Any, times: int
) -> None:
    for number in range(times):
        tally.record("tokens", 10 + number, customer="ada")
        clock.advance(timedelta(seconds=5))
        sandbox.faults(lose_reply=100, seed=1)
        tally.relay.step()
        clock.advance(timedelta(seconds=60))
    sandbox.faults()
    for _ in range(times):
        later(hours=25)
    later(minutes=11)
    later(minutes=11)
    assert counted() == sum(10 + number for number in range(times))
    assert all(balance.difference == 0 for balance in tally.tie_out())
    assert not any(state == "parked" for state, _ in states())


def test_what_never_arrived_is_sent_again(
    tally: Tally, sandbox: Sandbox, later: Later, states: Any, counted: Any
) -> None:
    tally.record("tokens", 40, customer="ada")
    leave_in_doubt(tally, sandbox, later, fail=100, seed=1)
    assert states() == [("parked", 40)]
    assert counted() == 0
    assert later(minutes=1) == 0, "one reading proves nothing"
    assert later(minutes=5) == 0, "two within ten minutes neither"
    assert later(minutes=6) == 1
    assert states() == [("accepted", 40), ("refused", 40)]
    assert counted() == 40
    assert later(minutes=5) == 1
    assert states() == [("confirmed", 40), ("refused", 40)]
    assert all(balance.difference == 0 for balance in tally.tie_out())


def test_two_that_prove_it_at_once_send_it_again_once(
    tally: Tally, sandbox: Sandbox, later: Later, states: Any, counted: Any, monkeypatch: Any
) -> None:
    """A relay whose lease ran out while it read the totals comes to the same conclusion as its successor."""
    tally.record("tokens", 40, customer="ada")
    leave_in_doubt(tally, sandbox, later, fail=100, seed=1)
    assert tally.confirmer is not None
    resolve = tally.confirmer._resolve
    monkeypatch.setattr(tally.confirmer, "_resolve", lambda *what: resolve(*what) + resolve(*what))
    later(minutes=1)
    assert later(minutes=11) == 2
    assert states() == [("accepted", 40), ("refused", 40)]
    assert counted() == 40


def test_partly_counted(
    tally: Tally, sandbox: Sandbox, clock: FrozenClock, later: Later, states: Any, counted: Any
) -> None:
    """Two of unknown outcome, one of them counted: the gap says which."""
    for fault, quantity in (("lose_reply", 40), ("fail", 2)):
        tally.record("tokens", quantity, customer="ada")
        sandbox.faults(**{fault: 100, "seed": 1})
        owed = _only(tally)
        tally.relay._send(owed)
        sandbox.faults()
        clock.advance(timedelta(seconds=35))
    later(hours=25)
    assert states() == [("parked", 2), ("parked", 40)]
    later(minutes=1)
    later(minutes=11)
    later(minutes=1)
    assert counted() == 42
    later(minutes=5)
    assert states() == [("confirmed", 2), ("confirmed", 40), ("refused", 2)]
    assert all(balance.difference == 0 for balance in tally.tie_out())


def _only(tally: Tally) -> Any:
    """Attempts for what no dispatch carries yet, leaving alone what is in doubt already."""
    from tallystick.delivery import due

    ledger = tally.ledger
    owed, _ = ledger.read(due.due_obligations(ledger.where, ledger.clock.now(), 10))
    _, by_slot = tally.relay._by_slot(owed)
    assert tally.sender is not None
    return tally.sender.claim(by_slot)


def test_somebody_else_reports_to_the_meter(
    tally: Tally, sandbox: Sandbox, clock: FrozenClock, later: Later, states: Any, counted: Any
) -> None:
    """The gap cannot come from our dispatches: nothing is sent, a person is told."""
    tally.record("tokens", 40, customer="ada")
    leave_in_doubt(tally, sandbox, later, fail=100, seed=1)
    client = stripe.StripeClient("sk_test_other", base_addresses={"api": sandbox.url})
    ada = sandbox.links["ada"]  # type: ignore[attr-defined]
    at = clock.now() // SECOND - 25 * 3600
    client.v1.billing.meter_events.create(
        {"event_name": "tokens", "timestamp": at, "payload": {"stripe_customer_id": ada, "value": "1000"}}
    )
    for _ in range(4):
        later(minutes=11)
    assert states() == [("parked", 40)]
    assert counted() == 1000
    (finding,) = [f for f in tally.findings if f.code == "unconfirmed_window"]
    assert "the provider has 1000" in finding.message
    assert "40 of unknown outcome" in finding.message


def test_windows_that_cannot_be_cleared_up_do_not_starve_the_others(
    tally: Tally, sandbox: Sandbox, clock: FrozenClock, later: Later, states: Any, monkeypatch: Any
) -> None:
    """Of four windows, all accepted at the same instant, three hold what somebody else reported."""
    monkeypatch.setattr(confirmation, "AT_ONCE", 2)
    client = stripe.StripeClient("sk_test_other", base_addresses={"api": sandbox.url})
    at = clock.now() // SECOND
    for number, (customer, meter) in enumerate([(c, m) for c in ("ada", "bob") for m in ("gb", "tokens")]):
        tally.record(meter, 1 + number, customer=customer)
        payload = {"stripe_customer_id": sandbox.links[customer], "value": "9"}  # type: ignore[attr-defined]
        if number != 3:
            client.v1.billing.meter_events.create({"event_name": meter, "timestamp": at, "payload": payload})
    tally.relay.drain()
    assert [later(minutes=3), later(seconds=10), later(seconds=10)].count(1) == 1, "the second step goes on"
    assert ("confirmed", 4) in states()
    assert len(states()) == 4


def test_two_readings_are_equal_and_ten_minutes_apart() -> None:
    first = Reading(total=5, certain=3, ambiguous=2, read_at=0)
    again = 600 * SECOND
    assert Reading(5, 3, 2, again).repeats(first)
    assert not Reading(5, 3, 2, again - 1).repeats(first)
    assert not any(Reading(*other, again).repeats(first) for other in ((4, 3, 2), (5, 2, 2), (5, 3, 1)))


def test_what_never_left_is_in_no_doubt() -> None:
    assert is_ambiguous(dispatch(state="parked", first_sent_at=1))
    assert not is_ambiguous(dispatch(state="parked", first_sent_at=None))


def test_a_customer_that_is_gone_does_not_starve_the_others(
    tally: Tally, sandbox: Sandbox, clock: FrozenClock, later: Later, states: Any
) -> None:
    """Its windows cannot be read any more, and they are the oldest; said once."""
    tally.record("tokens", 1, customer="ada")
    tally.relay.drain()
    clock.advance(timedelta(seconds=5))
    tally.record("tokens", 2, customer="bob")
    tally.relay.drain()
    bases: Any = {"api": sandbox.url, "meter_events": sandbox.url}
    stripe.StripeClient("sk_test_confirmation", base_addresses=bases).v1.customers.delete(
        sandbox.links["ada"]  # type: ignore[attr-defined]
    )
    later(minutes=3)
    assert states() == [("accepted", 1), ("confirmed", 2)]
    later(minutes=3)
    assert tally.finding_counts["totals_unreadable"] == 1


def test_the_summaries_cannot_be_read(tally: Tally, sandbox: Sandbox, later: Later, states: Any) -> None:
    tally.record("tokens", 40, customer="ada")
    tally.relay.drain()
    sandbox.outage()
    later(minutes=5)
    assert states() == [("accepted", 40)]
    assert "totals_unreadable" in {f.code for f in tally.findings}
    sandbox.recover()
    for _ in range(2):  # the first may find the connection of before dead
        later(minutes=5)
    assert states() == [("confirmed", 40)]


@pytest.mark.parametrize(
    ("quantities", "gap", "counted"),
    [
        ((40,), 0, ()),
        ((40,), 40, (0,)),
        ((40,), 39, None),
        ((40, 2, 7), 9, (1, 2)),
        ((5, 5), 5, None),
        ((5, 5), 10, (0, 1)),
        ((2, 3, 5), 5, None),
        ((5, -5, 3), 0, None),
        ((5, -5, 3), 3, None),
        ((5, -4, 3), 0, ()),
        ((5, -2), 3, (0, 1)),
        (tuple(range(1, 41)), sum(range(1, 41)), tuple(range(40))),
        (tuple(range(1, 41)), 7, None),
    ],
)
def test_which_of_them_make_the_gap(
    quantities: tuple[int, ...], gap: int, counted: tuple[int, ...] | None
) -> None:
    assert counted_of(quantities, gap) == counted
