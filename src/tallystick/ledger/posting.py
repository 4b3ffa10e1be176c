"""Posting: the one flow that writes entries. It only inserts; it keeps no counter, total or chain.

Invariants named in tests: T1 (entry committed with its transaction), T3 (one entry per key, conflicts
visible), T5 (one resolution per hold). Running the flow again with the same items after a commit of
unknown outcome changes nothing and gives the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tallystick.ledger.late import differences
from tallystick.ledger.model import Entry, Kind, Outcome, Piece, Posted, Resolution, to_entry
from tallystick.storage import Flow, Statement
from tallystick.values.failpoint import failpoint

Key = tuple[int, str, str, str, str, str]


def is_delivered(entry: Entry) -> bool:
    """Whether an entry has to reach the provider: usage and corrections that are not nothing."""
    return entry.kind != Kind.HOLD and entry.quantity != 0


def post(
    pieces: Sequence[Piece],
    *,
    due_at: int,
    stamp: int | None,
    delivered: Callable[[Entry], bool] = is_delivered,
) -> Flow[list[Posted]]:
    """Insert the entries and resolutions of all pieces; what each came to, in order.

    `due_at` is when the relay may take what is owed; `stamp` is the recording time, or None for the
    database's own clock.
    """
    rivals = yield from _resolve(pieces)
    failpoint("posting.resolved")
    won = [() if index in rivals else piece.posting.entries for index, piece in enumerate(pieces)]
    results = yield from _write(won, due_at, stamp, delivered)
    late = yield from differences(pieces, rivals)  # after the writing: an expiry may be of this very batch
    if late:
        written = yield from _write(list(late.values()), due_at, stamp, delivered)
        for index, posted in zip(late, written, strict=True):
            results[index] = posted
    for index, rival in rivals.items():
        results[index] = msgspec.structs.replace(results[index], resolved_before=rival)
    return results


def _write(
    wanted: Sequence[tuple[Entry, ...]],
    due_at: int,
    stamp: int | None,
    delivered: Callable[[Entry], bool],
) -> Flow[list[Posted]]:
    """Claim the keys of these groups of entries and insert what is new; what each group came to."""
    taken = yield from _claim_keys([e for own in wanted for e in own])
    failpoint("posting.claimed")
    if not taken:
        entries = [e for own in wanted for e in own]
        results = [Posted(own) for own in wanted]
    else:
        here = {e.entry: e for own in wanted for e in own}
        entries, results = [], []
        for own in wanted:
            results.append((yield from _partly(own, taken, entries, here)))
    if entries:
        yield from _insert(entries, due_at, stamp, delivered)
    return results


def _insert(
    entries: list[Entry], due_at: int, stamp: int | None, delivered: Callable[[Entry], bool]
) -> Flow[None]:
    yield Statement(
        "insert_entries",
        rows=[
            (
                e.lane,
                e.entry,
                e.kind,
                e.tenant,
                e.mode,
                e.account,
                e.customer,
                e.meter,
                e.quantity,
                e.key,
                e.refers,
                e.attributes,
                e.occurred_at,
                stamp,
            )
            for e in entries
        ],
    )
    failpoint("posting.inserted")
    yield Statement("insert_unsequenced", rows=[(e.lane, e.entry) for e in entries])
    owed = [(e.lane, e.entry, due_at) for e in entries if delivered(e)]
    if owed:
        yield Statement("insert_obligations", rows=owed)
    failpoint("posting.owed")


def _resolve(pieces: Sequence[Piece]) -> Flow[dict[int, Resolution]]:
    """Insert the resolutions; which pieces lost, and to what."""
    rows = [
        (r.lane, r.hold, r.outcome, r.reason, r.by, piece.mark)
        for piece in pieces
        if (r := piece.posting.resolution) is not None
    ]
    # Sorted by hold, so that two postings never wait for each other; of one hold the first here wins.
    rows.sort(key=lambda row: row[:2])
    if not rows:
        return {}
    inserted = yield Statement("insert_resolutions", rows=rows)
    if inserted == len(rows):
        return {}
    found = yield Statement("find_resolutions", rows=sorted({row[:2] for row in rows}))
    winners = {(row[0], bytes(row[1])): row for row in found}
    lost: dict[int, Resolution] = {}
    for index, piece in enumerate(pieces):
        if (resolution := piece.posting.resolution) is not None:
            lane, hold, outcome, reason, by, mark = winners[resolution.lane, resolution.hold]
            if bytes(mark) != piece.mark:
                lost[index] = Resolution(lane, bytes(hold), Outcome(outcome), reason, by)
    return lost


def key_of(entry: Entry) -> Key:
    """The columns that make a key unique."""
    assert entry.key is not None
    return (entry.lane, entry.tenant, entry.mode, entry.customer, entry.meter, entry.key)


def _is_keyed(entry: Entry) -> bool:
    """Whether an entry claims its key; a hold only carries the key on to what will settle it."""
    return entry.key is not None and entry.kind is not Kind.HOLD


def _claim_keys(entries: Sequence[Entry]) -> Flow[dict[Key, tuple[bytes, bytes]]]:
    """Claim the entries' keys; those that belong to an earlier entry, with its id and content."""
    keyed = [e for e in entries if _is_keyed(e)]
    if not keyed:
        return {}
    # Sorted, so that two postings of the same keys wait for each other instead of locking each other out.
    rows: list[tuple[Any, ...]] = sorted((*key_of(e), e.entry, e.content()) for e in keyed)
    claimed = yield Statement("insert_keys", rows=rows)
    if claimed == len(rows):
        return {}
    found = yield Statement("find_keys", rows=sorted({row[:6] for row in rows}))
    return {tuple(row[:6]): (bytes(row[6]), bytes(row[7])) for row in found}


def _partly(
    posting: Sequence[Entry],
    taken: dict[Key, tuple[bytes, bytes]],
    entries: list[Entry],
    here: dict[bytes, Entry],
) -> Flow[Posted]:
    """Post the entries whose key is theirs; for the others read back the entry that has it."""
    standing: list[Entry] = []
    repeated, conflicting = [], []
    for index, entry in enumerate(posting):
        first, content = taken[key_of(entry)] if _is_keyed(entry) else (entry.entry, b"")
        if first == entry.entry:
            entries.append(entry)
            standing.append(entry)
            continue
        repeated.append(index)
        if content != entry.content():
            conflicting.append(index)
        if first in here:  # the first one is of this very batch, and not in the table yet
            standing.append(here[first])
            continue
        rows = yield Statement("find_entries", rows=[(entry.lane, first)])
        standing.append(to_entry(rows[0]) if rows else msgspec.structs.replace(entry, entry=first))
    return Posted(tuple(standing), tuple(repeated), tuple(conflicting))
