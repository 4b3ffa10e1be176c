"""Instants: whole microseconds since 1970-01-01 UTC, and the clock port.

Nothing outside this module reads the machine's clock; time comes in through a `Clock`.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Where time comes from; a frozen clock also replaces the database's clock."""

    frozen: bool

    def now(self) -> int:
        """The present instant, in microseconds since 1970 UTC."""
        ...

    def elapsed(self) -> int:
        """Microseconds on a clock that never steps; only differences mean something."""
        ...

    def pause(self, seconds: float) -> None:
        """Stand still for a moment; a frozen clock waits for nothing."""
        ...


class SystemClock:
    """The machine's clock."""

    frozen = False

    def now(self) -> int:
        """The present instant, in microseconds since 1970 UTC."""
        return time.time_ns() // 1000

    def elapsed(self) -> int:
        """Microseconds on the monotonic clock."""
        return time.monotonic_ns() // 1000

    def pause(self, seconds: float) -> None:
        """Stand still for so long."""
        time.sleep(seconds)


class FrozenClock:
    """A clock that stands still until told; for tests and simulations."""

    frozen = True

    def __init__(self, start: datetime | int = 1_767_225_600 * SECOND) -> None:
        self._now = start if isinstance(start, int) else from_datetime(start)

    def now(self) -> int:
        """The instant the clock was set to."""
        return self._now

    def elapsed(self) -> int:
        """The same instant: a frozen clock never steps by itself."""
        return self._now

    def pause(self, seconds: float) -> None:
        """Return at once: nobody waits for a clock that stands still."""

    def advance(self, by: timedelta) -> None:
        """Move the clock by a timedelta (backwards too: clocks do)."""
        self._now += by // timedelta(microseconds=1)


def from_datetime(moment: datetime) -> int:
    """Microseconds since 1970 UTC of an aware datetime; a naive one is refused."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone; use datetime.now(UTC) or attach one")
    return (moment - _EPOCH) // timedelta(microseconds=1)


def to_datetime(instant: int) -> datetime:
    """The aware UTC datetime of an instant."""
    return _EPOCH + timedelta(microseconds=instant)


def rfc3339(seconds: int) -> str:
    """The UTC text of a whole second since 1970, such as 2026-01-01T00:00:00Z (RFC 3339)."""
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_rfc3339(text: str) -> int:
    """Microseconds since 1970 UTC of such a text, with any offset; ValueError for another."""
    return from_datetime(datetime.fromisoformat(text))
