"""One metered action as a state machine: hold, count, settle or void, once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from tallystick.app import Tally
from tallystick.errors import ActionError, LedgerError, QuantityError, TallystickWarning, UnknownMeterError
from tallystick.ledger.model import Kind, Outcome, Posting, Resolution

Work = Callable[[Any], None]


@pytest.fixture(params=["with", "async with"])
def run(request: pytest.FixtureRequest, tally: Tally) -> Callable[..., Any]:
    """Run work inside an action, once as `with` and once as `async with`."""

    def sync(work: Work, meter: str, **rest: Any) -> Any:
        with tally.action(meter, customer="ada", **rest) as action:
            work(action)
        return action

    async def alike(work: Work, meter: str, **rest: Any) -> Any:
        async with tally.action(meter, customer="ada", **rest) as action:
            work(action)
        return action

    if request.param == "with":
        return sync
    return lambda *args, **rest: asyncio.run(alike(*args, **rest))


def boom(action: Any) -> None:
    raise RuntimeError("the model is away")


def test_what_was_added_is_settled(run: Any, counted: Any, resolutions: Any) -> None:
    def work(action: Any) -> None:
        action.add(3)
        action.add(4)
        action.add(2, "pings")

    run(work, "tokens")
    assert counted("ada") == [("tokens", 7), ("pings", 2)] or counted("ada") == [("pings", 2), ("tokens", 7)]
    assert resolutions() == [("settled", "")]


def test_set_replaces(run: Any, counted: Any) -> None:
    def work(action: Any) -> None:
        action.add(3)
        action.set(10)

    run(work, "tokens")
    assert counted("ada") == [("tokens", 10)]


def test_an_explicit_zero_is_a_quantity(run: Any, counted: Any, resolutions: Any) -> None:
    run(lambda action: action.add(0), "tokens")
    assert counted("ada") == [("tokens", 0)]
    assert resolutions() == [("settled", "")]


def test_nothing_added_to_a_sum_is_void(run: Any, counted: Any, resolutions: Any) -> None:
    run(lambda action: None, "tokens")
    assert counted("ada") == []
    assert resolutions() == [("voided", "nothing was counted")]


def test_nothing_added_to_a_count_is_one(run: Any, counted: Any, resolutions: Any) -> None:
    run(lambda action: None, "calls")
    assert counted("ada") == [("calls", 1)]
    assert resolutions() == [("settled", "")]


def test_voided_by_the_application(run: Any, counted: Any, resolutions: Any) -> None:
    def work(action: Any) -> None:
        action.add(5)
        action.void("answered from the cache")

    run(work, "calls")
    assert counted("ada") == []
    assert resolutions() == [("voided", "answered from the cache")]


def test_an_exception_records_what_was_added_before(run: Any, counted: Any, resolutions: Any) -> None:
    def work(action: Any) -> None:
        action.add(5)
        boom(action)

    with pytest.raises(RuntimeError, match="away"):
        run(work, "tokens")
    assert counted("ada") == [("tokens", 5)]
    assert resolutions() == [("settled", "")]


@pytest.mark.parametrize("meter", ["tokens", "calls"])
def test_an_exception_before_anything_voids(run: Any, counted: Any, resolutions: Any, meter: str) -> None:
    with pytest.raises(RuntimeError):
        run(boom, meter)
    assert counted("ada") == []
    assert resolutions() == [("voided", "the action failed before anything was counted")]


@pytest.mark.parametrize(("added", "error"), [(None, RuntimeError), (5, LedgerError)])
def test_an_exception_while_the_ledger_is_away(
    run: Any, tally: Tally, resolutions: Any, added: int | None, error: Any
) -> None:
    """Usage that is lost comes first; where there is none, the application's own exception stays."""
    store = tally.ledger.store
    write = store.write

    def away(**_: Any) -> Any:
        raise LedgerError("the disk is full")

    def work(action: Any) -> None:
        if added:
            action.add(added)
        store.write = away  # type: ignore[method-assign]
        boom(action)

    with pytest.raises(error):
        run(work, "tokens")
    store.write = write  # type: ignore[method-assign]
    assert resolutions() == []
    assert [finding.code for finding in tally.findings] == (["unwritten_usage"] if added else [])


@pytest.mark.parametrize(
    ("quantity", "meter", "error"),
    [(1.5, None, QuantityError), (-1, None, QuantityError), (1, "tokns", UnknownMeterError)],
)
def test_an_unknown_quantity_leaves_the_hold_open(
    run: Any, tally: Tally, counted: Any, resolutions: Any, quantity: Any, meter: str | None, error: Any
) -> None:
    def work(action: Any) -> None:
        action.add(5)
        action.add(quantity, meter)

    with pytest.raises(error):
        run(work, "tokens")
    assert counted("ada") == [("tokens", 5)]
    assert resolutions() == []
    assert [finding.code for finding in tally.findings] == ["unmeasured_action"]
    assert "stays open" in tally.findings[0].message
    assert tally.finding_counts["unmeasured_action"] == 1


