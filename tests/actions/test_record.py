"""`tally.record`, its awaitable twin, and records that nobody awaited."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tallystick.app import Tally
from tallystick.errors import ActionError, QuantityError, TallystickWarning
from tallystick.values.instant import FrozenClock, from_datetime


def test_a_record_is_durable_when_it_returns(tally: Tally, counted: Any) -> None:
    posted = tally.record("gigabytes", Decimal("1.5"), customer="ada", attributes={"b": 1, "a": "x"})
    assert counted("ada") == [("gigabytes", 1500)]
    (entry,) = tally.entries(customer="ada")
    assert entry.id == posted.entries[0].id
    assert entry.attributes == '{"a":"x","b":1}'


def test_times(tally: Tally, frozen_clock: FrozenClock) -> None:
    frozen_clock.advance(timedelta(hours=1))
    happened = datetime(2020, 1, 1, tzinfo=UTC)
    tally.record("pings", customer="ada", at=happened)
    (entry,) = tally.entries(customer="ada")
    assert entry.occurred_at == from_datetime(happened)
    assert entry.recorded_at == frozen_clock.now()


@pytest.mark.parametrize("quantity", [1.0, True, "1", -1, Decimal("0.0001"), Decimal("nan"), 1001, None])
def test_quantities_that_are_not_exact_or_in_bounds(tally: Tally, counted: Any, quantity: Any) -> None:
    with pytest.raises(QuantityError, match="meter 'gigabytes'"):
        tally.record("gigabytes", quantity, customer="ada")
    assert counted("ada") == []


def test_keys_count_once(tally: Tally, counted: Any) -> None:
    first = tally.record("tokens", 5, customer="ada", key="k")
    again = tally.record("tokens", 5, customer="ada", key="k")
    other = tally.record("tokens", 6, customer="ada", key="k")
    assert counted("ada") == [("tokens", 5)]
    assert again.entries[0].id == other.entries[0].id == first.entries[0].id
    assert (again.repeated, again.conflicting, other.conflicting) == ((0,), (), (0,))
    assert [finding.code for finding in tally.findings] == ["key_conflict"]


def test_many(tally: Tally, counted: Any) -> None:
    rows = [{"meter": "tokens", "quantity": n, "customer": "ada", "key": f"k{n % 3}"} for n in range(3)]
    tally.record_many(rows)
    asyncio.run(tally.aio.record_many(rows))
    assert sorted(counted("ada")) == [("tokens", 0), ("tokens", 1), ("tokens", 2)]
    tally.record_many([{**rows[0], "quantity": 9}])
    assert [finding.code for finding in tally.findings] == ["key_conflict"]


def test_awaited(tally: Tally, counted: Any) -> None:
    async def work() -> None:
        await tally.aio.record("tokens", 1, customer="ada")
        await asyncio.gather(*[tally.aio.record("tokens", 1, customer="ada") for _ in range(3)])

    asyncio.run(work())
    assert counted("ada") == [("tokens", 1)] * 4


@pytest.mark.parametrize("call", ["record", "record_many"])
def test_blocking_an_event_loop_is_refused(tally: Tally, counted: Any, call: str) -> None:
    calls = {
        "record": lambda: tally.record("calls", customer="ada"),
        "record_many": lambda: tally.record_many([{"meter": "calls", "customer": "ada"}]),
    }

    async def work() -> None:
        with pytest.raises(ActionError, match=r"await tally\.aio\.record"):
            calls[call]()

    asyncio.run(work())
    assert counted("ada") == []


def test_never_awaited_is_loud(tally: Tally, counted: Any) -> None:
    async def work() -> None:
        tally.aio.record("tokens", 1, customer="ada")

    with pytest.warns(TallystickWarning, match="was never awaited: nothing was recorded"):
        asyncio.run(work())
    assert counted("ada") == []
    assert [finding.code for finding in tally.findings] == ["never_awaited"]
