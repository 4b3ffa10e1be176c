"""A record that must be awaited: forgetting it fails the request instead of losing the entry in silence."""

from __future__ import annotations

import warnings
from collections.abc import Coroutine, Generator
from typing import Any

from tallystick.actions import scope as scopes
from tallystick.actions.recorder import Findings
from tallystick.errors import TallystickWarning
from tallystick.ledger.model import Posted


class Recording:
    """An awaitable Posted.

    Within a request the response is refused until it was awaited to its end; outside of one, dropping
    it is a warning and a finding.
    """

    __slots__ = ("_awaited", "_find", "_meter", "_pending", "_scope", "_token")

    def __init__(self, pending: Coroutine[Any, Any, Posted], meter: str, find: Findings) -> None:
        self._pending = pending
        self._meter = meter
        self._find = find
        self._token = object()
        self._scope = scopes.current()
        self._awaited = False
        if self._scope is not None:
            self._scope.pending.add(self._token)

    def __await__(self) -> Generator[Any, Any, Posted]:
        self._awaited = True
        try:
            return (yield from self._pending.__await__())
        finally:
            if self._scope is not None:
                self._scope.pending.discard(self._token)

    def __del__(self) -> None:
        if self._awaited:
            return
        self._pending.close()
        problem = f"a record on meter {self._meter!r} was never awaited: nothing was recorded; write `await`"
        self._find("never_awaited", self._meter, problem)
        warnings.warn(problem, TallystickWarning, stacklevel=2)
