"""The pace of one process: no more calls in a second than the provider takes."""

from __future__ import annotations

import threading

from tallystick.values.instant import SECOND, Clock

BURST = SECOND // 10  # the share of a second that may have been saved up
PATIENCE = 10 * SECOND  # how long a call waits for its turn; it holds its slot meanwhile


class Pace:
    """`per_second` calls each second, in any order of threads; a tenth of that may go at once (0: no limit).

    The rule is the generic cell rate algorithm (ITU-T I.371): each call moves the next one's earliest
    instant on by its share of a second.
    """

    def __init__(self, clock: Clock, per_second: int) -> None:
        self._clock = clock
        self._share = SECOND // per_second if per_second else 0
        self._lock = threading.Lock()
        self._next = 0

    def wait(self) -> bool:
        """Wait for a call's turn; False at once when that would take longer than is reasonable."""
        if not self._share:
            return True
        with self._lock:
            now = self._clock.elapsed()
            self._next = max(self._next, now - BURST)
            delay = self._next - now
            if delay > PATIENCE:
                return False
            self._next += self._share
        if delay > 0:
            self._clock.pause(delay / SECOND)
        return True
