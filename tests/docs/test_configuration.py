"""Every piece of configuration that the documentation shows is read as it stands."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tallystick.meters.config import parse

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL))
]


def test_there_are_some() -> None:
    assert len(BLOCKS) >= 5


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_is_read(block: str) -> None:
    parse(tomllib.loads(block), "the documentation")
