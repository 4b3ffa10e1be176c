"""The kit for users' own tests: the `tally` fixture, a frozen clock, rollback per test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from tallystick import Catalogue, Meter, Tally
from tallystick.values.instant import FrozenClock, to_datetime


@pytest.fixture
def tally_meters() -> Catalogue:
    return Catalogue([Meter("tokens", attributes=("model",))])


def test_records_on_a_ledger_of_its_own(tally: Tally) -> None:
    """Each test starts empty, sends nothing, and sees what was recorded."""
    tally.record("tokens", 5, customer="org", attributes={"model": "x"})
    [entry] = tally.entries(customer="org")
    assert (entry.quantity, entry.attributes) == (5, '{"model":"x"}')
    assert tally.provider is None


def test_the_clock_stands_still(frozen_clock: FrozenClock, tally: Tally) -> None:
    """Billing time is the frozen clock's."""
    for _ in range(2):
        tally.record("tokens", 1, customer="org")
        frozen_clock.advance(timedelta(days=1))
    days = tally.usage("org", "tokens", since=datetime(2026, 1, 1, tzinfo=UTC), by="day")
    assert [to_datetime(day.start).day for day in days] == [1, 2]


def test_rollback_per_test(tally: Tally, tally_store_url: str) -> None:
    """A test that runs inside a transaction and rolls it back leaves no entry."""
    engine = sa.create_engine(tally_store_url)
    sa.event.listen(engine, "connect", lambda raw, _: raw.execute("pragma synchronous=full"))
    with engine.connect() as connection:
        transaction = connection.begin()
        tally.record("tokens", 5, customer="org", on=connection)
        transaction.rollback()
    assert tally.entries(customer="org") == []
    engine.dispose()
