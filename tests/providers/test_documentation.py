"""docs/providers.md says what the profiles say."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tallystick.meters.config import parse
from tallystick.providers import FOR_EVER, Profile
from tallystick.providers.lago.provider import PROFILE as LAGO
from tallystick.providers.openmeter import OpenMeterProvider
from tallystick.providers.openmeter.provider import PROFILE as OPENMETER
from tallystick.providers.stripe.provider import PROFILE as STRIPE

TEXT = (Path(__file__).parents[2] / "docs" / "providers.md").read_text()
TABLE = {
    cells[0]: cells[1:]
    for line in TEXT.splitlines()
    if line.startswith("|") and len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 4
}


def seconds(text: str) -> int:
    """A documented duration."""
    if text in ("for ever", "any"):
        return FOR_EVER
    number = re.match(r"(\d+) (hours?|days?)", text)
    if number is None:
        return 0  # "none", "at once"
    return int(number[1]) * (3600 if number[2].startswith("hour") else 86400)


def leading(text: str) -> int:
    """The number a cell begins with, 0 without one."""
    found = re.match(r"\d+", text)
    return int(found[0]) if found else 0


@pytest.mark.parametrize("column", [0, 1, 2])
def test_the_table_is_the_profiles(column: int) -> None:
    profile: Profile = (STRIPE, OPENMETER, LAGO)[column]
    cell = {row: cells[column] for row, cells in TABLE.items()}
    assert seconds(cell["duplicate window"]) == profile.duplicate_window_seconds
    assert seconds(cell["oldest usage"]) == profile.max_age_seconds
    assert seconds(cell["period end to invoice"]) == profile.closes_after_seconds
    assert leading(cell["digits of one value"]) == profile.significant_digits
    assert leading(cell["events in a call"]) == profile.batch_size
    assert leading(cell["published limit"]) == profile.requests_per_second
    assert ("nearest step" in cell["total read back"]) == profile.totals_are_doubles
    assert ("looked up; " in cell["a lost answer"]) == (not profile.duplicate_window_seconds)


def test_the_batch_with_a_window() -> None:
    """OpenMeter takes batches only where a repeat is recognised."""
    assert OpenMeterProvider(duplicate_window_seconds=86400).profile.batch_size == 100
    assert "(100 with a window)" in TABLE["events in a call"][1]


def test_the_configuration_is_one() -> None:
    """The example is read as it stands."""
    [block] = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert parse(tomllib.loads(block), "docs").provider.duplicate_window_hours == 24
