"""What every provider must give back: exact totals of windows, and whether an instruction arrived."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tallystick.errors import ProviderError, TallystickError
from tallystick.providers import Outcome, Provider
from tests.providers.conformance.conftest import START, Make
from tests.providers.conformance.rigs import WRONG, Rig


def send_all(provider: Provider, make: Make, values: list[tuple[int, str]]) -> None:
    for number, (at, value) in enumerate(values):
        answer = provider.send(make(f"ts-{number}", value, happened_at=at), still_ours=lambda: True)
        assert answer.outcome is Outcome.ACCEPTED


def test_what_time_it_is_there(rig: Rig) -> None:
    """Its own clock, also where the key is refused; none without an answer."""
    assert rig.provider().time() == rig.provider(key=WRONG[rig.kind]).time() == START
    rig.sandbox.advance(3601)
    assert rig.provider().time() == START + 3601
    rig.sandbox.outage()
    with pytest.raises(ProviderError):
        rig.provider().time()


def test_a_total_is_of_its_window(rig: Rig, provider: Provider, make: Make) -> None:
    """Whole minutes, the start included, the end not; other customers and meters stay out."""
    minute = START - 600
    send_all(provider, make, [(minute - 1, "1"), (minute, "10"), (minute + 59, "100"), (minute + 60, "1000")])
    other = make("ts-x", "7", customer=rig.customers["org_b"], happened_at=minute)
    provider.send(other, still_ours=lambda: True)
    provider.send(make("ts-y", "7", meter="calls", happened_at=minute), still_ours=lambda: True)
    assert provider.total(rig.customer, "tokens", minute, minute + 60) == 110
    assert provider.total(rig.customer, "tokens", minute - 60, minute) == 1
    assert provider.total(rig.customer, "tokens", minute - 60, minute + 120) == 1111
    assert provider.total(rig.customer, "tokens", minute + 120, minute + 180) == 0


def test_totals_are_exact(rig: Rig, provider: Provider, make: Make) -> None:
    """Fractions that binary floating point cannot hold come back as they were sent."""
    send_all(
        provider, make, [(START - n, value) for n, value in enumerate(["0.1", "0.2", "1234567.7", "-0.3"])]
    )
    assert provider.total(rig.customer, "tokens", START - 60, START + 60) == Decimal("1234567.7")
    assert rig.totals()[rig.customer, "tokens"] == Decimal("1234567.7")


def test_a_total_of_many_events(rig: Rig, provider: Provider, make: Make) -> None:
    """More events than any page of an answer holds."""
    size = provider.profile.batch_size
    rows = [make(f"ts-{n}", "0.01", happened_at=START - n) for n in range(250)]
    for first in range(0, len(rows), size):
        provider.send_many(rows[first : first + size], still_ours=lambda: True)
    total = provider.total(rig.customer, "tokens", START - 300, START + 60)
    assert provider.profile.meant(total, decimals=2) == Decimal("2.5")


def test_whether_an_instruction_arrived(rig: Rig, provider: Provider, make: Make) -> None:
    """`has` tells one identifier from another that looks alike, where the provider can tell at all."""
    if not provider.profile.finds_identifiers:
        with pytest.raises(ProviderError):
            provider.has(make())
        return
    assert not provider.has(make())
    provider.send(make("ts-1-1"), still_ours=lambda: True)
    assert not provider.has(make("ts-1"))
    assert provider.has(make("ts-1-1"))
    assert not provider.has(make("ts-1-1", customer=rig.customers["org_b"]))


def test_what_cannot_be_read_says_so(rig: Rig, provider: Provider, make: Make) -> None:
    """No connection and no valid key are errors of ours, in one line, never a number."""
    with pytest.raises(TallystickError) as refused:
        rig.provider(key=WRONG[rig.kind]).total(rig.customer, "tokens", START, START + 60)
    rig.sandbox.outage()
    with pytest.raises(ProviderError) as away:
        provider.total(rig.customer, "tokens", START, START + 60)
    assert "\n" not in str(refused.value) + str(away.value)


def test_the_profile_is_sound(provider: Provider) -> None:
    """Limits are positive and a window is never longer than for ever."""
    profile = provider.profile
    assert profile.name
    assert profile.batch_size >= 1
    assert profile.significant_digits >= 12
    assert profile.duplicate_window_seconds >= 0
    assert profile.max_age_seconds > profile.closes_after_seconds >= 0
    assert profile.duplicate_window_seconds or profile.finds_identifiers
