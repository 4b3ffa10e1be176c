"""Taking turns through a file lock: writers of several processes queue up fairly instead of spinning."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tallystick.errors import LedgerBusyError


class Turn:
    """The right to write a SQLite file; waiting for it ends after `wait_seconds`."""

    def __init__(self, path: Path, wait_seconds: float) -> None:
        self._path = path
        self._wait = wait_seconds

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for this process's turn; LedgerBusyError when another process keeps it too long."""
        handle = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if not _lock(handle, self._wait):
            raise LedgerBusyError(
                f"{self._path}: another process has kept the turn to write for {self._wait:g} s; is it stopped?"
            )
        try:
            yield
        finally:
            # Closing alone would leave the turn with a child that was forked meanwhile and shares the file.
            fcntl.flock(handle, fcntl.LOCK_UN)
            os.close(handle)


def _lock(handle: int, wait_seconds: float) -> bool:
    """Lock, waiting at most so long; a handle that could not be locked is closed."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return _Waiting(handle).end(wait_seconds)


class _Waiting:
    """A lock waited for in a thread of its own: the system call queues fairly, but knows no time limit."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._guard = threading.Lock()
        self._locked = self._given_up = False
        self._thread = threading.Thread(target=self._wait, name="tallystick-turn", daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        with self._guard:
            self._locked = not self._given_up
            if self._given_up:
                os.close(self._handle)

    def end(self, seconds: float) -> bool:
        """Wait at most so long; whether the lock is ours."""
        self._thread.join(seconds)
        with self._guard:
            self._given_up = not self._locked
            return self._locked
