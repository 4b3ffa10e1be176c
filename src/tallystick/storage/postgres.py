"""PostgreSQL through psycopg 3: own connections, durable commits, short lock waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tallystick.errors import (
    ConfigError,
    EntryRefusedError,
    LedgerBusyError,
    LedgerError,
    LedgerUnreachableError,
    SchemaError,
)
from tallystick.storage import migrations
from tallystick.storage.durability import check_guards, check_keys, check_postgres
from tallystick.storage.port import Statement
from tallystick.storage.queries import expand, load
from tallystick.storage.threads import ThreadConnections
from tallystick.values.failpoint import failpoint

try:
    import psycopg
except ImportError:  # the extra is optional; opening a PostgreSQL store says so
    psycopg = None  # type: ignore[assignment]


class PostgresTransaction:
    """Statements on one open PostgreSQL transaction, ours or the application's."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self._queries = load("postgres")

    def see_one_snapshot(self) -> None:
        """Have all statements of this transaction read the same state, and none write."""
        self._cursor.execute("set transaction isolation level repeatable read, read only")

    def wait_for_locks(self, seconds: float) -> None:
        """How long statements of this transaction wait for rows that somebody else holds."""
        self._cursor.execute(f"set local lock_timeout = '{int(seconds * 1000)}ms'")

    def run(self, statement: Statement) -> Any:
        """Run one named query: a list of tuples, or the number of rows touched."""
        query = self._queries[statement.query]
        text, params = render_statement(statement)
        self._cursor.execute(text, params)
        return self._cursor.fetchall() if query.returns else self._cursor.rowcount


def render_statement(statement: Statement) -> tuple[str, Any]:
    """The text and parameters of a statement, in psycopg's style; rows become one array a column."""
    query = load("postgres")[statement.query]
    if statement.rows is None:
        return query.sql, statement.params
    columns = [list(column) for column in zip(*statement.rows, strict=True)]
    return expand(query, len(statement.rows), "postgres"), columns or [[] for _ in query.row_types]


class PostgresStore:
    """The ledger's PostgreSQL database; its tables live in schema `tallystick`.

    `lock_seconds` is how long one statement waits for a row that somebody else holds.
    """

    dialect = "postgres"

    def __init__(self, url: str, *, lock_seconds: float = 0.03, auto_migrate: bool = False) -> None:
        if psycopg is None:
            raise ConfigError("a PostgreSQL store needs psycopg; install tallystick[postgres]")
        self.url = url
        self._lock_seconds = lock_seconds
        self._connections = ThreadConnections(self._connect)
        if auto_migrate:
            self.migrate()
        self._check()

    def migrate(self) -> list[migrations.Migration]:
        """Bring the schema up to date; the steps taken."""
        with self._connect() as connection, connection.cursor() as cursor:
            return migrations.migrate(cursor, "postgres")

    def _check(self) -> None:
        with self._connect() as connection, connection.cursor() as cursor:
            migrations.check(cursor, "postgres")
            check_postgres(cursor)
            cursor.execute(_PRIMARY_KEYS)
            check_keys({table: tuple(columns) for table, columns in cursor.fetchall()})
            cursor.execute(_GUARDS)
            check_guards({name for (name,) in cursor.fetchall()}, "postgres")

    def _connect(self) -> Any:
        try:
            connection = psycopg.connect(self.url, prepare_threshold=2)
            connection.execute("set synchronous_commit = on")
            connection.execute("set default_transaction_isolation = 'read committed'")
            connection.execute(f"set lock_timeout = '{int(self._lock_seconds * 1000)}ms'")
            connection.commit()
            return connection
        except psycopg.Error as error:
            raise LedgerUnreachableError(f"PostgreSQL cannot be reached: {str(error).strip()}") from error

    @contextmanager
    def write(self, *, patience_seconds: float | None = None) -> Iterator[PostgresTransaction]:
        """A transaction that commits, durably, at the end of the block; `patience_seconds` for row locks."""
        with self._transaction() as transaction:
            if patience_seconds is not None:
                transaction.wait_for_locks(patience_seconds)
            failpoint("postgres.begun")
            yield transaction
            failpoint("postgres.committing")
        failpoint("postgres.committed")

    @contextmanager
    def read(self) -> Iterator[PostgresTransaction]:
        """A consistent read: every statement sees the same snapshot."""
        with self._transaction() as transaction:
            transaction.see_one_snapshot()
            yield transaction

    @contextmanager
    def _transaction(self) -> Iterator[PostgresTransaction]:
        connection, transaction = self._begin()
        try:
            with transaction, connection.cursor() as cursor:
                yield PostgresTransaction(cursor)
        except psycopg.Error as error:
            if connection.broken:
                connection.close()
                raise LedgerUnreachableError(f"PostgreSQL: {str(error).strip()}") from error
            raise _explain(error) from error

    def _begin(self) -> tuple[Any, ExitStack]:
        """A connection with an open transaction; one that died while it lay idle is replaced, once."""
        for last in (False, True):
            connection = self._connections.get()
            try:
                with ExitStack() as stack:
                    stack.enter_context(connection.transaction())
                    return connection, stack.pop_all()
            except psycopg.Error as error:
                connection.close()
                if last:
                    raise LedgerUnreachableError(f"PostgreSQL: {str(error).strip()}") from error
        raise AssertionError("the second attempt returns or raises")

    def close(self) -> None:
        """Close this process's connections."""
        self._connections.close()


def _explain(error: Any) -> Exception:
    """The error in our words, with the fix."""
    text = str(error).strip()
    if isinstance(error, psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected):
        return LedgerBusyError(f"another transaction holds the same key longer than the budget ({text})")
    if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.InvalidSchemaName):
        return SchemaError(f"{text}; run: tallystick migrate")
    if isinstance(error, psycopg.DataError | psycopg.IntegrityError):
        return EntryRefusedError(f"PostgreSQL: {text}")
    return LedgerError(f"PostgreSQL: {text}")


_GUARDS = """
select indexname from pg_indexes where schemaname = 'tallystick' and indexdef like 'CREATE UNIQUE%'
union all
select t.tgname from pg_trigger t
join pg_class c on c.oid = t.tgrelid
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'tallystick' and t.tgenabled <> 'D'
"""
_PRIMARY_KEYS = """
select c.relname, array_agg(a.attname::text order by k.place)
from pg_constraint p
join pg_class c on c.oid = p.conrelid
join pg_namespace n on n.oid = c.relnamespace
cross join lateral unnest(p.conkey) with ordinality as k(number, place)
join pg_attribute a on a.attrelid = c.oid and a.attnum = k.number
where n.nspname = 'tallystick' and p.contype = 'p'
group by c.relname
"""
