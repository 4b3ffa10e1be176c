"""Meters of every kind that actions tell apart: counted and summed, with holds and without."""

from __future__ import annotations

from pathlib import Path

import pytest

METERS = """
[meters.calls]
formula = "count"
[meters.tokens]
unit = "token"
[meters.pings]
formula = "count"
hold = false
[meters.gigabytes]
decimals = 3
hold = false
limit = 1000
"""


@pytest.fixture
def tally_config(tmp_path: Path) -> Path:
    """The configuration that the `tally` fixture reads."""
    path = tmp_path / "tallystick.toml"
    path.write_text(METERS)
    return path
