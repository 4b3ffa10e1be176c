"""The sandbox's one clock: real time plus an offset, or frozen; it only goes forward."""

from __future__ import annotations

import time


class Clock:
    """Seconds since 1970 UTC for everything in the sandbox."""

    def __init__(self, frozen_at: int | None = None) -> None:
        self._frozen = frozen_at
        self._offset = 0

    def now(self) -> int:
        """The present second."""
        return self._frozen if self._frozen is not None else int(time.time()) + self._offset

    def advance(self, seconds: int) -> None:
        """Move forward; ValueError for a step back."""
        if seconds < 0:
            raise ValueError(f"the clock only goes forward, not {seconds} seconds")
        if self._frozen is not None:
            self._frozen += seconds
        else:
            self._offset += seconds

    def freeze(self, at: int | None) -> None:
        """Stand still at an instant, or run again (None) from where it stands."""
        if at is None and self._frozen is not None:
            self._offset, self._frozen = self._frozen - int(time.time()), None
        else:
            self._frozen = at
