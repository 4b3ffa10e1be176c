"""pytest fixtures for applications that use tallystick: a ledger of the test's own, and a clock that stands still.

The `tally` fixture has the meters of the project's `tallystick.toml`, a temporary SQLite ledger whose
durability is relaxed, and no provider: nothing leaves the machine. Override `tally_store` with the URL
of the application's test database where entries ride on its transactions, `tally_config` for another file,
`tally_of_app` with the application's own Tally where its handlers are decorated with one. `tally_rolls_back`
is for suites that roll back each test's transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tallystick.app import Tally
    from tallystick.values.instant import FrozenClock


@pytest.fixture
def tally_config(pytestconfig: pytest.Config) -> Path:
    """The configuration file: tallystick.toml in pytest's root folder."""
    return pytestconfig.rootpath / "tallystick.toml"


@pytest.fixture
def tally_store(tmp_path: Path) -> str:
    """URL of the test's ledger: a new SQLite file."""
    return f"sqlite:///{tmp_path / 'tallystick.db'}"


@pytest.fixture
def frozen_clock() -> FrozenClock:
    """A clock that stands still until `advance`d; it stamps the entries of the `tally` fixture."""
    from tallystick.values.instant import FrozenClock

    return FrozenClock()


@pytest.fixture
def tally_of_app() -> Any:
    """The application's own Tally, to be pointed to the test's ledger: override this and return it."""
    return None


@pytest.fixture
def tally(
    request: pytest.FixtureRequest, tally_of_app: Any, tally_store: str, frozen_clock: FrozenClock
) -> Iterator[Tally]:
    """A Tally of the test's own; look at what was recorded with `tally.entries(customer=…)`."""
    from tallystick.app import Tally
    from tallystick.meters.config import load
    from tallystick.storage import open_store
    from tallystick.testing.substitute import temporary

    if tally_of_app is not None:
        with temporary(tally_of_app, tally_store, clock=frozen_clock) as substituted:
            yield substituted
        return
    settings = load(request.getfixturevalue("tally_config"))
    store = open_store(tally_store, relaxed=True, auto_migrate=True)
    with Tally(store, settings.meters, tenant=settings.tenant, clock=frozen_clock) as made:
        yield made


@pytest.fixture
def tally_rolls_back(tally: Tally) -> Iterator[Tally]:
    """For tests that roll back: a transaction given as `on=` may outlive its response.

    Read what rides on it with `tally.entries(customer=…, on=connection)`.
    """
    tally.lenient_gate = True
    yield tally
    tally.lenient_gate = False
