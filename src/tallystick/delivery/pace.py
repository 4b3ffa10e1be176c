"""The pace of one process: no more calls in a second than the provider takes."""

from __future__ import annotations

import threading

from tallystick.values.instant import SECOND, Clock

BURST = SECOND // 10  # the share of a second that may have been saved up
PATIENCE = 10 * SECOND  # how long a call waits for its turn; it holds its slot meanwhile


class Pace:
    """`per_second` calls each second, in any order of threads; a tenth of that may go at once (0: no limit).

    The rule is the generic cell rate algorithm (ITU-T I.371): each call moves the next one's earliest
    instant on by its share of a second. The provider counts the calls of all processes: when it says that they
    are too many, each that hears it goes half as fast, and then a tenth faster every second, as TCP does.
    """

    def __init__(self, clock: Clock, per_second: int) -> None:
        self._clock = clock
        self._usual = self._share = SECOND // per_second if per_second else 0
        self._changed_at = 0
        self._lock = threading.Lock()
        self._next = 0

    def wait(self) -> bool:
        """Wait for a call's turn; False at once when that would take longer than is reasonable."""
        if not self._share:
            return True
        with self._lock:
            now = self._clock.elapsed()
            if self._share > self._usual and now - self._changed_at >= SECOND:
                self._share, self._changed_at = max(self._usual, self._share * 10 // 11), now
            self._next = max(self._next, now - BURST)
            delay = self._next - now
            if delay > PATIENCE:
                return False
            self._next += self._share
        if delay > 0:
            self._clock.pause(delay / SECOND)
        return True

    def slow_down(self) -> None:
        """The provider was called too often: half as fast, once for all calls that were under way."""
        with self._lock:
            now = self._clock.elapsed()
            if self._share == self._usual or now - self._changed_at >= SECOND // 4:
                self._share, self._changed_at = min(2 * self._share, SECOND), now
                self._next = now + self._share
