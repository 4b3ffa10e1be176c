"""Take away one safeguard at a time: the simulation has to notice."""

from __future__ import annotations

import re

import pytest

from tests.simulation.__main__ import run_chunk
from tests.simulation.safeguards import ALL, Safeguard

MOST = 48  # seeds until it must have shown


@pytest.mark.parametrize("safeguard", ALL, ids=lambda safeguard: safeguard.name)
def test_is_missed(safeguard: Safeguard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a seed that passes otherwise fails, and says why."""
    safeguard.remove(monkeypatch)
    seen: list[str] = []
    for seed in safeguard.seeds[:MOST]:
        [verdict] = run_chunk([seed])
        seen += verdict.problems
        if any(re.search(safeguard.complaint, problem) for problem in verdict.problems):
            return
    pytest.fail(f"nothing missed it; other complaints: {seen[:5]}")
