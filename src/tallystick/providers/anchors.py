"""The port of places outside the database that remember how far a ledger has come."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Anchor(msgspec.Struct, frozen=True):
    """How far a ledger had come at an instant, and who said so.

    `positions` is how many entries were in its chains, `digest` the hash of all chain heads. Each anchor follows
    the one before it by `generation`; `token` is drawn anew for each, so that two copies of a ledger tell
    their own from the other's. `at` in microseconds since 1970 UTC.
    """

    ledger: str
    generation: int
    token: str
    positions: int
    digest: str
    at: int


class Anchors(Protocol):
    """A place that keeps one anchor of each ledger; `name` says which in findings."""

    name: str

    def read(self, ledger: str) -> Anchor | None:
        """The anchor kept there; None when there is none. ProviderError when that cannot be read."""
        ...

    def write(self, anchor: Anchor, before: Anchor | None) -> bool:
        """Keep an anchor in place of the one before; False when somebody else's is there. ProviderError."""
        ...
