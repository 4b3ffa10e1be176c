"""Pure decisions about a hold that is due."""

from __future__ import annotations

import msgspec

from tallystick.ledger.model import Entry, Kind, Outcome, Posting, Resolution
from tallystick.meters import Expiry, Meter
from tallystick.values.instant import SECOND


def due_at(hold: Entry, meter: Meter) -> int:
    """When the meter's patience with a hold ends, in microseconds since 1970 UTC."""
    return hold.recorded_at + meter.hold_seconds * SECOND


def settlement(hold: Entry, identity: bytes, steps: int) -> Entry:
    """The usage that a hold is settled with: whose, of what and under which key, the hold says."""
    return msgspec.structs.replace(
        hold, entry=identity, kind=Kind.USAGE, quantity=steps, refers=hold.entry, recorded_at=0
    )


def superseded(hold: Entry) -> Posting:
    """A run that broke off, of an operation that another run has recorded under the same key: it counts once."""
    reason = f"another run recorded {hold.key!r}"
    return Posting((), Resolution(hold.lane, hold.entry, Outcome.VOIDED, reason, "policy key"))


def expiry(hold: Entry, meter: Meter, identity: bytes, progress: int | None) -> Posting | None:
    """What the meter's policy makes of an overdue hold; None when it waits for a person.

    `progress` is the last checkpoint of a stream: it was measured, and stands in place of an estimate.
    """
    if meter.on_expiry is Expiry.REVIEW:
        return None
    reason = f"expired after {meter.hold_seconds} s"
    resolution = Resolution(hold.lane, hold.entry, Outcome.EXPIRED, reason, f"policy {meter.on_expiry.value}")
    if meter.on_expiry is Expiry.VOID:
        return Posting((), resolution)
    return Posting(
        (settlement(hold, identity, meter.estimate if progress is None else progress),), resolution
    )
