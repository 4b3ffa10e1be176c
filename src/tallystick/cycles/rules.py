"""Pure decisions about deadlines; instants in microseconds since 1970 UTC."""

from __future__ import annotations

from enum import IntEnum

from tallystick.providers import Profile
from tallystick.values.instant import SECOND


class Level(IntEnum):
    """How much of the time between recording and deadline is used, in percent."""

    CALM = 0
    HALF = 50
    MOST = 75
    URGENT = 90
    MISSED = 100


def deadline(recorded_at: int, closes_at: int | None, profile: Profile) -> int:
    """The last instant at which the provider still bills usage recorded then.

    `closes_at` is the end of the period it lies in, in seconds (None: not known); the invoice stays a draft
    for `closes_after_seconds` longer (Stripe: about an hour after the renewal). Nothing is taken past
    `max_age_seconds` (Stripe: 35 days).
    """
    latest = recorded_at + profile.max_age_seconds * SECOND
    if closes_at is None:
        return latest
    return min(latest, (closes_at + profile.closes_after_seconds) * SECOND)


def cutoff(period: tuple[int, int] | None, profile: Profile, now: int) -> int:
    """What was recorded before this instant can no longer be reported; `period` in seconds (None: not known)."""
    latest = now - profile.max_age_seconds * SECOND
    closed = [edge for edge in period or () if now >= (edge + profile.closes_after_seconds) * SECOND]
    return max([latest, *(edge * SECOND for edge in closed)])


def level(recorded_at: int, due_at: int, now: int) -> Level:
    """The highest level reached."""
    if now >= due_at:
        return Level.MISSED
    used = 100 * (now - recorded_at) // max(due_at - recorded_at, 1)
    return max(found for found in Level if found <= max(used, 0))
