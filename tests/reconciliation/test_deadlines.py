"""Deadlines: until when undelivered usage is still billed, the alarms on the way, and what came too late."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tallystick import Catalogue, Meter, Tally
from tallystick.cycles import Level, deadline, level
from tallystick.errors import ProviderError
from tallystick.meters.config import DeliverySettings
from tallystick.providers.stripe import StripeProvider
from tallystick.providers.stripe.provider import PROFILE
from tallystick.sandbox import Sandbox
from tallystick.sandbox.serving import Settings
from tallystick.storage import open_store
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
    tally: Tally, sandbox: Sandbox, clock: FrozenClock, later: Any
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
    assert [(one.quantity, one.level) for one in tally.deadlines.pressing()] == [
        (1, Level.MISSED),
        (5, Level.CALM),
    ]
    assert later(days=10) == ["deadline_near"], "what is late does not hide what is not"
    assert later(days=1) == ["deadline_near"]
    assert later(days=6) == ["deadline_near"]
    assert later(days=3) == ["deadline_missed"]
    assert [one.quantity for one in tally.deadlines.missed()] == [6]


@pytest.mark.parametrize(
    ("days", "reached"), [(5, ""), (16, "half"), (24, "most"), (40, "missed")]
)  # a month has 28 to 31
def test_on_the_command_line(store_url: str, tmp_path: Path, days: int, reached: str) -> None:
    """Recorded so many days ago, when the period began, and undelivered; the commands' clock is the real one."""
    then = datetime.now(UTC) - timedelta(days=days)
    with Sandbox.start(Settings(frozen_at=int(then.timestamp()))) as sandbox:
        prices = {"tokens": {"formula": "sum", "unit_amount_decimal": "1"}}
        customers = sandbox.provision(meters=prices, customers=["ada"])["customers"]
        provider = StripeProvider("sk_test_deadlines", base=sandbox.url)
        settings = DeliverySettings(inline=False, relay="process")
        clock = FrozenClock(then)
        with Tally(
            open_store(store_url, auto_migrate=True),
            Catalogue([Meter("tokens", hold=False)]),
            provider=provider,
            delivery=settings,
            clock=clock,
        ) as tally:
            tally.links.link(customers)
            sandbox.fault("fail route=/v1/billing/meter_events")
            tally.record("tokens", 40, customer="ada")
            tally.relay.step()
            clock.advance(timedelta(minutes=2))
            tally.relay.step()  # it waits, so the period is asked for
        code, shown = command(store_url, tmp_path, "status", "--json")
        assert {level: n for level, n in json.loads(shown)["deadlines"].items() if n} == (
            {reached: 1} if reached else {}
        )
        assert code == (1 if reached else 0)
        assert "too late to deliver" in command(store_url, tmp_path, "status")[1] or reached != "missed"
        _, metrics = command(store_url, tmp_path, "status", "--format", "prometheus")
        for level in ("half", "most", "urgent", "missed"):
            line = f'tallystick_deadlines{{tenant="default",mode="test",level="{level}"}} {int(level == reached)}'
            assert line in metrics.splitlines()
        code, listed = command(store_url, tmp_path, "proposals", "--json")
        assert [one["quantity"] for one in json.loads(listed)] == (["40"] if reached == "missed" else [])
        assert code == (1 if reached == "missed" else 0)


def command(store_url: str, folder: Path, *words: str, failpoint: str = "") -> tuple[int, str]:
    """Exit code and output of a command in a process of its own, which dies at a failpoint."""
    (folder / "tallystick.toml").write_text("[meters.tokens]\nhold = false\n")
    environ = {**os.environ, "TALLYSTICK_STORE": store_url, "STRIPE_API_KEY": "sk_test_deadlines"}
    environ["TALLYSTICK_FAILPOINT"] = failpoint
    line = [sys.executable, "-m", "tallystick", *words]
    answer = subprocess.run(line, cwd=folder, env=environ, capture_output=True, text=True, timeout=60)
    return answer.returncode, answer.stdout or answer.stderr
