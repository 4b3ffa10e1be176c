"""Corrections: what an entry should have said, as a new signed entry with a reason and a name."""

from __future__ import annotations

import json
from typing import Any

from tallystick.actions.recorder import Recorder, canonical
from tallystick.errors import ActionError, LedgerBusyError
from tallystick.ledger import reading
from tallystick.ledger.model import Entry, Kind, Posted, Posting
from tallystick.values.identifiers import from_public

ATTEMPTS = 8


def correct(recorder: Recorder, entry: Entry | str, quantity: Any, *, reason: str, by: str) -> Posted:
    """Post the difference between `quantity` and what the entry and its corrections come to.

    A second person correcting at the same moment is seen: both take the entry's next correction number as
    key, and the later one looks again. Nothing is posted when the entry says that already.
    """
    for what, text in (("reason", reason), ("by", by)):
        if not text.strip():
            raise ActionError(f"{what}={text!r}: a correction needs a reason and a name; give both")
    original = _original(recorder, entry)
    for _ in range(ATTEMPTS):
        posting = _difference(recorder, original, quantity, reason, by)
        if posting is None:
            return Posted(())
        posted = recorder.post(posting)
        if not posted.repeated:
            return posted
    raise LedgerBusyError(
        f"entry {original.id} is being corrected by somebody else; look at it and try again"
    )


def _original(recorder: Recorder, entry: Entry | str) -> Entry:
    name = entry if isinstance(entry, str) else entry.id
    found = recorder.ledger.find(from_public(name))
    if found is None:
        raise ActionError(f"{name!r} is no entry of this ledger; `tally.entries(...)` lists a customer's")
    if found.kind is Kind.HOLD:
        raise ActionError(f"{name} is a hold; settle or void it (tallystick holds)")
    if found.kind is Kind.CORRECTION:
        raise ActionError(f"{name} is a correction itself; give the id of the entry it corrects")
    return found


def _difference(recorder: Recorder, original: Entry, quantity: Any, reason: str, by: str) -> Posting | None:
    meter = recorder.catalogue[original.meter]
    if meter.counted_there:
        raise ActionError(
            f"{original.id}: the provider's meter {meter.provider_name!r} counts events and cannot take one back; "
            "give a credit there instead"
        )
    before = [e for e in recorder.ledger.read(reading.referring(original)) if e.kind is Kind.CORRECTION]
    steps = meter.steps(quantity) - original.quantity - sum(e.quantity for e in before)
    if steps == 0:
        return None
    attributes = json.loads(original.attributes) if original.attributes else {}
    told = canonical({**attributes, "correction_reason": reason, "corrected_by": by})
    correction = recorder.entry(
        Kind.CORRECTION,
        meter,
        original.customer,
        steps,
        key=f"correction {len(before) + 1} of {original.id}",
        refers=original.entry,
        attributes=told,
        occurred_at=original.recorded_at,
    )
    return Posting((correction,))
