"""Who may send, for whom, until when: found wanting by the simulation, and kept here in small."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tallystick import Tally
from tallystick.errors import LedgerBusyError
from tallystick.providers.stripe import StripeProvider
from tallystick.sandbox import Sandbox
from tallystick.storage import open_store
from tallystick.values.instant import FrozenClock
from tests.delivery.conftest import CUSTOMERS, KEY, METERS
from tests.delivery.test_delivery import provider_totals

Make = Callable[..., Tally]


def test_a_relay_sees_only_its_own_mode(make: Make, sandbox: Sandbox, store_url: str) -> None:
    """T11: live usage in the same database is neither sent with a test key nor waited for."""
    tally = make()
    with Tally(open_store(store_url), METERS, mode="live") as live:
        live.links.link(sandbox.links)  # type: ignore[attr-defined]
        live.record("tokens", 7, customer="org_a")
        tally.record("tokens", 5, customer="org_a")
        assert tally.relay is not None
        assert tally.relay.drain(wait_seconds=5).entries == 1
        assert provider_totals(sandbox) == {("org_a", "tokens"): 5}
        assert live.status().undelivered == 1


def test_two_modes_have_a_relay_each(make: Make, store_url: str) -> None:
    """The relay of one mode does not keep the other's from working."""
    tally = make()
    provider = StripeProvider("sk_live_nothing_is_sent", base="http://127.0.0.1:9")
    with Tally(open_store(store_url), METERS, mode="live", provider=provider) as live:
        assert tally.relay is not None
        assert live.relay is not None
        assert tally.relay._hold_lease()
        assert live.relay._hold_lease()


def test_a_courier_outlives_a_locked_database(
    make: Make, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers that cannot be written down end their turn, not the thread that had it."""
    tally = make(inline=True)
    write, failures = tally.sender.write, iter(range(8))  # type: ignore[union-attr]

    def locked_at_first(answered: Any) -> None:
        if next(failures, None) is not None:
            raise LedgerBusyError("locked")
        write(answered)

    monkeypatch.setattr(tally.sender, "write", locked_at_first)
    places = [(meter.name, customer) for meter in METERS for customer in CUSTOMERS]
    for meter, customer in places[:8]:
        tally.record(meter, 1, customer=customer)
    meter, customer = places[8]
    tally.record(meter, 3, customer=customer)
    assert provider_totals(sandbox)[customer, meter] == 3


class TwoClocks(FrozenClock):
    """A wall clock that can be set, beside a monotonic one that only runs on."""

    def __init__(self) -> None:
        super().__init__()
        self.run = 0

    def elapsed(self) -> int:
        """The monotonic clock."""
        return self.run


def test_a_clock_set_back_does_not_lengthen_a_slot(tmp_path: Path) -> None:
    """A sender that stood still for longer than its slot lasts may not send, whatever the wall clock says."""
    clock = TwoClocks()
    provider = StripeProvider(KEY, base="http://127.0.0.1:9")
    store = open_store(f"sqlite:///{tmp_path / 'ledger.db'}", relaxed=True)
    with Tally(store, METERS, provider=provider, clock=clock) as tally:
        sender = tally.sender
        assert sender is not None
        tally.courier.close()  # type: ignore[union-attr]
        posted = tally.record("tokens", 5, customer="org_a")
        [entry] = posted.entries
        key = sender.slot_key(entry.lane, "default", "test", "cus_a", "tokens")
        [attempt] = sender.claim({key: [(entry.lane, entry.entry)]})
        still_ours = sender._still_ours(attempt)
        assert still_ours()
        clock.advance(timedelta(hours=-1))
        clock.run += 31_000_000
        assert not still_ours()
