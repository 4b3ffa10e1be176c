"""The circuit breaker: when the provider does not answer, or refuses our key, requests stop waiting for it."""

from __future__ import annotations

import threading

from tallystick.providers import Outcome
from tallystick.values.instant import SECOND, Clock

_FAILURES = frozenset({Outcome.NOT_SENT, Outcome.UNKNOWN})


class Breaker:
    """Opens after `threshold` failures in a row; then one probe at a time, further and further apart.

    A refused key opens it at once, for everything that is sent with it: `key_refused` until an answer shows
    that the key works again.
    """

    def __init__(self, clock: Clock, *, threshold: int = 5, longest_seconds: int = 15) -> None:
        self._clock = clock
        self._threshold = threshold
        self._longest = longest_seconds * SECOND
        self._failures = 0
        self._closed_at = 0
        self.key_refused = False
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
            if outcome is Outcome.PAUSED:
                self.key_refused, self._closed_at = True, self._clock.elapsed() + self._longest
                return
            if outcome not in _FAILURES:
                self._failures, self._closed_at, self.key_refused = 0, 0, False
                return
            self._failures += 1
            if self._failures >= self._threshold:
                pause = min(SECOND << min(self._failures - self._threshold, 10), self._longest)
                self._closed_at = self._clock.elapsed() + pause
