"""SQLite: WAL, `synchronous=FULL` on every connection, BEGIN IMMEDIATE, turns through a file lock."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from tallystick.errors import EntryRefusedError, LedgerBusyError, LedgerError, SchemaError, UnsafeStoreError
from tallystick.storage import migrations
from tallystick.storage.durability import REQUIRED_KEYS, check_disk, check_guards, check_keys
from tallystick.storage.port import Statement
from tallystick.storage.queries import Query, expand, load
from tallystick.storage.threads import ThreadConnections
from tallystick.storage.turn import Turn
from tallystick.values.failpoint import failpoint

_CHUNK = 256  # rows per statement; the text of each power of two below it stays prepared
_FULL = 2


class SqliteTransaction:
    """Statements on one open SQLite transaction, ours or the application's."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute
        self._queries = load("sqlite")

    def run(self, statement: Statement) -> Any:
        """Run one named query: a list of tuples, or the number of rows touched."""
        query = self._queries[statement.query]
        if statement.rows is not None:
            return self._run_rows(query, statement.rows)
        cursor = self._execute(query.sql, statement.params)
        return cursor.fetchall() if query.returns else cursor.rowcount

    def _run_rows(self, query: Query, rows: Any) -> Any:
        results: list[Any] = []
        touched = done = 0
        while done < len(rows):
            size = min(_CHUNK, 1 << ((len(rows) - done).bit_length() - 1))
            values = tuple(chain.from_iterable(rows[done : done + size]))
            cursor = self._execute(expand(query, size, "sqlite"), values)
            if query.returns:
                results += cursor.fetchall()
            else:
                touched += cursor.rowcount
            done += size
        return results if query.returns else touched


class SqliteStore:
    """The ledger's SQLite file.

    `wait_seconds` bounds how long a write waits for other writers; `relaxed` (tests only) gives up
    durability for speed.
    """

    dialect = "sqlite"

    def __init__(self, path: str | Path, *, wait_seconds: float = 5.0, relaxed: bool = False) -> None:
        self.path = Path(path)
        self.url = f"sqlite:///{self.path}"
        self.relaxed = relaxed
        self._wait = wait_seconds
        self._turn = Turn(self.path, wait_seconds)
        self._connections = ThreadConnections(self._connect)
        if not relaxed:
            check_disk(self.path)
        self._migrate()

    def _migrate(self) -> None:
        with self._turn.taken():
            connection = self._connect()
            try:
                connection.execute("begin immediate")
                migrations.migrate(connection.cursor(), "sqlite")
                connection.execute("commit")
                check_keys({table: _primary_key(connection, table) for table in REQUIRED_KEYS})
                check_guards(
                    {row[0] for row in connection.execute("select name from sqlite_master")}, "sqlite"
                )
            except sqlite3.Error as error:
                raise _explain(error, self.path) from error
            finally:
                connection.close()

    def _connect(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                self.path,
                timeout=self._wait,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
            journal = connection.execute("pragma journal_mode=wal").fetchone()[0]
            connection.execute(f"pragma synchronous={'off' if self.relaxed else 'full'}")
        except sqlite3.Error as error:
            raise _explain(error, self.path) from error
        if journal != "wal":
            raise UnsafeStoreError(
                f"{self.path}: journal_mode is {journal!r} and cannot be set to WAL; "
                "move the database to a local disk that supports shared memory"
            )
        return connection

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection = self._connections.get()
        return connection

    @contextmanager
    def write(self, *, patience_seconds: float | None = None) -> Iterator[SqliteTransaction]:
        """A transaction that commits, durably, at the end of the block (one writer: patience is fixed)."""
        connection = self._connection()
        with self._turn.taken():
            try:
                failpoint("sqlite.turn")
                self._begin(connection)
                failpoint("sqlite.begun")
                yield SqliteTransaction(connection)
                failpoint("sqlite.committing")
                connection.execute("commit")
                failpoint("sqlite.committed")
            except sqlite3.Error as error:
                raise _explain(error, self.path) from error
            finally:
                if connection.in_transaction:
                    connection.execute("rollback")

    def _begin(self, connection: sqlite3.Connection) -> None:
        level = connection.execute("pragma synchronous").fetchone()[0]
        if level < _FULL and not self.relaxed:
            raise UnsafeStoreError(f"{self.path}: synchronous is {level}, not FULL; something changed it")
        connection.execute("begin immediate")

    @contextmanager
    def read(self) -> Iterator[SqliteTransaction]:
        """A consistent read."""
        connection = self._connection()
        try:
            connection.execute("begin")
            yield SqliteTransaction(connection)
        except sqlite3.Error as error:
            raise _explain(error, self.path) from error
        finally:
            if connection.in_transaction:
                connection.execute("rollback")

    def close(self) -> None:
        """Close this process's connections."""
        self._connections.close()


def _primary_key(connection: sqlite3.Connection, table: str) -> tuple[str, ...]:
    rows = connection.execute(f"pragma table_info(tallystick_{table})").fetchall()
    return tuple(name for place, name in sorted((row[5], row[1]) for row in rows) if place)


def _explain(error: sqlite3.Error, path: Path) -> Exception:
    """The error in our words, with the fix."""
    text = str(error)
    if isinstance(error, sqlite3.IntegrityError | sqlite3.DataError | sqlite3.InterfaceError):
        return EntryRefusedError(f"{path}: {text}")
    if "locked" in text or "busy" in text:
        return LedgerBusyError(
            f"{path}: another connection held the write lock longer than the budget ({text})"
        )
    if "readonly" in text:
        return LedgerError(f"{path} is read-only; give the process write access to the file and its folder")
    if "full" in text:
        return LedgerError(f"{path}: the disk is full; nothing of this commit was recorded")
    if "unable to open" in text:
        return LedgerError(
            f"{path} cannot be opened; does its folder exist, and may this process write there?"
        )
    if "no such table" in text or "no such column" in text:
        return SchemaError(f"{path}: {text}; run: tallystick migrate")
    return LedgerError(f"{path}: {text}")
