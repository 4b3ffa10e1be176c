"""The values of the ledger: entries, resolutions, and what a posting gives back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import msgspec

from tallystick.values.identifiers import to_public


class Kind(IntEnum):
    """The three kinds of entries."""

    HOLD = 1
    USAGE = 2
    CORRECTION = 3


class Outcome(IntEnum):
    """How a hold ended; at most one resolution per hold."""

    SETTLED = 1
    VOIDED = 2
    EXPIRED = 3


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One immutable row of the ledger.

    `quantity` counts steps of 10^-decimals of the meter's unit; `recorded_at` and `occurred_at` are
    microseconds since 1970 UTC, `recorded_at` from the database's clock (0 until it is posted).
    `key` is the logical operation, or None for an entry that is its own operation; `refers` names
    the hold that a usage settles, or the entry that a correction corrects; `attributes` is a JSON
    object in canonical form ('' for none).
    """

    lane: int
    entry: bytes
    kind: Kind
    tenant: str
    mode: str
    account: str
    customer: str
    meter: str
    quantity: int
    key: str | None = None
    refers: bytes | None = None
    attributes: str = ""
    occurred_at: int | None = None
    recorded_at: int = 0

    @property
    def id(self) -> str:
        """The public id; it embeds the lane."""
        return to_public(self.lane, self.entry)

    def content(self) -> bytes:
        """Hash of what the entry says, apart from its id and time: equal for a harmless repeat."""
        text = "\0".join(
            (
                str(int(self.kind)),
                self.tenant,
                self.mode,
                self.account,
                self.customer,
                self.meter,
                str(self.quantity),
                self.attributes,
            )
        )
        return hashlib.sha256(text.encode()).digest()


class Resolution(msgspec.Struct, frozen=True, gc=False):
    """The end of a hold: whoever inserts the row for a hold wins, losers read it back."""

    lane: int
    hold: bytes
    outcome: Outcome
    reason: str = ""
    by: str = ""


class Posting(msgspec.Struct, frozen=True, gc=False):
    """What is posted in one piece, both or neither: entries of one customer and a resolution.

    When the resolution loses (the hold was resolved before), none of the entries is posted.
    """

    entries: tuple[Entry, ...]
    resolution: Resolution | None = None


class Posted(msgspec.Struct, frozen=True, gc=False):
    """What a posting came to.

    `entries` are the entries as they stand in the ledger: for a repeated key the first one.
    `repeated` lists indexes whose key was there before; `conflicting` those of them whose content differs.
    `resolved_before` is the resolution that won against ours. `spooled`: the ledger could not write, the
    local spool keeps the entries until it can.
    """

    entries: tuple[Entry, ...]
    repeated: tuple[int, ...] = ()
    conflicting: tuple[int, ...] = ()
    resolved_before: Resolution | None = None
    spooled: bool = False


class Piece(msgspec.Struct, frozen=True, gc=False):
    """A posting on its way into the ledger; `mark` tells its resolution from a rival's."""

    posting: Posting
    mark: bytes = b""


def to_entry(row: Sequence[Any]) -> Entry:
    """The entry of a database row."""
    lane, entry, kind, tenant, mode, account, customer, meter, quantity, key, refers, *rest = row
    attributes, occurred_at, recorded_at = rest
    return Entry(
        lane,
        bytes(entry),
        Kind(kind),
        tenant,
        mode,
        account,
        customer,
        meter,
        quantity,
        key,
        None if refers is None else bytes(refers),
        attributes,
        occurred_at,
        recorded_at,
    )
