"""One connection a thread: closed when its thread ends, and never used or closed by a forked child."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any


class _Held:
    """A thread's connection; goes with the thread's own storage."""

    __slots__ = ("__weakref__", "_inherited", "_pid", "connection")

    def __init__(self, connection: Any, inherited: list[Any]) -> None:
        self.connection = connection
        self._pid = os.getpid()
        self._inherited = inherited

    def __del__(self) -> None:
        if self._pid == os.getpid():
            self.connection.close()
        else:
            self._inherited.append(self.connection)  # the parent's: kept, because letting go would close it


class ThreadConnections:
    """The connections of one store in this process."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._inherited: list[Any] = []
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._local = threading.local()
        self._held: weakref.WeakSet[_Held] = weakref.WeakSet()

    def get(self) -> Any:
        """This thread's connection, made when it is first asked for or after it was lost."""
        if self._pid != os.getpid():
            self._reset()
        held: _Held | None = getattr(self._local, "held", None)
        if held is None or getattr(held.connection, "closed", False):
            held = self._local.held = _Held(self._connect(), self._inherited)
            self._held.add(held)
        return held.connection

    def close(self) -> None:
        """Close this process's connections; asking again makes new ones."""
        if self._pid == os.getpid():
            for held in list(self._held):
                held.connection.close()
        self._reset()
