"""Keys are rotated, refused and of the wrong mode: sending pauses, nothing is dropped, live and test stay apart."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tallystick import Tally
from tallystick.errors import ConfigError
from tallystick.meters.config import DeliverySettings
from tallystick.providers.choice import ProviderSettings, choose
from tallystick.providers.stripe import StripeProvider
from tallystick.sandbox import Sandbox
from tallystick.sandbox.serving import Settings
from tallystick.storage import open_store
from tallystick.values.instant import SECOND, FrozenClock
from tests.delivery.conftest import METERS

OLD, NEW, LIVE = "sk_test_old_key_0000", "sk_test_new_key_0000", "sk_live_new_key_0000"
START = 1_767_225_600


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start(Settings(frozen_at=START)) as made:
        yield made


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(OLD + "\n")
    return path


class Application:
    """A ledger whose key is in a file, on the sandbox's clock."""

    def __init__(self, sandbox: Sandbox, key_file: Path, store_url: str) -> None:
        environ = {"STRIPE_API_KEY_FILE": str(key_file), "STRIPE_API_BASE": sandbox.url}
        self.clock = FrozenClock(START * SECOND)
        self._sandbox = sandbox
        self.tally = Tally(
            open_store(store_url, auto_migrate=True),
            METERS,
            provider=choose(ProviderSettings(), "test", environ),
            delivery=DeliverySettings(inline=False, relay="process"),
            clock=self.clock,
        )
        prices = {"tokens": {"formula": "sum", "unit_amount_decimal": "1"}}
        names = [f"org_{n}" for n in range(20)]
        self.tally.links.link(sandbox.provision(meters=prices, customers=names)["customers"])

    def later(self) -> None:
        """A minute and a half later."""
        self.clock.advance(timedelta(seconds=90))
        self._sandbox.advance(90)
        self.tally.relay.drain()

    def fates(self, fate: str) -> int:
        """How many meter events met a fate so far."""
        rows = [r for r in self._sandbox.requests() if r["path"].endswith("/meter_events")]
        return sum(row["fate"] == fate for row in rows)

    def counted(self, mode: str = "test") -> Decimal:
        rows = self._sandbox.tell("totals", mode=mode)
        return sum((Decimal(row["total"]) for row in rows), Decimal(0))


@pytest.fixture
def application(sandbox: Sandbox, key_file: Path, store_url: str) -> Iterator[Application]:
    made = Application(sandbox, key_file, store_url)
    yield made
    made.tally.close()


def test_a_rotated_key_is_taken_up(application: Application, sandbox: Sandbox, key_file: Path) -> None:
    """401: sending pauses after one call, the alarm is given once; a new key in the file, and all is sent once."""
    tally = application.tally
    tally.record("tokens", 1, customer="org_0")
    tally.relay.drain()
    sandbox.fault(f"unauthorized key={OLD}")
    for n in range(20):
        tally.record("tokens", 1, customer=f"org_{n}")
    for _ in range(3):
        application.later()
    assert tally.finding_counts["key_refused"] == 1
    assert tally.status().in_delivery.keys() <= {"ready"}
    assert tally.status().parked == []
    assert 0 < application.fates("unauthorized") <= 3 * 8  # the calls in flight, not one for each customer
    key_file.write_text(NEW)
    for _ in range(30):
        application.later()
    assert tally.status().settled
    assert (tally.finding_counts["key_refused"], tally.finding_counts["key_accepted"]) == (1, 1)
    assert application.fates("answer") == application.counted() == 21


def test_a_live_key_is_not_taken_up_by_a_test_ledger(
    application: Application, sandbox: Sandbox, key_file: Path
) -> None:
    """Instead of the new key the file holds a live one: no call is made with it."""
    sandbox.fault(f"unauthorized key={OLD}")
    application.tally.record("tokens", 1, customer="org_0")
    application.later()
    key_file.write_text(LIVE)
    for _ in range(4):
        application.later()
    assert application.counted("test") == application.counted("live") == 0
    assert application.fates("answer") == 0
    first, second = [f.message for f in application.tally.findings if f.code == "key_refused"]
    assert "live and test never mix" not in first
    assert "live and test never mix" in second, "a mistake in mending it is said, too"
    assert "\n" not in second


@pytest.mark.parametrize("mode", ["test", "live"])
def test_a_key_of_the_other_mode_is_refused(mode: str, sqlite_url: str) -> None:
    """In the configuration, and in the constructor."""
    other = LIVE if mode == "test" else OLD
    with pytest.raises(ConfigError, match="live and test never mix"):
        choose(ProviderSettings(), mode, {"STRIPE_API_KEY": other})
    store = open_store(sqlite_url, auto_migrate=True)
    with pytest.raises(ConfigError, match="live and test never mix"):
        Tally(store, METERS, provider=StripeProvider(other), mode=mode)


def test_an_unreadable_key_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"STRIPE_API_KEY_FILE = .* cannot be read"):
        choose(ProviderSettings(), "test", {"STRIPE_API_KEY_FILE": str(tmp_path / "none")})
