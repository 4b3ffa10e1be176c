"""Delivery outside of a request: the inline attempt right after the commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tallystick.ledger.model import Entry

if TYPE_CHECKING:
    from tallystick.app.tally import Tally


class AfterCommit:
    """Delivery outside of a request: the inline attempt right after the commit."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def deliver(self, entries: Sequence[Entry]) -> None:
        courier = self._tally.courier
        if courier is not None:
            budget = self._tally.settings.budget_ms / 1000
            courier.expedite(entries, budget_seconds=budget).wait(budget)

    async def deliver_async(self, entries: Sequence[Entry]) -> None:
        courier = self._tally.courier
        if courier is not None:
            budget = self._tally.settings.budget_ms / 1000
            await courier.expedite(entries, budget_seconds=budget).wait_async(budget)
