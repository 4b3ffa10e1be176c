"""Streams: one settled entry per started action, however the stream ends."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tallystick import Catalogue, Meter, Tally
from tallystick.actions.action import State
from tallystick.meters import Expiry, StreamBills
from tallystick.storage import open_store
from tallystick.values.instant import FrozenClock

METERS = Catalogue(
    [
        Meter("tokens"),
        Meter("produced", stream_bills=StreamBills.PRODUCED, drain_seconds=1),
        Meter("estimated", on_expiry=Expiry.SETTLE, settle_at=1000),
    ]
)


@pytest.fixture
def tally(sqlite_url: str) -> Iterator[Tally]:
    """A real, durable ledger: streams end while the disk is waited for."""
    with Tally(open_store(sqlite_url), METERS) as made:
        yield made


async def parts(*values: Any) -> AsyncIterator[Any]:
    for value in values:
        await asyncio.sleep(0)
        if isinstance(value, Exception):
            raise value
        yield value


def given(*values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, Exception):
            raise value
        yield value


Run = Callable[..., list[Any]]


@pytest.fixture(params=["async", "sync"])
def run(request: pytest.FixtureRequest, tally: Tally) -> Run:
    """Stream values through an action, reading at most `read` of them; what arrived."""

    async def alike(*values: Any, meter: str = "tokens", read: int = 10**6, **options: Any) -> list[Any]:
        action = await tally.aio.open(meter, customer="org")
        stream = action.stream(parts(*values), count=lambda part: part, **options)
        got = []
        async for part in stream:
            got.append(part)
            if len(got) == read:
                await stream.aclose()  # type: ignore[attr-defined]
                break
        while tally._recorder.background:
            await asyncio.sleep(0)
        return got

    def sync(*values: Any, meter: str = "tokens", read: int = 10**6, **options: Any) -> list[Any]:
        stream = tally.open(meter, customer="org").stream(given(*values), count=lambda part: part, **options)
        got = []
        for part in stream:
            got.append(part)
            if len(got) == read:
                stream.close()  # type: ignore[attr-defined]
                break
        return got

    if request.param == "sync":
        return sync
    return lambda *values, **options: asyncio.run(alike(*values, **options))


def quantities(tally: Tally) -> list[int]:
    return [e.quantity for e in tally.entries(customer="org")]


@pytest.mark.parametrize(
    ("values", "cumulative", "total"),
    [
        ((1, 2, 3), False, [6]),
        ((1, None, 0, 3), False, [4]),
        ((0, 0), False, [0]),
        ((None, None), False, []),
        ((5, 9, 12), True, [12]),
        ((5, 9, 2, 4), True, [13]),
        ((5, 5, None), True, [5]),
    ],
)
def test_increments_and_running_totals(
    run: Run, tally: Tally, values: tuple[Any, ...], cumulative: bool, total: list[int]
) -> None:
    """None is no statement, zero is a zero, a running total may start again."""
    assert run(*values, cumulative=cumulative) == list(values)
    assert quantities(tally) == total
    assert tally.ledger.open_holds() == []


def test_parts_that_raise_record_what_came_before(run: Run, tally: Tally) -> None:
    """The upstream breaks off: what came before is billed."""
    with pytest.raises(ValueError, match="upstream"):
        run(1, 2, ValueError("upstream"))
    assert quantities(tally) == [3]
    assert tally.ledger.open_holds() == []


def test_a_wrong_quantity_does_not_break_the_stream(run: Run, tally: Tally) -> None:
    """The client gets its parts; the hold stays open, with a finding."""
    assert run(1, Decimal("0.5"), 2) == [1, Decimal("0.5"), 2]
    assert len(tally.ledger.open_holds()) == 1
    assert [f.code for f in tally.findings] == ["unmeasured_action"]


@pytest.mark.parametrize(("meter", "billed"), [("tokens", 3), ("produced", 15)])
def test_a_consumer_that_stops(run: Run, tally: Tally, meter: str, billed: int) -> None:
    """Delivered: what it came back after. Produced: all of it, because upstream does not stop."""
    assert run(1, 2, 3, 4, 5, meter=meter, read=3) == [1, 2, 3]
    assert quantities(tally) == [billed]
    assert tally.ledger.open_holds() == []


@pytest.mark.parametrize("meter", ["tokens", "produced"])
def test_a_break_before_any_quantity_is_known(run: Run, tally: Tally, meter: str) -> None:
    """Usage told only by the last part, which did not come: not zero, not void, but for a person."""
    run(None, None, ValueError("upstream") if meter == "produced" else None, 7, meter=meter, read=2)
    assert quantities(tally) == []
    assert len(tally.ledger.open_holds()) == 1
    assert "before any part told a quantity" in tally.findings[0].message


def test_upstream_fails_while_it_is_read_on(run: Run, tally: Tally) -> None:
    run(1, 2, 3, ValueError("upstream"), meter="produced", read=1)
    assert quantities(tally) == [6]
    assert tally.ledger.open_holds() == []


def test_the_consumer_of_a_produced_stream_sees_the_error(run: Run, tally: Tally) -> None:
    with pytest.raises(ValueError, match="upstream"):
        run(1, 2, ValueError("upstream"), meter="produced")
    assert quantities(tally) == [3]


def test_reading_on_has_a_cap(tally: Tally) -> None:
    """Upstream never ends: after the cap what came until then is billed."""

    async def endless() -> AsyncIterator[int]:
        while True:
            yield 1
            await asyncio.sleep(0.01)

    async def main() -> None:
        action = await tally.aio.open("produced", customer="org")
        stream = action.stream(endless(), count=lambda part: part)
        assert await anext(stream) == 1
        await stream.aclose()  # type: ignore[attr-defined]
        while tally._recorder.background:
            await asyncio.wait(set(tally._recorder.background))

    asyncio.run(main())
    assert len(quantities(tally)) == 1
    assert 2 <= quantities(tally)[0] <= 101
    assert tally.ledger.open_holds() == []


def test_a_synchronous_stream_dropped_on_an_event_loop(tally: Tally) -> None:
    """The garbage collector closes it on the loop's thread, which must not wait for a disk."""

    async def main() -> None:
        action = await tally.aio.open("tokens", customer="org")
        stream = action.stream(iter([1, 2, 3]), count=lambda part: part)
        assert [next(stream), next(stream)] == [1, 2]
        del stream
        gc.collect()
        while tally.ledger.open_holds():
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(main(), 30))
    assert quantities(tally) == [1]


