"""The relay's upkeep: what it does besides sending, each a bounded piece at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tallystick.reconciliation.clocks import Clocks

if TYPE_CHECKING:
    from tallystick.app.tally import Tally

Chore = Callable[[], int]


def chores(tally: Tally) -> tuple[Chore, ...]:
    """The pieces of upkeep of one Tally, in their order; each says how much it did."""
    found: list[Chore] = [tally.expirer.step]
    if (spool := tally.spool) is not None:
        found.append(lambda: spool.replay(tally.ledger.post_many))
    if tally.alarms is not None:
        found.append(tally.alarms.step)
    if (rejections := tally.rejections) is not None:
        found.append(lambda: 0 if _is_away(tally) else rejections.step())
    if tally.anchoring is not None:
        found.append(tally.anchoring.chore)
    if tally.carrying is not None:
        found.append(tally.carrying.chore)
    if tally.confirmer is not None:
        found.append(tally.confirmer.chore)
    if tally.deadlines is not None:
        found.append(tally.deadlines.chore)
    if tally.provider is not None:
        found.append(Clocks(tally.ledger, tally.provider, tally.find).chore)
    return (*found, tally.noted.keep)


def _is_away(tally: Tally) -> bool:
    """Whether the provider is not reached at the moment: then nothing is asked of it."""
    return tally.sender is not None and tally.sender.breaker.is_open
