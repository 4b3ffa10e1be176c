"""Meters of every kind that actions tell apart: counted and summed, with holds and without."""

from __future__ import annotations

import pytest

from tallystick import Catalogue, Formula, Meter


@pytest.fixture
def tally_meters() -> Catalogue:
    """The meters of the `tally` fixture."""
    return Catalogue(
        [
            Meter("calls", formula=Formula.COUNT),
            Meter("tokens", unit="token"),
            Meter("pings", formula=Formula.COUNT, hold=False),
            Meter("gigabytes", decimals=3, hold=False, limit=1000),
        ]
    )
