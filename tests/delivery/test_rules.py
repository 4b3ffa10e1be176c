"""Pure decisions of delivery."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.cycles import NOTHING_KNOWN, Period, Periods
from tallystick.delivery import rules
from tallystick.delivery.breaker import Breaker
from tallystick.delivery.model import Owed, Slot
from tallystick.meters import Meter
from tallystick.providers import Answer, Outcome
from tallystick.providers.stripe.provider import PROFILE
from tallystick.values.instant import DAY, HOUR, SECOND, FrozenClock

SLOT = Slot((1, "t", "test", "cus", "tokens"), 1, 10 * SECOND)
METER = Meter("tokens")


def owed(second: int, quantity: int, number: int = 0) -> Owed:
    return Owed(1, bytes([number]) * 16, "t", "test", "org", "tokens", quantity, second * SECOND + number)


def _places(entries: Iterable[Owed]) -> list[tuple[int, bytes]]:
    return [(e.recorded_at, e.entry) for e in entries]


def dispatch(**changes: object):  # type: ignore[no-untyped-def]
    [made] = rules.dispatches([owed(1, 5)], b"\1" * 16, "ts", SLOT, METER, PROFILE, 0)
    return msgspec.structs.replace(made, **changes)


def test_where_the_period_is_not_known_only_entries_of_one_second_share_a_dispatch() -> None:
    """Their timestamp at the provider is that second."""
    groups = rules.buckets([owed(2, 1), owed(1, 1, 1), owed(2, 1, 2), owed(1, 1)], NOTHING_KNOWN, METER)
    assert [[e.recorded_at // SECOND for e in group] for group in groups] == [[1, 1], [2, 2]]


@given(
    st.lists(st.integers(0, 20_000), min_size=1, max_size=60),
    st.lists(st.integers(0, 20_000), max_size=4, unique=True),
    st.sampled_from([1, 60, 900, 3600]),
    st.integers(0, 30_000),
)
def test_no_dispatch_crosses_a_boundary_that_the_provider_may_have_set(
    seconds: list[int], edges: list[int], width: int, read_at: int
) -> None:
    """Every second of the billing calendar may be an edge: anchors, plan switches, daylight saving."""
    edges.sort()
    known = [Period(a, b, read_at * SECOND) for a, b in pairwise(edges)]
    entries = [owed(second, 1, number % 256) for number, second in enumerate(seconds)]
    groups = rules.buckets(entries, Periods.of(known), Meter("tokens", bucket_seconds=width))
    assert sorted(_places(e for group in groups for e in group)) == sorted(_places(entries))
    for group in groups:
        first, last = group[0].recorded_at // SECOND, group[-1].recorded_at // SECOND
        assert last // width == first // width
        assert not [edge for edge in edges if first < edge <= last]
        assert first == last or group[-1].recorded_at + 60 * SECOND <= read_at * SECOND


def test_a_period_that_was_cut_short_ends_where_the_next_begins() -> None:
    periods = Periods.of([Period(100, 300, 5), Period(0, 100, 1), Period(150, 450, 9), Period(0, 0, 2)])
    assert [(p.since, p.until) for p in periods.known] == [(0, 100), (100, 150), (150, 450)]
    assert periods.read_at == 9
    assert [periods.at(second) and periods.at(second).since for second in (99, 149, 150, 450)] == [
        0,
        100,
        150,
        None,
    ]  # type: ignore[union-attr]


@given(st.integers(-(10**18), 10**18))
def test_more_digits_than_the_provider_takes_are_spread(steps: int) -> None:
    """The parts add up, and each fits into 15 significant digits."""
    parts = rules.values(steps, METER, PROFILE)
    assert sum(parts) == steps
    assert all(abs(part) < 10**15 for part in parts)


def test_an_unknown_outcome_keeps_key_or_renews_it() -> None:
    """A lost answer keeps the idempotency key, a stored 500 needs a new one; the identifier stays."""
    lost = rules.settle(dispatch(), Answer(Outcome.UNKNOWN, answered=False), None, 0)
    stored = rules.settle(dispatch(), Answer(Outcome.UNKNOWN, answered=True), None, 0)
    assert lost.state == stored.state == "unknown"
    assert lost.idempotency_key == dispatch().idempotency_key
    assert stored.idempotency_key != dispatch().idempotency_key


def test_never_sent_stays_ready_unless_an_earlier_attempt_may_have_arrived() -> None:
    """Connection refused says nothing about the attempt before."""
    assert rules.settle(dispatch(), Answer(Outcome.NOT_SENT), None, 0).state == "ready"
    assert rules.settle(dispatch(), Answer(Outcome.NOT_SENT), 5, 0).state == "unknown"


@pytest.mark.parametrize(
    ("sent", "age", "parked"),
    [(0, 19 * HOUR, False), (0, 21 * HOUR, True), (None, 30 * DAY, False), (None, 36 * DAY, True)],
)
def test_nothing_is_sent_again_past_the_window(sent: int | None, age: int, parked: bool) -> None:
    """Past the duplicate window (T9), or the provider's greatest age, a dispatch waits for a person."""
    assert bool(rules.reason_to_park(dispatch(first_sent_at=sent, happened_at=0), PROFILE, age)) == parked


@given(st.integers(1, 60), st.binary(min_size=16, max_size=16))
def test_waits_grow_and_are_bounded(attempt: int, seed: bytes) -> None:
    """Doubling from half a second to five minutes, jittered downwards by at most half."""
    full = min(rules.FIRST_RETRY << min(attempt - 1, 20), rules.LONGEST_RETRY)
    assert full // 2 <= rules.wait_before(attempt, seed) <= full
    assert rules.wait_before(attempt, seed, 600) >= 600 * SECOND


def test_the_breaker_opens_probes_and_closes() -> None:
    """Five failures in a row open it, each failed probe for longer; one success closes it."""
    clock = FrozenClock(0)
    breaker = Breaker(clock)
    for _ in range(4):
        breaker.note(Outcome.UNKNOWN)
    assert not breaker.is_open
    breaker.note(Outcome.NOT_SENT)
    assert breaker.closes_in_seconds == 1
    clock.advance(timedelta(seconds=1))
    assert not breaker.is_open
    breaker.note(Outcome.UNKNOWN)
    assert breaker.closes_in_seconds == 2
    breaker.note(Outcome.REFUSED)
    assert not breaker.is_open


def test_a_refused_key_opens_the_breaker_at_once() -> None:
    """One 401 is enough, for everything under that key; an answer closes it."""
    breaker = Breaker(FrozenClock(0))
    breaker.note(Outcome.PAUSED)
    assert (breaker.key_refused, breaker.closes_in_seconds) == (True, 15)
    breaker.note(Outcome.UNKNOWN)
    assert breaker.key_refused
    breaker.note(Outcome.REFUSED)
    assert not breaker.key_refused
    assert not breaker.is_open