def test_a_cancelled_consumer(tally: Tally) -> None:
    """As a server that stops: cancelled while it waits for the next part."""

    async def main(meter: str) -> None:
        never = asyncio.Event()

        async def upstream() -> AsyncIterator[int]:
            yield 5
            await never.wait()
            yield 6

        action = await tally.aio.open(meter, customer=meter)
        stream = action.stream(upstream(), count=lambda part: part)

        async def read() -> None:
            async for _ in stream:
                pass

        task = asyncio.create_task(read())
        while not action._steps:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        never.set()
        while tally.ledger.open_holds():
            await asyncio.sleep(0.001)

    asyncio.run(main("tokens"))
    asyncio.run(main("produced"))
    assert [e.quantity for e in tally.entries(customer="tokens")] == [5]
    assert [e.quantity for e in tally.entries(customer="produced")] == [11]


# Checkpoints


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_checkpoints_are_known_after_the_process_is_gone(sqlite_url: str, kind: str) -> None:
    """Each part takes two seconds, a checkpoint is due after five; then the process is forgotten."""
    clock = FrozenClock()
    tally = Tally(open_store(sqlite_url), METERS, clock=clock)

    def slow() -> Iterator[int]:
        for _ in range(10):
            clock.advance(timedelta(seconds=2))
            yield 10

    async def slowly() -> AsyncIterator[int]:
        for part in slow():
            yield part

    async def vanish() -> None:
        action = await tally.aio.open("estimated", customer="org", key="job 1")
        stream = action.stream(slowly(), count=lambda part: part)
        for _ in range(9):
            await anext(stream)
        action._recorder.drive_async = _nothing  # type: ignore[method-assign]
        action._state = State.CLOSED

    def vanish_now() -> None:
        action = tally.open("estimated", customer="org", key="job 1")
        stream = action.stream(slow(), count=lambda part: part)
        for _ in range(9):
            next(stream)
        action._recorder.drive = lambda flow: None  # type: ignore[method-assign,assignment,return-value]
        action._state = State.CLOSED

    if kind == "async":
        asyncio.run(vanish())
    else:
        vanish_now()
    tally.close()
    with Tally(open_store(sqlite_url), METERS, clock=clock) as again:
        (hold,) = again.holds.open()
        assert again.holds.progress([hold]) == {hold.id: 60}
        again.ledger.sequencer.run()
        clock.advance(timedelta(hours=2))
        again.expirer.run()
        assert quantities(again) == [60], "the checkpoint stands in place of the estimate"


async def _nothing(flow: Any) -> None:
    return None


KILLED = """
import sys, os, signal
from tallystick import Catalogue, Meter, Tally
from tallystick.storage import open_store
from tallystick.values.instant import SECOND, SystemClock

class Clock(SystemClock):
    asked = 0
    def elapsed(self):
        self.asked += 1
        return self.asked * SECOND

meters = Catalogue([Meter("tokens", checkpoint_seconds=1)])
tally = Tally(open_store(sys.argv[1]), meters, clock=Clock())
def parts():
    while True:
        yield 1
action = tally.open("tokens", customer="org")
for number, part in enumerate(action.stream(parts(), count=lambda part: part)):
    if number == 500:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_stream_that_is_killed_leaves_its_last_checkpoint(tally: Tally, sqlite_url: str) -> None:
    subprocess.run([sys.executable, "-c", KILLED, sqlite_url], check=False, timeout=60)
    (hold,) = tally.holds.open()
    assert 490 <= tally.holds.progress([hold])[hold.id] <= 500
    tally.holds.settle(hold.id, 499, reason="its last checkpoint", by="Grace")
    tally.ledger.sequencer.run()
    assert quantities(tally) == [499]
