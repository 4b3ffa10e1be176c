"""The hash chain of a lane: each entry's hash covers the one before and the entry's canonical text."""

from __future__ import annotations

import hashlib

from tallystick.ledger.model import Entry

START = b"\0" * 32


def canonical(entry: Entry) -> bytes:
    """The one text of an entry that hashes are made of."""
    fields = (
        entry.id,
        int(entry.kind),
        entry.tenant,
        entry.mode,
        entry.account,
        entry.customer,
        entry.meter,
        entry.quantity,
        "" if entry.key is None else f"={entry.key}",
        "" if entry.refers is None else entry.refers.hex(),
        entry.attributes,
        "" if entry.occurred_at is None else entry.occurred_at,
        entry.recorded_at,
    )
    return "\0".join(map(str, fields)).encode()


def extend(before: bytes, position: int, entry: Entry) -> bytes:
    """The hash after one more entry."""
    return hashlib.sha256(before + position.to_bytes(8, "big") + canonical(entry)).digest()
