"""Metered work inside metered work counts once, and is never lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tallystick import Tally
from tallystick.errors import DeclarationError

Counted = Callable[[str], list[tuple[str, int]]]


def inner(tally: Tally, quantity: Any = 5, **options: Any) -> Any:
    """A metered function of some library, called within metered work."""

    @tally.metered("tokens", customer=lambda: "org", quantity=lambda result: result, **options)
    def call() -> Any:
        if isinstance(quantity, Exception):
            raise quantity
        return quantity

    return call


def test_the_outer_count_stands(tally: Tally, counted: Counted) -> None:
    """The endpoint measures what its function measured too: one entry, one hold."""
    with tally.action("tokens", customer="org") as action:
        assert inner(tally)() == 5
        action.add(7)
    assert counted("org") == [("tokens", 7)]
    assert tally.ledger.open_holds() == []


def test_an_outer_action_that_counts_nothing_takes_what_the_inner_ones_counted(
    tally: Tally, counted: Counted
) -> None:
    with tally.action("tokens", customer="org"):
        inner(tally)()
        inner(tally, 6)()
    assert counted("org") == [("tokens", 11)]


def test_an_explicit_zero_of_the_outer_one_stands(tally: Tally, counted: Counted) -> None:
    with tally.action("tokens", customer="org") as action:
        inner(tally)()
        action.set(0)
    assert counted("org") == [("tokens", 0)]


def test_inner_work_is_recorded_when_the_outer_fails(tally: Tally, counted: Counted) -> None:
    def outer() -> None:
        with tally.action("tokens", customer="org"):
            inner(tally)()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        outer()
    assert counted("org") == [("tokens", 5)]


def test_a_void_of_the_outer_one_is_the_last_word(tally: Tally, counted: Counted) -> None:
    with tally.action("tokens", customer="org") as action:
        inner(tally)()
        action.void("a trial")
    assert counted("org") == []
    assert tally.ledger.open_holds() == []


def test_counts_count_once_through_three_levels(tally: Tally, counted: Counted) -> None:
    @tally.metered("calls", customer=lambda: "org")
    def innermost() -> None:
        pass

    @tally.metered("calls", customer=lambda: "org")
    def middle() -> None:
        innermost()

    with tally.action("calls", customer="org"):
        middle()
    middle()
    assert counted("org") == [("calls", 1), ("calls", 1)]
    assert tally.ledger.open_holds() == []


def test_an_unmeasured_inner_one_leaves_the_outer_hold_open(tally: Tally, counted: Counted) -> None:
    """Nobody knows what was used, and the outer action does not say either."""
    with tally.action("tokens", customer="org"), pytest.raises(ValueError, match="is a float"):
        inner(tally, 0.5)()
    assert counted("org") == []
    assert len(tally.ledger.open_holds()) == 1
    assert {finding.code for finding in tally.findings} == {"unmeasured_action"}


@pytest.mark.parametrize(
    "options", [{"nested": "apart"}, {"key": lambda: "document:1"}], ids=["apart", "a_key_of_its_own"]
)
def test_both_count_where_that_is_asked(tally: Tally, counted: Counted, options: dict[str, Any]) -> None:
    with tally.action("tokens", customer="org", key="job:1") as action:
        inner(tally, **options)()
        action.add(7)
    assert sorted(counted("org")) == [("tokens", 5), ("tokens", 7)]


def test_another_customer_and_another_meter_count_by_themselves(tally: Tally, counted: Counted) -> None:
    @tally.metered("tokens", customer=lambda: "other", quantity=3)
    def other() -> None:
        pass

    @tally.metered("gigabytes", customer=lambda: "org", quantity=2)
    def storage() -> None:
        pass

    with tally.action("tokens", customer="org") as action:
        other()
        storage()
        action.add(7)
    assert sorted(counted("org")) == [("gigabytes", 2000), ("tokens", 7)]
    assert counted("other") == [("tokens", 3)]


def test_what_an_inner_one_counts_on_other_meters_is_its_own(tally: Tally, counted: Counted) -> None:
    with tally.action("tokens", customer="org") as action:
        inner(tally, {"tokens": 5, "gigabytes": 2})()
        action.add(7)
    assert sorted(counted("org")) == [("gigabytes", 2000), ("tokens", 7)]


def test_one_after_the_other_is_not_nested(tally: Tally, counted: Counted) -> None:
    for _ in range(2):
        inner(tally)()
    assert counted("org") == [("tokens", 5), ("tokens", 5)]


def test_tasks_and_threads_within_a_block_are_inside_it(tally: Tally, counted: Counted) -> None:
    """They inherit the context; what outlives the block counts by itself."""

    async def main() -> None:
        begin, end = asyncio.Event(), asyncio.Event()

        @tally.metered("tokens", customer=lambda: "org", quantity=5)
        async def work() -> None:
            begin.set()
            await end.wait()

        async with tally.action("tokens", customer="org") as action:
            late = asyncio.create_task(work())
            await asyncio.to_thread(inner(tally))
            action.add(7)
            await begin.wait()
        end.set()
        await late

    asyncio.run(main())
    assert counted("org") == [("tokens", 7), ("tokens", 5)]


def test_actions_that_are_written_out_stand_for_themselves(tally: Tally, counted: Counted) -> None:
    async def opened() -> None:
        async with tally.action("tokens", customer="org") as action:
            stream = await tally.aio.open("tokens", customer="org")
            stream.add(1)
            await stream.close()
            async with tally.action("tokens", customer="org") as another:
                another.add(2)
            action.add(3)

    asyncio.run(opened())
    assert counted("org") == [("tokens", 1), ("tokens", 2), ("tokens", 3)]


def test_a_thread_of_its_own_is_no_inner_work(tally: Tally, counted: Counted) -> None:
    with tally.action("tokens", customer="org") as action:
        thread = threading.Thread(target=inner(tally))
        thread.start()
        thread.join()
        action.add(7)
    assert counted("org") == [("tokens", 5), ("tokens", 7)]


def test_an_unknown_word_is_refused(tally: Tally) -> None:
    with pytest.raises(DeclarationError, match="nested='twice'"):
        inner(tally, nested="twice")
