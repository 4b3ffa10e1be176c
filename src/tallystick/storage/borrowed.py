"""The application's own connection: check that it carries an entry safely, and run statements on it.

Known are `sqlite3.Connection`, psycopg's `Connection` and `AsyncConnection`, and SQLAlchemy 2's
`Connection`, `Session`, `AsyncConnection` and `AsyncSession`. Whoever opened the transaction ends it:
nothing here commits or rolls back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Protocol

from tallystick.errors import TallystickError, TransactionError
from tallystick.storage.port import Flow, Statement, Transaction, drive
from tallystick.storage.postgres import PostgresTransaction, render_statement
from tallystick.storage.queries import load
from tallystick.storage.sqlite import SqliteTransaction

_OPEN, _BROKEN = 2, 3  # libpq: PQTRANS_INTRANS, PQTRANS_INERROR


class Carrier(Protocol):
    """An application's transaction that carries entries."""

    is_async: bool

    def ended(self) -> bool:
        """Whether the transaction that carried the entry is over."""
        ...


def is_async(connection: Any) -> bool:
    """Whether entries on this connection are posted by awaiting."""
    return type(connection).__name__ in ("AsyncSession", "AsyncConnection", "async_scoped_session")


def post_on(connection: Any, dialect: str, flow: Callable[[], Flow[Any]]) -> tuple[Any, Callable[[], bool]]:
    """Run a flow on the application's open transaction; its result, and a test whether that is over."""
    transaction, ended = _borrow(connection, dialect)
    try:
        return drive(transaction, flow()), ended
    except TallystickError:
        raise
    except Exception as error:
        raise _explain(error) from error


async def post_on_async(
    connection: Any, dialect: str, flow: Callable[[], Flow[Any]]
) -> tuple[Any, Callable[[], bool]]:
    """The awaitable `post_on`, for asynchronous connections."""
    if hasattr(connection, "run_sync"):  # SQLAlchemy: the sync view inside its own greenlet
        result: tuple[Any, Callable[[], bool]] = await connection.run_sync(
            lambda inner: post_on(inner, dialect, flow)
        )
        return result
    _check_psycopg(connection, dialect)
    try:
        async with connection.cursor() as cursor:
            await _require_durable_commit_async(cursor)
            return await _drive_async(cursor, flow()), _psycopg_ended(connection)
    except TallystickError:
        raise
    except Exception as error:
        raise _explain(error) from error


async def _drive_async(cursor: Any, flow: Flow[Any]) -> Any:
    queries = load("postgres")
    try:
        statement: Statement = next(flow)
        while True:
            text, params = render_statement(statement)
            await cursor.execute(text, params)
            returns = queries[statement.query].returns
            statement = flow.send(await cursor.fetchall() if returns else cursor.rowcount)
    except StopIteration as stop:
        return stop.value


def _borrow(connection: Any, dialect: str) -> tuple[Transaction, Callable[[], bool]]:
    module = type(connection).__module__
    if module == "sqlite3":
        return _borrow_sqlite(connection, dialect)
    if module.startswith("psycopg.") or module == "psycopg":
        _check_psycopg(connection, dialect)
        cursor = connection.cursor()
        _require_durable_commit(cursor)
        return PostgresTransaction(cursor), _psycopg_ended(connection)
    if (
        module.startswith("sqlalchemy")
        or hasattr(connection, "exec_driver_sql")
        or hasattr(connection, "get_bind")
    ):
        return _borrow_sqlalchemy(connection, dialect)
    raise TransactionError(
        f"on= is a {module}.{type(connection).__name__}; give an open sqlite3, psycopg or SQLAlchemy 2 transaction"
    )


def _borrow_sqlite(connection: Any, dialect: str) -> tuple[Transaction, Callable[[], bool]]:
    _require_dialect("sqlite", dialect)
    if not connection.in_transaction:
        raise TransactionError(
            "on= is a sqlite3 connection without an open transaction (autocommit): the entry would stay when "
            "your rows roll back. Execute BEGIN IMMEDIATE first, or leave on= out"
        )
    _require_full(connection.execute("pragma synchronous").fetchone()[0])
    return SqliteTransaction(connection), lambda: _sqlite_ended(connection)


def _sqlite_ended(connection: Any) -> bool:
    try:
        return not connection.in_transaction
    except sqlite3.ProgrammingError:  # closed: whatever was open is over
        return True


def _require_full(level: int) -> None:
    if level < 2:
        raise TransactionError(
            f"on= is a SQLite connection with synchronous={('OFF', 'NORMAL')[level]}, which loses acknowledged "
            "commits in a power cut; execute PRAGMA synchronous=FULL when you open it"
        )


