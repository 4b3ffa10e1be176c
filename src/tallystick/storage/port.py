"""The small port between the stations and a database: statements by name, transactions, flows.

A *flow* is a generator that yields statements and receives their results. It is written once and
driven on any transaction: ours or the application's, sync or async.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

import msgspec

Row = tuple[Any, ...]
T = TypeVar("T")


class Statement(msgspec.Struct, frozen=True, gc=False):
    """A named query with its parameters, or with rows for a query that holds `:rows`.

    Its result is a list of tuples for a query that returns rows, else the number of rows touched.
    """

    query: str
    params: dict[str, Any] = {}
    rows: Sequence[Row] | None = None


Flow = Generator[Statement, Any, T]


class Transaction(Protocol):
    """An open transaction; whoever opened it ends it."""

    def run(self, statement: Statement) -> Any:
        """Run one named query: a list of tuples, or the number of rows touched."""
        ...


class Store(Protocol):
    """A database that keeps its promises: `write` returns after the commit is durable."""

    dialect: str
    url: str

    def write(self, *, patience_seconds: float | None = None) -> AbstractContextManager[Transaction]:
        """A transaction that commits at the end of the block, durably, or not at all.

        `patience_seconds` is how long a statement waits for rows locked by somebody else.
        """
        ...

    def read(self) -> AbstractContextManager[Transaction]:
        """A consistent read; nothing is written."""
        ...

    def close(self) -> None:
        """Close this process's connections."""
        ...


def drive(transaction: Transaction, flow: Flow[T]) -> T:
    """Run a flow to its end on a transaction and give back what it returns."""
    try:
        statement = next(flow)
        while True:
            statement = flow.send(transaction.run(statement))
    except StopIteration as stop:
        result: T = stop.value
        return result
