"""The clock that stamps entries against the provider's Date: a real sandbox, both stores."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tallystick import Catalogue, Meter, Tally
from tallystick.errors import ProviderError
from tallystick.providers.stripe import StripeProvider
from tallystick.providers.transport import second_of
from tallystick.reconciliation.clocks import Clocks
from tallystick.sandbox import Sandbox
from tallystick.storage import open_store
from tallystick.values.instant import SECOND, SystemClock
from tests.delivery.world import World, billed

METERS = Catalogue([Meter("tokens", hold=False)])


@pytest.fixture
def world(store_url: str) -> Iterator[World]:
    with billed(store_url, METERS, 1_767_225_600, formula="sum") as made:
        yield made


def test_it_is_told_once_until_it_is_right_again(world: World) -> None:
    """A minute is nothing, more is a finding; an hour later it is none; then it is one again, and kept as one."""
    found = []
    for passed_there in (0, 3600 + 60, 3600 + 1, 3600, 3600 - 61, 3600 - 61, 3600, 3600):
        world.sandbox.advance(passed_there)
        world.clock.advance(timedelta(hours=bool(passed_there)))
        world.tally.relay.step()
        world.tally.relay.step()
        found.append(world.tally.finding_counts["clock_skew"])
    assert found == [0, 0, 1, 1, 1, 2, 2, 2], "60, 61, 61, 0, -61 s"


class Wrong(SystemClock):
    """A machine's clock that is ten minutes ahead."""

    def now(self) -> int:
        return super().now() + 600 * SECOND


def test_the_clock_that_counts_is_the_one_that_stamps(store_url: str) -> None:
    """The application's is wrong: that matters on SQLite, where it stamps; PostgreSQL stamps by its own."""
    with Sandbox.start() as sandbox:
        provider = StripeProvider("sk_test_clocks", base=sandbox.url)
        store = open_store(store_url, auto_migrate=True)
        with Tally(store, METERS, provider=provider, clock=Wrong()) as tally:
            stamped = tally.record("tokens", 1, customer="ada").entries[0]
            ahead = tally.ledger.find((stamped.lane, stamped.entry)).recorded_at - SystemClock().now()  # type: ignore[union-attr]
            check = Clocks(tally.ledger, provider, tally.find).check()
            assert check.ok == (ahead < 60 * SECOND) == (store.dialect == "postgres")
            assert check.ok or check.message.startswith(
                ("the ledger's clock is 599 s", "the ledger's clock is 600 s")
            )
            assert check.ok != bool(check.fix)


def test_a_slow_answer_is_no_skew(world: World) -> None:
    """The clocks are read on both sides of the call: what passes meanwhile is not held against either."""
    assert world.tally.provider is not None
    clocks = Clocks(world.tally.ledger, world.tally.provider, world.tally.find)
    ask = world.tally.provider.time

    def slow() -> int | None:
        world.clock.advance(timedelta(seconds=300))
        return ask()

    world.tally.provider.time = slow  # type: ignore[method-assign]
    world.sandbox.advance(150)
    assert clocks.check().ok
    world.sandbox.advance(600)
    assert not clocks.check().ok


def test_a_provider_that_is_away_or_says_nothing(world: World) -> None:
    """Neither is a finding; a refused key says what time it is all the same."""
    assert world.tally.provider is not None
    clocks = Clocks(world.tally.ledger, world.tally.provider, world.tally.find)
    refused = StripeProvider("sk_test_x", base=world.sandbox.url)
    assert refused.time() == world.tally.provider.time() == world.clock.now() // SECOND
    for text in ("", "noon", "Thu, 01 Jan 2026 00:00:00 -0000"):
        assert second_of({"date": text}) is None
    world.sandbox.outage()
    assert clocks.chore() == 0
    with pytest.raises(ProviderError, match="cannot be asked"):
        clocks.check()
