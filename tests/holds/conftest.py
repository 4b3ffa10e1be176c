"""A Tally on each dialect, with a stopped clock and a meter of each expiry policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from tallystick import Catalogue, Formula, Meter, Tally
from tallystick.meters import Expiry
from tallystick.storage import open_store
from tallystick.values.instant import FrozenClock

METERS = Catalogue(
    [
        Meter("reviewed"),
        Meter("voided", on_expiry=Expiry.VOID),
        Meter("estimated", on_expiry=Expiry.SETTLE, settle_at=100, attributes=("model",)),
        Meter("quick", on_expiry=Expiry.VOID, hold_seconds=60),
        Meter("other", formula=Formula.COUNT),
    ]
)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def tally(store_url: str, clock: FrozenClock) -> Iterator[Tally]:
    with Tally(open_store(store_url, auto_migrate=True), METERS, clock=clock) as made:
        yield made


@pytest.fixture
def pass_time(tally: Tally, clock: FrozenClock) -> Callable[..., int]:
    """Let time pass, sequence, and sweep; how many holds the sweep looked at."""

    def later(**passed: Any) -> int:
        tally.ledger.sequencer.run()
        clock.advance(timedelta(**passed))
        return tally.expirer.run()

    return later


@pytest.fixture
def abandon(tally: Tally) -> Callable[..., Any]:
    """Open an action as a process does that is killed afterwards; the action, its hold durable."""

    def open_(meter: str, **rest: Any) -> Any:
        return tally.action(meter, customer="ada", **rest).__enter__()

    return open_


@pytest.fixture
def billed(tally: Tally) -> Callable[[], dict[str, int]]:
    """Steps of the customer by meter, corrections included, as usage() says; checked against the entries."""

    def read() -> dict[str, int]:
        tally.ledger.sequencer.run()
        said = {m.name: int(sum(u.quantity for u in tally.usage("ada", m.name))) for m in METERS}
        raw: dict[str, int] = {}
        for entry in tally.entries(customer="ada"):
            raw[entry.meter] = raw.get(entry.meter, 0) + entry.quantity
        found = {name: steps for name, steps in said.items() if steps}
        assert found == {name: steps for name, steps in raw.items() if steps}
        return found

    return read
