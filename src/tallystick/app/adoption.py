"""Which entries the provider is owed: all, none (shadow), or those from a meter's `report_from` on."""

from __future__ import annotations

from collections.abc import Callable

from tallystick.ledger.model import Entry, Kind
from tallystick.ledger.posting import is_delivered
from tallystick.meters import Catalogue, Formula
from tallystick.values.instant import Clock, from_datetime


def owed_by(meters: Catalogue, clock: Clock, *, shadow: bool) -> Callable[[Entry], bool]:
    """The rule by which a posting makes an entry owed; a correction follows the entry it corrects."""
    lasting = {m.name for m in meters if m.formula is Formula.LAST}  # of these, nothing is a value too
    starts = {m.name: from_datetime(m.report_from) for m in meters if m.report_from is not None}

    def owes(entry: Entry) -> bool:
        if shadow or not (is_delivered(entry) or (entry.kind is Kind.USAGE and entry.meter in lasting)):
            return False
        start = starts.get(entry.meter)
        if start is None:
            return True
        corrected = entry.kind is Kind.CORRECTION and entry.occurred_at is not None
        return (entry.occurred_at if corrected else clock.now()) >= start  # type: ignore[operator]

    return owes
