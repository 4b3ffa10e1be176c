"""The circuit breaker: when the provider does not answer, requests stop waiting for it."""

from __future__ import annotations

import threading

from tallystick.providers import Outcome
from tallystick.values.instant import SECOND, Clock

_FAILURES = frozenset({Outcome.NOT_SENT, Outcome.UNKNOWN, Outcome.PAUSED})


class Breaker:
    """Opens after `threshold` failures in a row; then one probe at a time, further and further apart."""

    def __init__(self, clock: Clock, *, threshold: int = 5, longest_seconds: int = 15) -> None:
        self._clock = clock
        self._threshold = threshold
        self._longest = longest_seconds * SECOND
        self._failures = 0
        self._closed_at = 0
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether calls should wait; False again when a probe may go out."""
        return self._clock.elapsed() < self._closed_at

    @property
    def closes_in_seconds(self) -> float:
        """Seconds until the next probe (0 when closed)."""
        return max(0, self._closed_at - self._clock.elapsed()) / SECOND

    def note(self, outcome: Outcome) -> None:
        """Take an outcome into account."""
        with self._lock:
            if outcome not in _FAILURES:
                self._failures, self._closed_at = 0, 0
                return
            self._failures += 1
            if self._failures >= self._threshold:
                pause = min(SECOND << min(self._failures - self._threshold, 10), self._longest)
                self._closed_at = self._clock.elapsed() + pause
