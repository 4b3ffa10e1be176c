"""Deadlines: until when undelivered usage is still billed, the alarms on the way, and what came too late."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tallystick import Tally
from tallystick.cycles import Level, deadline, level
from tallystick.errors import ProviderError
from tallystick.providers.stripe.provider import PROFILE
from tallystick.sandbox import Sandbox
from tallystick.values.instant import DAY, HOUR, SECOND, FrozenClock


def test_the_deadline_is_the_periods_draft_or_the_greatest_age() -> None:
    """Stripe: usage counts while the renewal's invoice is a draft, about an hour; nothing older than 35 days."""
    at = 1_800_000_000 * SECOND
    assert deadline(at, None, PROFILE) == at + 35 * DAY
    assert deadline(at, at // SECOND + 86_400, PROFILE) == at + DAY + HOUR
    assert deadline(at, at // SECOND + 90 * 86_400, PROFILE) == at + 35 * DAY


@pytest.mark.parametrize(
    ("used", "reached"),
    [
        (-5, Level.CALM),
        (49, Level.CALM),
        (50, Level.HALF),
        (75, Level.MOST),
        (89, Level.MOST),
        (90, Level.URGENT),
        (99, Level.URGENT),
        (100, Level.MISSED),
        (500, Level.MISSED),
    ],
)
def test_levels(used: int, reached: Level) -> None:
    assert level(1000, 1100, 1000 + used) is reached


@pytest.fixture
def later(tally: Tally, clock: FrozenClock) -> Callable[..., list[str]]:
    """Let time pass, relay once; the codes found since the last time."""
    seen = 0

    def step(**passed: Any) -> list[str]:
        nonlocal seen
        clock.advance(timedelta(**passed))
        tally.relay.step()
        found = [f.code for f in tally.findings if f.code.startswith("deadline")][seen:]
        seen += len(found)
        return found

    return step


def test_alarms_until_the_period_closes(
    tally: Tally, sandbox: Sandbox, clock: FrozenClock, later: Any, store_url: str, tmp_path: Path
) -> None:
    """The period's end comes from the provider while it can be asked; then it is away for the rest of it."""
    assert tally.provider is not None
    assert tally.deadlines is not None
    since, until = tally.provider.period(sandbox.links["ada"], "tokens") or (0, 0)  # type: ignore[attr-defined]
    assert since < until
    clock.advance(timedelta(seconds=since - clock.now() // SECOND + 10))
    tally.links._known.clear()
    tally.sender.breaker.note = lambda outcome: None  # type: ignore[union-attr,method-assign]
    sandbox.fault("fail route=/v1/billing/meter_events")
    tally.record("tokens", 40, customer="ada")
    assert later(minutes=2) == []
    sandbox.outage()
    (one,) = tally.deadlines.pressing()
    assert one.due_at == (until + 3600) * SECOND, "the hour of the draft is part of it"
    assert (one.entries, one.quantity, one.level) == (1, 40, Level.CALM)
    third = (one.due_at - one.oldest) // SECOND // 100
    assert later(seconds=55 * third) == ["deadline_near"]
    assert later(seconds=1 * third) == []
    assert later(seconds=20 * third) == ["deadline_near"]
    assert later(seconds=15 * third) == ["deadline_near"]
    assert later(seconds=15 * third) == ["deadline_missed"]
    assert tally.deadlines.missed()[0].quantity == 40
    _check_the_command(store_url, tmp_path, clock)


def _check_the_command(store_url: str, folder: Path, clock: FrozenClock) -> None:
    (folder / "tallystick.toml").write_text("[meters.tokens]\nhold = false\n[meters.gb]\ndecimals = 3\n")
    environ = {**os.environ, "TALLYSTICK_STORE": store_url, "STRIPE_API_KEY": "sk_test_x"}
    command = [sys.executable, "-m", "tallystick", "proposals", "--json"]
    answer = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60)
    listed = json.loads(answer.stdout)
    assert answer.returncode == bool(listed), "by the real clock the period has not closed yet"


def test_a_provider_that_names_no_period(tally: Tally, clock: FrozenClock, later: Any) -> None:
    """Then the greatest age is the deadline."""
    assert tally.provider is not None

    def away(customer: str, meter: str) -> Any:
        raise ProviderError("away")

    tally.provider.period = away  # type: ignore[method-assign]
    tally.record("tokens", 1, customer="nobody")
    assert later(days=10) == []
    assert later(days=10) == ["deadline_near"]
    tally.record("tokens", 5, customer="nobody")
    assert later(days=16) == ["deadline_missed"]
    assert tally.deadlines is not None
    (missed,) = tally.deadlines.missed()
    assert (missed.quantity, missed.entries) == (1, 1), "the younger one can still be reported"
    assert tally.deadlines.pressing()[0].quantity == 6
