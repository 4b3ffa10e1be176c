"""What a person decides about a hold: settled with a quantity, or void; always with a reason and a name."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from tallystick.errors import ActionError
from tallystick.holds import rules
from tallystick.ledger import reading
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.model import Entry, Kind, Outcome, Posted, Posting, Resolution
from tallystick.meters import Catalogue
from tallystick.values.identifiers import from_public
from tallystick.values.quantity import from_steps


class Holds:
    """The open holds of one ledger."""

    def __init__(self, ledger: Ledger, catalogue: Catalogue) -> None:
        self._ledger = ledger
        self._catalogue = catalogue

    def open(self, *, limit: int = 1000) -> list[Entry]:
        """Holds without a resolution, oldest first."""
        return self._ledger.open_holds(limit)

    def overdue(self, *, limit: int = 1000) -> list[Entry]:
        """Those whose time is over and that wait for a decision, oldest first."""
        return self._ledger.read(reading.overdue_holds(self._ledger.where, limit))

    def progress(self, holds: Sequence[Entry]) -> dict[str, Decimal]:
        """How far the streams among these holds had come at their last checkpoint, by the hold's id."""
        found = self._ledger.read(reading.progress(holds))
        return {
            hold.id: from_steps(steps, self._catalogue[hold.meter].decimals)
            for hold in holds
            if (steps := found.get((hold.entry, hold.meter))) is not None and hold.meter in self._catalogue
        }

    def settle(self, hold: str, quantity: Any, *, reason: str, by: str) -> Posted:
        """Bill a hold with `quantity` of its meter; ActionError when it is unknown or resolved already."""
        entry = self._find(hold)
        usage = rules.settlement(entry, self._ledger.ids.next(), self._catalogue[entry.meter].steps(quantity))
        return self._resolve(entry, (usage,), Outcome.SETTLED, reason, by)

    def void(self, hold: str, *, reason: str, by: str) -> Posted:
        """Bill nothing for a hold; ActionError when it is unknown or resolved already."""
        return self._resolve(self._find(hold), (), Outcome.VOIDED, reason, by)

    def _find(self, hold: str) -> Entry:
        found = self._ledger.find(from_public(hold))
        if found is None or found.kind is not Kind.HOLD:
            raise ActionError(f"{hold!r} is no hold of this ledger; `tallystick holds` lists the open ones")
        return found

    def _resolve(
        self, hold: Entry, entries: tuple[Entry, ...], outcome: Outcome, reason: str, by: str
    ) -> Posted:
        for what, text in (("reason", reason), ("by", by)):
            if not text.strip():
                raise ActionError(f"{what}={text!r}: a hold is decided with a reason and a name; give both")
        _refuse(hold, self._ledger.read(reading.resolution(hold)))
        posted = self._ledger.post(Posting(entries, Resolution(hold.lane, hold.entry, outcome, reason, by)))
        _refuse(hold, posted.resolved_before)
        return posted


def _refuse(hold: Entry, before: Resolution | None) -> None:
    if before is not None:
        who = f" by {before.by}" if before.by else ""
        raise ActionError(
            f"hold {hold.id} was {before.outcome.name.lower()}{who} before ({before.reason or 'its action ended'}); "
            "correct its usage entry instead"
        )
