"""Pure rules of anchors: what the one outside says about this database. docs/restore.md explains them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import StrEnum

import msgspec

from tallystick.providers.anchors import Anchor


class Own(msgspec.Struct, frozen=True):
    """What this database last said at a place, and what it may be about to say.

    `tokens` are those of its last anchors, and of those that one of its processes is about to write. `since`
    (microseconds) is when it began there; of a database that sends nothing it is the instant of the anchor that it
    does not know: whatever it recorded later, it recorded after the restore.
    """

    place: str
    generation: int = 0
    state: str = "in_force"
    reason: str = ""
    since: int = 0
    tokens: frozenset[str] = frozenset()


class Head(msgspec.Struct, frozen=True):
    """How far the ledger has come: how many entries its chains hold, and the hash of all chain heads."""

    positions: int
    digest: str

    @classmethod
    def of(cls, lanes: Iterable[tuple[int, int, bytes]]) -> Head:
        """The head of all lanes, from each one's number, position and hash."""
        ordered = sorted((lane, position, bytes(digest)) for lane, position, digest in lanes)
        text = "\n".join(f"{lane}:{position}:{digest.hex()}" for lane, position, digest in ordered)
        return cls(sum(position for _, position, _ in ordered), hashlib.sha256(text.encode()).hexdigest())


class Standing(StrEnum):
    """What a comparison says."""

    OURS = "ours"  # the anchor is one that this database wrote, or was about to
    FIRST = "first"  # nobody has anchored this ledger there
    GONE = "gone"  # we have, and it is not there any more
    BEHIND = "behind"  # it is older than ours: the place was restored, not the ledger
    BACKWARDS = "backwards"  # it knows more entries than we have: this database was restored
    ANOTHER = "another"  # somebody else wrote it, from a copy that is not behind us


def compare(theirs: Anchor | None, own: Own | None, head: Head) -> Standing:
    """Judge the anchor outside by what this database last said there, and how far it has come.

    They are read in this order: what another process of the database says in between must not look strange.
    """
    if theirs is None:
        return Standing.FIRST if own is None else Standing.GONE
    if own is not None and theirs.token in own.tokens:
        return Standing.BACKWARDS if head.positions < theirs.positions else Standing.OURS
    if own is not None and theirs.generation < own.generation:
        return Standing.BEHIND
    return Standing.BACKWARDS if head.positions < theirs.positions else Standing.ANOTHER
