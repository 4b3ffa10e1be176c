"""pytest fixtures for applications that use tallystick.

`tally` is a temporary ledger without network. Override `tally_of_app` to give it the application's own
Tally, `tally_meters` for other meters than those of `tallystick.toml`, `tally_store_url` for another
database (durability is relaxed). `frozen_clock` stops the time; `tally_rolls_back` is for suites that
roll back each test's transaction. `stripe_sandbox` is a local Stripe of the test, `stripe_client` the official
client on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import stripe

    from tallystick.app import Tally
    from tallystick.meters import Catalogue
    from tallystick.sandbox import Sandbox
    from tallystick.sandbox.serving import Settings
    from tallystick.values.instant import FrozenClock


@pytest.fixture
def frozen_clock() -> FrozenClock:
    """A clock that stands still, for the ledger too, until `frozen_clock.advance(timedelta(...))`."""
    from tallystick.values.instant import FrozenClock

    return FrozenClock()


@pytest.fixture
def tally_meters(pytestconfig: pytest.Config) -> Catalogue:
    """The meters of `tallystick.toml` beside the pytest configuration."""
    from tallystick.meters.config import FILE, load

    return load(Path(pytestconfig.rootpath) / FILE).meters


@pytest.fixture
def tally_store_url(tmp_path: Path) -> str:
    """Where the temporary ledger lives: a SQLite file of this test."""
    return f"sqlite:///{tmp_path / 'tallystick.db'}"


@pytest.fixture
def tally_of_app() -> Any:
    """The application's own Tally, if its handlers use one: override this and return it."""
    return None


@pytest.fixture
def tally(request: pytest.FixtureRequest, tally_of_app: Any, tally_store_url: str) -> Iterator[Tally]:
    """A Tally on a temporary ledger; `tally.entries(customer=...)` says what was recorded."""
    from tallystick.testing.substitute import create, temporary

    clock = request.getfixturevalue("frozen_clock") if "frozen_clock" in request.fixturenames else None
    if tally_of_app is not None:
        with temporary(tally_of_app, tally_store_url, clock=clock) as substituted:
            yield substituted
        return
    with create(tally_store_url, request.getfixturevalue("tally_meters"), clock) as created:
        yield created


@pytest.fixture
def tally_rolls_back(tally: Tally) -> Iterator[Tally]:
    """For tests that roll back: a transaction given as `on=` may outlive its response.

    Read what rides on it with `tally.entries(customer=..., on=connection)`.
    """
    tally.lenient_gate = True
    yield tally
    tally.lenient_gate = False


@pytest.fixture
def stripe_sandbox_settings() -> Settings:
    """How the sandbox starts: override this for a frozen clock, faults, switches."""
    try:
        from tallystick.sandbox.serving import Settings
    except ModuleNotFoundError as error:
        words = f"the fixture stripe_sandbox needs {error.name}; pip install 'tallystick[sandbox]'"
        raise pytest.UsageError(words) from None
    return Settings()


@pytest.fixture
def stripe_sandbox(stripe_sandbox_settings: Settings) -> Iterator[Sandbox]:
    """A local Stripe in a process of its own, on free ports, ended with the test."""
    from tallystick.sandbox import Sandbox

    with Sandbox.start(stripe_sandbox_settings) as sandbox:
        yield sandbox


@pytest.fixture
def stripe_client(stripe_sandbox: Sandbox) -> stripe.StripeClient:
    """The official client, pointed at the sandbox; it repeats nothing by itself."""
    try:
        import stripe
    except ModuleNotFoundError:
        words = "the fixture stripe_client needs stripe; pip install 'tallystick[sandbox,stripe]'"
        raise pytest.UsageError(words) from None
    addresses: Any = {"api": stripe_sandbox.url, "meter_events": stripe_sandbox.url}
    return stripe.StripeClient("sk_test_of_the_sandbox", base_addresses=addresses)
