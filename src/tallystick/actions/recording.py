"""A record that must be awaited: forgetting it fails the request instead of losing the entry in silence."""

from __future__ import annotations

import warnings
from collections.abc import Coroutine, Generator
from typing import Any

from tallystick.actions import scope as scopes
from tallystick.errors import TallystickWarning
from tallystick.ledger.model import Posted


class Recording:
    """An awaitable Posted."""

    def __init__(self, pending: Coroutine[Any, Any, Posted], meter: str) -> None:
        self._pending = pending
        self._meter = meter
        self._token = object()
        self._scope = scopes.current()
        self._awaited = False
        if self._scope is not None:
            self._scope.unawaited.add(self._token)

    def __await__(self) -> Generator[Any, Any, Posted]:
        self._awaited = True
        if self._scope is not None:
            self._scope.unawaited.discard(self._token)
        return self._pending.__await__()

    def __del__(self) -> None:
        if not self._awaited:
            self._pending.close()
            warnings.warn(
                f"a record on meter {self._meter!r} was never awaited: nothing was recorded; write `await`",
                TallystickWarning,
                stacklevel=2,
            )
