"""A Tally with a stopped clock that delivers to a real sandbox process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tallystick import Catalogue, Meter, Tally
from tallystick.meters.config import DeliverySettings
from tallystick.providers.stripe import StripeProvider
from tallystick.sandbox import Sandbox
from tallystick.sandbox.serving import Settings
from tallystick.storage import open_store
from tallystick.values.instant import FrozenClock

METERS = Catalogue([Meter("tokens", hold=False), Meter("gb", decimals=3, hold=False)])


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    earlier = int(datetime.now(UTC).timestamp()) - 4 * 3600  # subscribed before anything is used
    with Sandbox.start(Settings(frozen_at=earlier)) as made:
        prices = {meter.name: {"formula": "sum", "unit_amount_decimal": "1"} for meter in METERS}
        made.links = made.provision(meters=prices, customers=["ada", "bob"])["customers"]  # type: ignore[attr-defined]
        made.advance(4 * 3600)
        yield made


@pytest.fixture
def clock() -> FrozenClock:
    """The middle of an hour two hours ago: what these tests record lies in one window."""
    now = datetime.now(UTC) - timedelta(hours=2)
    return FrozenClock(now.replace(minute=20, second=0, microsecond=0))


@pytest.fixture
def tally(sandbox: Sandbox, store_url: str, clock: FrozenClock) -> Iterator[Tally]:
    provider = StripeProvider("sk_test_confirmation", base=sandbox.url, timeout_seconds=2)
    settings = DeliverySettings(inline=False, relay="process")
    store = open_store(store_url, auto_migrate=True)
    with Tally(store, METERS, provider=provider, delivery=settings, clock=clock) as made:
        made.links.link(sandbox.links)  # type: ignore[attr-defined]
        yield made


@pytest.fixture
def states(tally: Tally) -> Callable[[], list[tuple[str, int]]]:
    """State and quantity of every dispatch, straight from the table."""

    def read() -> list[tuple[str, int]]:
        with tally.ledger.store.read() as transaction:
            run = transaction._execute if hasattr(transaction, "_execute") else transaction._cursor.execute
            table = (
                "tallystick_dispatches" if tally.ledger.store.dialect == "sqlite" else "tallystick.dispatches"
            )
            return sorted(run(f"select state, quantity from {table}").fetchall())

    return read


@pytest.fixture
def counted(sandbox: Sandbox) -> Callable[[], Decimal]:
    """What the sandbox has added up for everybody."""
    return lambda: sum((Decimal(row["total"]) for row in sandbox.totals()), Decimal(0))