def _check_psycopg(connection: Any, dialect: str) -> None:
    _require_dialect("postgres", dialect)
    status = connection.info.transaction_status
    if status == _BROKEN:
        raise TransactionError("on= is a transaction that has failed; roll it back, then record in a new one")
    if status != _OPEN and connection.autocommit:
        raise TransactionError(
            "on= is a psycopg connection in autocommit without an open transaction; "
            "use `with connection.transaction():`, or leave on= out"
        )


def _psycopg_ended(connection: Any) -> Callable[[], bool]:
    return lambda: connection.closed or connection.info.transaction_status not in (1, _OPEN)


def _require_durable_commit(cursor: Any) -> None:
    if cursor.execute("show synchronous_commit").fetchone()[0] == "off":
        raise TransactionError(_COMMIT_OFF)


async def _require_durable_commit_async(cursor: Any) -> None:
    await cursor.execute("show synchronous_commit")
    if (await cursor.fetchone())[0] == "off":
        raise TransactionError(_COMMIT_OFF)


_COMMIT_OFF = (
    "on= is a transaction with synchronous_commit=off, which loses acknowledged commits when the server is killed; "
    "remove that setting, or execute SET LOCAL synchronous_commit = on before recording"
)


class AlchemyTransaction:
    """Statements through a SQLAlchemy connection, whatever its driver."""

    def __init__(self, connection: Any, dialect: str) -> None:
        self._connection = connection
        self._dialect = dialect
        self._queries = load(dialect)

    def run(self, statement: Statement) -> Any:
        """Run one named query: a list of tuples, or the number of rows touched."""
        returns = self._queries[statement.query].returns
        if self._dialect == "postgres":
            text, params = render_statement(statement)
            result = self._connection.exec_driver_sql(
                text, params if isinstance(params, dict) else tuple(params)
            )
            return [tuple(row) for row in result] if returns else result.rowcount
        return SqliteTransaction(_AlchemyCursor(self._connection)).run(statement)  # type: ignore[arg-type]


class _AlchemyCursor:
    """Just enough of a sqlite3 connection for SqliteTransaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, sql: str, params: Any = ()) -> Any:
        return self._connection.exec_driver_sql(sql, params)


def _borrow_sqlalchemy(connection: Any, dialect: str) -> tuple[Transaction, Callable[[], bool]]:
    if hasattr(
        connection, "get_bind"
    ):  # a Session: the connection of its transaction, begun by this if need be
        session, connection = connection, connection.connection()
        current = session.get_transaction()
    else:
        current = connection.get_transaction()
    backend = connection.dialect.name
    _require_dialect("postgres" if backend == "postgresql" else backend, dialect)
    if current is None:
        raise TransactionError(
            "on= is a SQLAlchemy connection without an open transaction; use `with connection.begin():`, "
            "or leave on= out"
        )
    if backend == "postgresql" and connection.dialect.driver not in ("psycopg", "psycopg2", "psycopg_async"):
        raise TransactionError(
            f"on= uses the driver {connection.dialect.driver!r}; entries can ride on psycopg (postgresql+psycopg://)"
        )
    _check_sqlalchemy_settings(connection, backend)
    return AlchemyTransaction(connection, dialect), lambda: not current.is_active


def _check_sqlalchemy_settings(connection: Any, backend: str) -> None:
    if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT" or (
        connection.default_isolation_level and connection.get_isolation_level() == "AUTOCOMMIT"
    ):
        raise TransactionError(
            "on= is a SQLAlchemy connection with isolation_level AUTOCOMMIT: the entry would stay when your rows "
            "roll back. Use a transactional engine, or leave on= out"
        )
    if backend == "sqlite":
        _require_full(connection.exec_driver_sql("pragma synchronous").scalar_one())
    elif connection.exec_driver_sql("show synchronous_commit").scalar_one() == "off":
        raise TransactionError(_COMMIT_OFF)


def _require_dialect(found: str, dialect: str) -> None:
    if found != dialect:
        names = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
        raise TransactionError(
            f"on= is a {names.get(found, found)} transaction, the ledger lives in {names[dialect]}; "
            "point TALLYSTICK_STORE at the application's database, or leave on= out"
        )


def _explain(error: Exception) -> Exception:
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if "locked" in text:
        return TransactionError(
            f"on=: {text}: this transaction began as a reader (BEGIN or BEGIN DEFERRED) and another writer got in; "
            "begin with BEGIN IMMEDIATE"
        )
    if "no such table" in text or "does not exist" in text:
        return TransactionError(
            f"on=: {text}: this is not the ledger's database, or it was not migrated; "
            "point TALLYSTICK_STORE at the application's database and run: tallystick migrate"
        )
    return TransactionError(f"on=: the entry could not be written on your transaction: {text}")
