"""What a ledger holds, read from its tables with plain SQL: the checks do not trust tallystick's own reading."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

ENTRIES = (
    "select lane, entry, kind, customer, meter, quantity, key, refers, attributes, recorded_at from {}entries"
)
HOLD = 1


@dataclass
class Records:
    """The rows of some customers."""

    entries: dict[bytes, tuple[Any, ...]] = field(default_factory=dict)
    resolutions: Counter[bytes] = field(default_factory=Counter)
    unsent: int = 0
    unsettled: list[tuple[str, str]] = field(default_factory=list)
    orders: set[str] = field(default_factory=set)

    @property
    def holds(self) -> set[bytes]:
        """Ids of all holds."""
        return {entry for entry, row in self.entries.items() if row[2] == HOLD}

    @property
    def usage(self) -> list[tuple[Any, ...]]:
        """Rows of usage."""
        return [row for row in self.entries.values() if row[2] != HOLD]


@contextmanager
def reading(url: str) -> Iterator[tuple[Any, str, str]]:
    """One snapshot: a connection, the prefix of the ledger's tables, and the mark of a parameter.

    PostgreSQL may still be at a COMMIT that a process sent right before it died.
    """
    if url.startswith("sqlite:///"):
        with closing(
            sqlite3.connect(url.removeprefix("sqlite:///"), timeout=10, isolation_level=None)
        ) as connection:
            connection.execute("begin")
            yield connection, "tallystick_", "?"
    else:
        with psycopg.connect(url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            yield connection, "tallystick.", "%s"


def read(url: str, customers: Sequence[str]) -> Records:
    """Everything the ledger knows of these customers."""
    found = Records()
    with reading(url) as (db, prefix, mark):
        listed = ", ".join([mark] * len(customers))
        of_customers = f" where customer in ({listed})"
        for row in db.execute(ENTRIES.format(prefix) + of_customers, tuple(customers)).fetchall():
            found.entries[bytes(row[1])] = (
                row[0],
                bytes(row[1]),
                *row[2:7],
                row[7] and bytes(row[7]),
                *row[8:],
            )
        of_entries = f" in (select entry from {prefix}entries{of_customers})"
        for (hold,) in db.execute(
            f"select hold from {prefix}resolutions where hold{of_entries}", tuple(customers)
        ).fetchall():
            found.resolutions[bytes(hold)] += 1
        [(found.unsent,)] = db.execute(
            f"select count(*) from {prefix}obligations where dispatch is null and entry{of_entries}",
            tuple(customers),
        ).fetchall()
        found.unsettled = db.execute(
            f"select state, reason from {prefix}dispatches{of_customers} and state not in ('accepted', 'confirmed')",
            tuple(customers),
        ).fetchall()
        found.orders = {
            job for (job,) in db.execute(f"select job from orders{of_customers}", tuple(customers)).fetchall()
        }
    return found
