"""A settle that comes after its hold expired: the difference to what the expiry billed is posted.

The expiry keeps its place as the hold's one resolution (T5); what the action really used is added as a
signed correction of the estimate, so that the sum is exact. A hold that a person resolved stays as decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from tallystick.ledger.model import Entry, Kind, Outcome, Piece, Resolution, to_entry
from tallystick.storage import Flow, Statement

Place = tuple[int, bytes]


def differences(
    pieces: Sequence[Piece], rivals: Mapping[int, Resolution]
) -> Flow[dict[int, tuple[Entry, ...]]]:
    """What to post for the pieces that lost to an expiry, by index; the others that lost post nothing."""
    late = {
        index: (r.lane, r.hold)
        for index, r in rivals.items()
        if r.outcome is Outcome.EXPIRED and _is_the_action(pieces[index])
    }
    if not late:
        return {}
    rows = yield Statement("find_entries", rows=sorted(set(late.values())))
    holds = {(hold.lane, hold.entry): hold for hold in map(to_entry, rows)}
    rows = yield Statement(
        "entries_referring",
        rows=sorted((h.lane, h.customer, h.meter, h.recorded_at, h.entry) for h in holds.values()),
    )
    billed: dict[Place, list[Entry]] = {}
    for entry in map(to_entry, rows):
        assert entry.refers is not None
        billed.setdefault((entry.lane, entry.refers), []).append(entry)
    return {index: _difference(pieces[index], billed.get(place, ())) for index, place in late.items()}


def _is_the_action(piece: Piece) -> bool:
    """Whether the action itself ends; a policy or a person (`by`) that came too late posts nothing."""
    return piece.posting.resolution is not None and not piece.posting.resolution.by


def _difference(piece: Piece, billed: Sequence[Entry]) -> tuple[Entry, ...]:
    """The entries of an action whose hold expired; those of the estimated meter become one correction."""
    entries = piece.posting.entries
    ours = {entry.entry for entry in entries}  # there already when the flow runs a second time
    estimate = next((entry for entry in billed if entry.entry not in ours), None)
    if estimate is None:
        return entries
    used = sum(entry.quantity for entry in entries if entry.meter == estimate.meter)
    others = tuple(entry for entry in entries if entry.meter != estimate.meter)
    if used == estimate.quantity:
        return others
    correction = msgspec.structs.replace(
        estimate,
        entry=piece.mark,
        kind=Kind.CORRECTION,
        quantity=used - estimate.quantity,
        key=None,
        refers=estimate.entry,
        recorded_at=0,
    )
    return (*others, correction)
