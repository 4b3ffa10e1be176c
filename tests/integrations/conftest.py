"""A Tally without a provider, on a real SQLite file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tallystick import Catalogue, Formula, Meter, Tally
from tallystick.storage import open_store


@pytest.fixture
def tally(sqlite_url: str) -> Iterator[Tally]:
    """Tokens with and without holds, and calls."""
    meters = [Meter("tokens"), Meter("calls", formula=Formula.COUNT), Meter("unheld", hold=False)]
    made = Tally(open_store(sqlite_url), Catalogue(meters))
    yield made
    made.close()
