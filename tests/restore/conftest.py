"""The scene of a restore, for each place an anchor can be kept in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.sandbox import Sandbox
from tallystick.sandbox.serving import Settings
from tests.restore.scene import START, Scene


@pytest.fixture(params=[["file"], ["stripe"], ["file", "stripe"]], ids="+".join)
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    with Sandbox.start(Settings(frozen_at=START)) as sandbox:
        yield Scene(sandbox, tmp_path, request.param)
