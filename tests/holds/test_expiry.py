"""Holds whose action never ended: what each policy makes of them, and what a late settle adds."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick import Catalogue, Formula, Meter, Tally
from tallystick.actions.action import State
from tallystick.errors import ConfigError
from tallystick.holds import rules
from tallystick.ledger.model import Kind, Outcome, Posted
from tallystick.meters import Expiry
from tallystick.meters.config import parse
from tests.holds.conftest import METERS


def close(action: Any) -> None:
    """End an action as a process does that was only slow."""
    action.__exit__(None)


def test_review_lists_and_bills_nothing(tally: Tally, abandon: Any, pass_time: Any, billed: Any) -> None:
    action = abandon("reviewed")
    assert pass_time(minutes=59) == 0
    assert pass_time(minutes=2) == 1
    (waiting,) = tally.holds.overdue()
    assert waiting.id == action._hold.id
    assert billed() == {}
    assert [f.code for f in tally.findings] == ["overdue_hold"]
    assert pass_time(days=30) == 0, "it is marked once, not in every sweep"
    close(action)


def test_void_bills_nothing_and_closes(tally: Tally, abandon: Any, pass_time: Any, billed: Any) -> None:
    action = abandon("voided")
    assert pass_time(hours=2) == 1
    assert tally.holds.open() == [] == tally.holds.overdue()
    assert billed() == {}
    action.void("gone")
    close(action)
    assert billed() == {}


def test_an_estimate_is_billed_under_the_actions_key(
    tally: Tally, abandon: Any, pass_time: Any, billed: Any
) -> None:
    action = abandon("estimated", key="job 1", attributes={"model": "big"})
    pass_time(hours=2)
    assert billed() == {"estimated": 100}
    (entry,) = tally.entries(customer="ada")
    assert (entry.key, entry.kind, entry.attributes) == ("job 1", Kind.USAGE, '{"model":"big"}')
    with tally.action("estimated", customer="ada", key="job 1", attributes={"model": "big"}) as again:
        again.add(100)
    assert again.repeated
    assert billed() == {"estimated": 100}
    action.set(100)
    close(action)
    assert billed() == {"estimated": 100}


@pytest.mark.parametrize("meter", ["reviewed", "voided", "estimated"])
def test_a_run_that_broke_off_is_void_when_another_run_recorded_its_key(
    tally: Tally, abandon: Any, pass_time: Any, billed: Any, meter: str
) -> None:
    """A job is killed and delivered again: it counts once, and nobody has to decide about the first run."""
    for number in (1, 2):
        abandon(meter, key=f"job {number}")._state = State.CLOSED  # the process is gone
    with tally.action(meter, customer="ada", key="job 1") as again:
        again.add(30)
    pass_time(hours=2)
    assert billed() == {meter: 30 if meter != "estimated" else 130}
    assert [h.key for h in tally.holds.open()] == (["job 2"] if meter == "reviewed" else [])
    assert len([f for f in tally.findings if f.code != "overdue_hold"]) == 0


@pytest.mark.parametrize("used", [0, 30, 100, 250])
def test_a_late_settle_posts_the_difference(
    tally: Tally, abandon: Any, pass_time: Any, billed: Any, used: int
) -> None:
    action = abandon("estimated", key="job 1")
    pass_time(hours=2)
    action.add(used)
    action.add(3, "other")
    close(action)
    assert billed() == {name: n for name, n in {"estimated": used, "other": 3}.items() if n}
    assert action.posted.resolved_before.outcome is Outcome.EXPIRED
    assert [f.code for f in tally.findings] == ["late_settle"]
    corrections = [e for e in tally.entries(customer="ada") if e.kind is Kind.CORRECTION]
    assert [e.quantity for e in corrections] == ([] if used == 100 else [used - 100])


def test_an_action_that_failed_late_takes_the_estimate_back(
    abandon: Any, pass_time: Any, billed: Any
) -> None:
    action = abandon("estimated")
    pass_time(hours=2)
    assert billed() == {"estimated": 100}
    action.__exit__(RuntimeError)
    assert billed() == {}


def test_a_late_settle_of_a_voided_hold_posts_all_of_it(
    tally: Tally, abandon: Any, pass_time: Any, billed: Any
) -> None:
    action = abandon("voided", key="job 1")
    pass_time(hours=2)
    action.add(7)
    close(action)
    assert billed() == {"voided": 7}
    with tally.action("voided", customer="ada", key="job 1") as again:
        again.add(7)
    assert billed() == {"voided": 7}, "the late settle claimed its key"


def test_the_difference_is_posted_once_when_the_posting_runs_twice(
    tally: Tally, abandon: Any, pass_time: Any, billed: Any
) -> None:
    """A commit of unknown outcome is tried again with the same items."""
    action = abandon("estimated")
    pass_time(hours=2)
    action.add(130)
    piece: list[Any] = []
    make = tally.ledger._piece
    tally.ledger._piece = lambda posting: piece.append(made := make(posting)) or made  # type: ignore[method-assign,func-returns-value]
    close(action)
    first = tally.ledger.commit.run(tuple(piece))
    assert billed() == {"estimated": 130}
    assert [e.quantity for e in first[0].entries] == [30]


def test_each_meter_has_its_own_patience(tally: Tally, abandon: Any, pass_time: Any) -> None:
    slow, quick = abandon("reviewed"), abandon("quick")
    assert pass_time(minutes=2) == 1
    assert [e.meter for e in tally.holds.open()] == ["reviewed"]
    close(slow)
    close(quick)


def test_settled_holds_are_left_alone(tally: Tally, pass_time: Any, billed: Any) -> None:
    with tally.action("estimated", customer="ada") as action:
        action.add(5)
    assert pass_time(days=1) == 0
    assert billed() == {"estimated": 5}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"on_expiry": "settle"}, "needs both"),
        ({"settle_at": 5}, "needs both"),
        ({"on_expiry": "settle", "settle_at": "1.5"}, "settle_at"),
        ({"on_expiry": "settle", "settle_at": 5, "formula": "last"}, "cannot be estimated"),
        ({"hold_seconds": 0}, "hold_seconds = 0"),
        ({"on_expiry": "forget"}, "forget"),
    ],
)
def test_a_wrong_declaration_is_told(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse({"meters": {"tokens": fields}}, "tallystick.toml")


def test_holds_of_an_unknown_meter_wait(tally: Tally, abandon: Any, pass_time: Any) -> None:
    """Another application on the same ledger declares it; its own sweep decides."""
    action = abandon("voided")
    tally.ledger.sequencer.run()
    tally.expirer._catalogue = Catalogue([Meter("unrelated")])
    assert pass_time(hours=2) == 1
    assert len(tally.holds.open()) == 1
    tally.expirer._catalogue = Catalogue([Meter("voided", formula=Formula.SUM, on_expiry=Expiry.VOID)])
    pass_time(hours=2)
    assert tally.holds.open() == []
    close(action)


def in_one_batch(tally: Tally, action: Any) -> list[Posted]:
    """Expire an action's hold and end the action in one group commit, the expiry first."""
    expiry = rules.expiry(action._hold, METERS["estimated"], tally.ledger.ids.next(), None)
    assert expiry is not None
    return tally.ledger.post_many([expiry, next(action.settling())])


@pytest.mark.parametrize("used", [0, 30, 100, 250])
def test_an_expiry_and_a_late_settle_in_one_batch_bill_exactly(
    tally: Tally, abandon: Any, billed: Any, used: int
) -> None:
    action = abandon("estimated", key="job 1")
    action.add(used)
    expired, settled = in_one_batch(tally, action)
    assert expired.resolved_before is None
    assert settled.resolved_before is not None
    assert settled.resolved_before.outcome is Outcome.EXPIRED
    assert billed() == {name: n for name, n in {"estimated": used}.items() if n}


def test_one_batch_whose_key_another_run_has_recorded_bills_that_run_alone(
    tally: Tally, abandon: Any, billed: Any
) -> None:
    """The expiry writes nothing, so that there is nothing to correct."""
    action = abandon("estimated", key="job 1")
    with tally.action("estimated", customer="ada", key="job 1") as other:
        other.add(70)
    action.add(70)
    in_one_batch(tally, action)
    assert billed() == {"estimated": 70}
