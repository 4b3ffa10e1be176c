"""The ledger's tables read past the ledger's own code, with a connection of the test's own."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import psycopg


def connect(url: str) -> Any:
    """An application's connection to the ledger's database, in a transaction that can write."""
    if url.startswith("sqlite:///"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        connection.execute("pragma synchronous=full")
        connection.execute("begin immediate")
        return connection
    return psycopg.connect(url)


def rows(url: str, sql: str) -> list[tuple[Any, ...]]:
    """All rows of a query that names tables as `tallystick.table`."""
    if url.startswith("sqlite:///"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            return connection.execute(sql.replace("tallystick.", "tallystick_")).fetchall()
    with psycopg.connect(url) as postgres:
        return postgres.execute(sql.encode()).fetchall()
