"""A thousand seeds of app, relays and provider; see README.md. The long form: `python -m tests.simulation`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.__main__ import run_chunk
from tests.simulation.plan import PROFILES, WAYS, make_plan

SEEDS = 1000
BLOCK = 25


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_everything_used_is_billed_once_or_listed(first: int) -> None:
    """T1 to T6, T9 to T12 at the end of every seed; a failing one says how to see it again."""
    verdicts = run_chunk(range(first, first + BLOCK))
    assert not [str(verdict) for verdict in verdicts if verdict.problems]


def test_a_provider_that_takes_back_what_it_accepted() -> None:
    """Rejections that come later, totals that lag, meters archived, customers deleted: some seeds of that alone."""
    first = PROFILES.index("hell")
    verdicts = run_chunk([first + number * len(PROFILES) for number in range(40)])
    assert not [str(verdict) for verdict in verdicts if verdict.problems]


def test_the_seeds_go_through_what_they_are_for() -> None:
    """Crashes, lost answers, parked and listed dispatches do happen; a tame simulation proves nothing."""
    verdicts = run_chunk(range(3 * len(PROFILES)))
    assert {verdict.profile for verdict in verdicts} == set(PROFILES)
    assert sum(verdict.crashes for verdict in verdicts) > 100
    assert sum(verdict.parked for verdict in verdicts) > 20
    assert sum(verdict.calls for verdict in verdicts) > 2 * sum(verdict.entries for verdict in verdicts)


@pytest.mark.parametrize("way", WAYS[1:])
def test_every_way_to_tell_usage(way: str) -> None:
    """Stripe's other interfaces, OpenMeter with and without deduplication, Lago on either of its databases."""
    seeds = range(PROFILES.index("ways"), 3000, len(PROFILES))
    verdicts = run_chunk([seed for seed in seeds if make_plan(seed).way == way][:12])
    assert not [str(verdict) for verdict in verdicts if verdict.problems]
    assert sum(verdict.calls for verdict in verdicts) > 12
    assert sum(verdict.crashes for verdict in verdicts) > 0


def test_a_seed_does_the_same_thing_every_time() -> None:
    """Also in another process with another hash seed: a failure can always be seen again."""
    [here] = run_chunk([8])
    code = "from tests.simulation.__main__ import run_chunk; print(run_chunk([8])[0].fingerprint)"
    root = Path(__file__).parents[2]
    there = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert there.stdout.strip() == here.fingerprint