def test_set_puts_an_unknown_quantity_right(run: Any, tally: Tally, counted: Any, resolutions: Any) -> None:
    def work(action: Any) -> None:
        with pytest.raises(QuantityError):
            action.add(1.5)
        action.set(2)

    run(work, "tokens")
    assert counted("ada") == [("tokens", 2)]
    assert resolutions() == [("settled", "")]
    assert not tally.findings


def test_without_hold_only_usage_is_written(run: Any, tally: Tally, counted: Any, resolutions: Any) -> None:
    run(lambda action: action.add(1), "tokens", hold=False)
    run(lambda action: None, "pings")
    assert sorted(counted("ada")) == [("pings", 1), ("tokens", 1)]
    assert resolutions() == []


def test_the_hold_is_durable_before_the_work(run: Any, tally: Tally) -> None:
    seen = []

    def work(action: Any) -> None:
        tally.ledger.sequencer.run()
        seen.extend(tally.ledger.open_holds())

    run(work, "calls")
    assert [(hold.kind, hold.customer) for hold in seen] == [(Kind.HOLD, "ada")]
    tally.ledger.sequencer.run()
    assert tally.ledger.open_holds() == []


def test_a_redelivered_job_counts_once(run: Any, tally: Tally, counted: Any) -> None:
    first = run(lambda action: action.add(5), "tokens", key="render:1")
    again = run(lambda action: action.add(5), "tokens", key="render:1")
    assert counted("ada") == [("tokens", 5)]
    assert (first.repeated, again.repeated, again.conflicting) == (False, True, False)
    assert not tally.findings


def test_a_conflicting_repeat_keeps_the_first_and_is_found(run: Any, tally: Tally, counted: Any) -> None:
    run(lambda action: action.add(5), "tokens", key="render:1")
    again = run(lambda action: action.add(6), "tokens", key="render:1")
    assert counted("ada") == [("tokens", 5)]
    assert again.conflicting
    (finding,) = tally.findings
    assert finding.code == "key_conflict"
    assert "'render:1'" in finding.message
    assert "6 steps" in finding.message


def test_keys_belong_to_their_customer(tally: Tally, counted: Any) -> None:
    for customer in ("ada", "bob"):
        with tally.action("calls", customer=customer, key="same"):
            pass
    assert counted("ada") == counted("bob") == [("calls", 1)]


def test_a_hold_that_somebody_else_resolved_is_found(run: Any, tally: Tally, counted: Any) -> None:
    def work(action: Any) -> None:
        action.add(5)
        hold = action._hold
        tally.ledger.commit.run(
            (tally.ledger._piece(Posting((), Resolution(hold.lane, hold.entry, Outcome.VOIDED))),)
        )

    action = run(work, "tokens")
    assert action.posted.resolved_before.outcome is Outcome.VOIDED
    assert counted("ada") == []
    (finding,) = tally.findings
    assert finding.code == "late_settle"
    assert "5 steps of 'tokens'" in finding.message


@pytest.mark.parametrize("customer", [None, "", 1.0, True, b"x", "a" * 256, "a\0b", object()])
def test_a_customer_that_cannot_be_billed_is_refused_before_the_work(tally: Tally, customer: Any) -> None:
    with pytest.raises(ActionError, match="cannot be recorded"):
        tally.action("pings", customer=customer)


@pytest.mark.parametrize(("customer", "name"), [(42, "42"), (UUID(int=1), str(UUID(int=1)))])
def test_ids_of_other_types_are_customers(tally: Tally, counted: Any, customer: Any, name: str) -> None:
    with tally.action("calls", customer=customer):
        pass
    assert counted(name) == [("calls", 1)]


def test_attributes_without_exact_text_are_refused_before_the_work(tally: Tally) -> None:
    with pytest.raises(ActionError, match="is a float"):
        tally.action("calls", customer="ada", attributes={"size": 1.5})


def test_an_action_is_used_once(tally: Tally) -> None:
    action = tally.action("calls", customer="ada")
    with action:
        pass
    with pytest.raises(ActionError, match="is closed, not new"):
        action.__enter__()
    with pytest.raises(ActionError, match="is closed, not open"):
        action.add(1)


def test_opened_and_closed_by_hand(tally: Tally, counted: Any, resolutions: Any) -> None:
    async def work() -> None:
        action = await tally.aio.open("tokens", customer="ada")
        action.add(4)
        await action.close()

    asyncio.run(work())
    assert counted("ada") == [("tokens", 4)]
    assert resolutions() == [("settled", "")]


def test_blocking_an_event_loop_is_refused(tally: Tally, counted: Any) -> None:
    async def work() -> None:
        with (
            pytest.raises(ActionError, match="would block the event loop"),
            tally.action("calls", customer="ada"),
        ):
            pytest.fail("the body must not run")

    asyncio.run(work())
    assert counted("ada") == []


def test_an_action_never_entered_is_loud(tally: Tally) -> None:
    with pytest.warns(TallystickWarning, match="was never entered"):
        tally.action("calls", customer="ada")
    assert [finding.code for finding in tally.findings] == ["unended_action"]


def test_an_action_never_ended_is_loud(tally: Tally) -> None:
    with pytest.warns(TallystickWarning, match="was never ended"):
        asyncio.run(tally.aio.open("calls", customer="ada"))
    assert [finding.code for finding in tally.findings] == ["unended_action"]
