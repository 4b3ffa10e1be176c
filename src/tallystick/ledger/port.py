"""What the stations upstream may ask of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from tallystick.ledger.model import Posted, Posting


class Ledger(Protocol):
    """Post and read back; every `post` returns only after its own entries are durable."""

    def post(self, posting: Posting) -> Posted:
        """Post in tallystick's own group commit and wait for it; LedgerError when it cannot be written."""
        ...

    async def post_async(self, posting: Posting) -> Posted:
        """The awaitable `post`."""
        ...

    def post_many(self, postings: Sequence[Posting]) -> list[Posted]:
        """Post many pieces, sharing commits; results in the given order."""
        ...

    def post_on(self, connection: Any, posting: Posting) -> Any:
        """Post on the application's open transaction: a Carried, or an awaitable of one if it is async.

        Raises TransactionError when the connection is not in a transaction that can carry the entry
        safely, or does not reach the ledger's own database.
        """
        ...

    def committed(self, entries: Sequence[tuple[int, bytes]]) -> set[bytes]:
        """Which of these (lane, entry) pairs are committed, read back on a connection of our own."""
        ...

    async def committed_async(self, entries: Sequence[tuple[int, bytes]]) -> set[bytes]:
        """The awaitable `committed`."""
        ...
