"""A ledger on each dialect, and entries to post."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tallystick.ledger.ledger import Ledger
from tallystick.ledger.model import Entry, Kind
from tallystick.meters import Catalogue, Formula, Meter
from tallystick.storage import open_store
from tallystick.values.identifiers import lane_of

CATALOGUE = Catalogue([Meter("tokens", attributes=("model",)), Meter("calls", formula=Formula.COUNT)])


@pytest.fixture
def ledger(store_url: str) -> Iterator[Ledger]:
    """A new ledger, once on SQLite and once on PostgreSQL."""
    made = Ledger(open_store(store_url, auto_migrate=True), CATALOGUE)
    yield made
    made.close()


@pytest.fixture
def entry(ledger: Ledger) -> Callable[..., Entry]:
    """Make an entry: `entry("org", 5, key=…)`."""

    def make(
        customer: str, quantity: int, *, kind: Kind = Kind.USAGE, meter: str = "tokens", **rest: Any
    ) -> Entry:
        lane = lane_of("default", "test", customer)
        return Entry(lane, ledger.ids.next(), kind, "default", "test", "", customer, meter, quantity, **rest)

    return make
