"""pytest fixtures for applications that use tallystick: a ledger of the test's own, and a clock that stands still.

The `tally` fixture has the meters of the project's `tallystick.toml`, a temporary SQLite ledger whose
durability is relaxed, and no provider: nothing leaves the machine. Override `tally_store` with the URL
of the application's test database where entries ride on its transactions, `tally_config` for another file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

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
def tally(tally_config: Path, tally_store: str, frozen_clock: FrozenClock) -> Iterator[Tally]:
    """A Tally of the test's own; look at what was recorded with `tally.entries(customer=…)`."""
    from tallystick.app import Tally
    from tallystick.meters.config import load
    from tallystick.storage import open_store

    settings = load(tally_config)
    store = open_store(tally_store, relaxed=True, auto_migrate=True)
    with Tally(store, settings.meters, tenant=settings.tenant, clock=frozen_clock) as made:
        yield made
