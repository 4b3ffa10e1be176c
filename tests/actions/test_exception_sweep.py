"""The exception sweep: raise at every line of a metered handler; no entry without its action, and the reverse."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from types import FrameType
from typing import Any

import pytest

from tallystick import Catalogue, Formula, Meter, Tally
from tallystick.storage import open_store

METERS = Catalogue([Meter("tokens"), Meter("calls", formula=Formula.COUNT), Meter("rows", hold=False)])


class Struck(Exception):
    """Raised by the sweep, at the start of a line."""


class Lines:
    """Raises at the n-th line that a function's own code comes to."""

    def __init__(self, function: Callable[..., Any], strike: int) -> None:
        self._code = function.__code__
        self._left = strike
        self.struck_at: int | None = None

    def __enter__(self) -> Lines:
        sys.settrace(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _called(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._line if frame.f_code is self._code else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line" and self.struck_at is None:
            self._left -= 1
            if self._left < 0:
                self.struck_at = frame.f_lineno
                raise Struck(f"line {frame.f_lineno}")
        return self._line


@pytest.fixture
def tally(sqlite_url: str) -> Iterator[Tally]:
    with Tally(open_store(sqlite_url), METERS) as made:
        yield made


def sweep(function: Callable[..., Any], call: Callable[[int], Any]) -> Iterator[tuple[int, int | None]]:
    """Call again and again, struck one line later each time, until it comes through; at least five lines."""
    for strike in range(200):
        lines = Lines(function, strike)
        try:
            with lines:
                call(strike)
        except Struck:
            pass
        yield strike, lines.struck_at
        if lines.struck_at is None:
            assert strike >= 5, "the function has hardly any lines; was it traced?"
            return
    raise AssertionError("the function never came through")


def used(tally: Tally, customer: str, meter: str) -> int:
    return sum(e.quantity for e in tally.entries(customer=customer, meter=meter))


def check(tally: Tally, customer: str, produced: int, where: str) -> None:
    """All of it is recorded, or its hold is open, listed, and told of: struck after the block, before its end."""
    gc.collect()
    recorded, waiting = used(tally, customer, "tokens"), tally.ledger.open_holds()
    if not waiting:
        assert recorded == produced, where
        return
    assert recorded == 0, where
    (hold,) = waiting
    assert ("unended_action", customer) in {(f.code, f.subject) for f in tally.findings}
    tally.holds.settle(hold.id, produced, reason="the process was interrupted", by="the sweep")


pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def test_with_an_action(tally: Tally) -> None:
    """What was produced is counted on the line that produced it; nothing more, nothing less is recorded."""
    work: dict[str, int] = {}

    def produce(customer: str, amount: int) -> int:
        work[customer] = work.get(customer, 0) + amount
        return amount

    def handler(customer: str) -> str:
        prompt = "a prompt"
        with tally.action("tokens", customer=customer) as action:
            answer = prompt.upper()
            action.add(produce(customer, 3))
            for part in (5, 7):
                action.add(produce(customer, part))
            answer = answer.lower()
            action.add(produce(customer, 11))
        return answer

    for strike, at in sweep(handler, lambda n: handler(f"org_{n}")):
        check(tally, f"org_{strike}", work.get(f"org_{strike}", 0), f"struck at line {at}")


def test_with_an_asynchronous_action(tally: Tally) -> None:
    work: dict[str, int] = {}

    async def produce(customer: str, amount: int) -> int:
        await asyncio.sleep(0)
        work[customer] = work.get(customer, 0) + amount
        return amount

    async def handler(customer: str) -> str:
        prompt = "a prompt"
        async with tally.action("tokens", customer=customer) as action:
            answer = prompt.upper()
            action.add(await produce(customer, 3))
            for part in (5, 7):
                action.add(await produce(customer, part))
            answer = answer.lower()
            action.add(await produce(customer, 11))
        return answer

    for strike, at in sweep(handler, lambda n: asyncio.run(handler(f"org_{n}"))):
        check(tally, f"org_{strike}", work.get(f"org_{strike}", 0), f"struck at line {at}")


def test_under_the_decorator(tally: Tally) -> None:
    """The quantity is the result's: a handler that did not return has not done its action."""

    @tally.metered(
        "tokens", customer=lambda customer: customer, quantity=lambda result: result, untrusted_ok="test"
    )
    def handler(customer: str) -> int:
        total = 0
        for part in (5, 7):
            total += part
        total += 11
        return total

    inner = handler.__wrapped__  # type: ignore[attr-defined]
    for strike, at in sweep(inner, lambda n: handler(f"org_{n}")):
        expected = 0 if at is not None else 23
        assert used(tally, f"org_{strike}", "tokens") == expected, f"struck at line {at}"
        assert tally.ledger.open_holds() == []


def test_on_the_applications_transaction(tally: Tally, sqlite_url: str) -> None:
    """Both rows or neither, wherever it breaks off."""
    path = sqlite_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as made:
        made.execute("create table documents (owner text, pages integer)")
        made.commit()

    def handler(owner: str) -> int:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("pragma synchronous=full")
        try:
            connection.execute("begin immediate")
            connection.execute("insert into documents values (?, 4)", (owner,))
            pages = 4
            tally.record("rows", pages, customer=owner, on=connection)
            pages += 0
            connection.execute("commit")
        except BaseException:
            connection.rollback()
            raise
        finally:
            connection.close()
        return pages

    for strike, at in sweep(handler, lambda n: handler(f"org_{n}")):
        with closing(sqlite3.connect(path)) as reading:
            owner = f"org_{strike}"
            [(pages,)] = reading.execute(
                "select coalesce(sum(pages), 0) from documents where owner = ?", (owner,)
            ).fetchall()
        assert used(tally, owner, "rows") == pages, f"struck at line {at}"
