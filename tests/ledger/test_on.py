"""`on=`: the entry commits with the application's rows, or not at all (T1)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from tallystick.errors import EntryRefusedError, TransactionError
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.model import Entry, Posting

Make = Callable[..., Entry]


def _quantities(ledger: Ledger) -> list[int]:
    return sorted(e.quantity for e in ledger.entries("org", ["tokens"]))


def _sqlite(url: str, level: str = "full", **options: Any) -> sqlite3.Connection:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), **options)
    connection.execute(f"pragma synchronous={level}")
    return connection


def _engine_url(url: str, asynchronous: bool = False) -> str:
    if url.startswith("sqlite"):
        return url.replace("sqlite:", "sqlite+aiosqlite:") if asynchronous else url
    return url.replace("postgresql:", "postgresql+psycopg:")


def _full(engine: Any) -> Any:
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", lambda raw, _: raw.cursor().execute("pragma synchronous=full"))
    return engine


@pytest.mark.parametrize("commit", [True, False])
def test_driver_connections(ledger: Ledger, entry: Make, store_url: str, commit: bool) -> None:
    """sqlite3 and psycopg: commit keeps the entry, rollback takes it along."""
    connection: Any = _sqlite(store_url) if store_url.startswith("sqlite") else psycopg.connect(store_url)
    connection.execute("begin immediate" if store_url.startswith("sqlite") else "select 1")
    carried = ledger.post_on(connection, Posting((entry("org", 5),)))
    assert not carried.ended()
    connection.commit() if commit else connection.rollback()
    assert carried.ended()
    assert _quantities(ledger) == ([5] if commit else [])
    connection.close()


@pytest.mark.parametrize("commit", [True, False])
def test_sqlalchemy_connection_and_session(ledger: Ledger, entry: Make, store_url: str, commit: bool) -> None:
    """SQLAlchemy 2, Connection and Session, savepoints too."""
    engine = _full(sa.create_engine(_engine_url(store_url)))
    with engine.connect() as connection:
        transaction = connection.begin()
        carried = ledger.post_on(connection, Posting((entry("org", 5),)))
        assert not carried.ended()
        transaction.commit() if commit else transaction.rollback()
        assert carried.ended()
    with Session(engine) as session:
        ledger.post_on(session, Posting((entry("org", 7),)))
        session.commit() if commit else session.rollback()
    assert _quantities(ledger) == ([5, 7] if commit else [])
    engine.dispose()


def test_a_savepoint_takes_its_entry_along(ledger: Ledger, entry: Make, postgres_url: str) -> None:
    """Rolling back to a savepoint removes just what was recorded since."""
    if ledger.store.dialect != "postgres":
        with _sqlite(ledger.store.url, isolation_level=None) as connection:
            connection.execute("begin immediate")
            ledger.post_on(connection, Posting((entry("org", 1),)))
            connection.execute("savepoint inner_one")
            ledger.post_on(connection, Posting((entry("org", 2),)))
            connection.execute("rollback to inner_one")
            connection.execute("commit")
    else:
        with psycopg.connect(ledger.store.url) as server:
            ledger.post_on(server, Posting((entry("org", 1),)))
            with server.transaction(force_rollback=True):
                ledger.post_on(server, Posting((entry("org", 2),)))
    assert _quantities(ledger) == [1]


@pytest.mark.parametrize("commit", [True, False])
def test_async_session(ledger: Ledger, entry: Make, store_url: str, commit: bool) -> None:
    """AsyncSession over aiosqlite and psycopg."""

    async def run() -> None:
        engine = create_async_engine(_engine_url(store_url, asynchronous=True))
        _full(engine.sync_engine)
        async with AsyncSession(engine) as session:
            await ledger.post_on(session, Posting((entry("org", 5),)))
            await (session.commit() if commit else session.rollback())
        await engine.dispose()

    asyncio.run(run())
    assert _quantities(ledger) == ([5] if commit else [])


@pytest.mark.parametrize("commit", [True, False])
def test_async_psycopg(postgres_url: str, commit: bool) -> None:
    """psycopg's AsyncConnection."""
    from tallystick.storage import open_store
    from tests.ledger.conftest import CATALOGUE

    ledger = Ledger(open_store(postgres_url, auto_migrate=True), CATALOGUE)

    async def run() -> None:
        from tallystick.ledger.model import Kind
        from tallystick.values.identifiers import lane_of

        made = Entry(
            lane_of("default", "test", "org"),
            ledger.ids.next(),
            Kind.USAGE,
            "default",
            "test",
            "",
            "org",
            "tokens",
            5,
        )
        async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
            await ledger.post_on(connection, Posting((made,)))
            await (connection.commit() if commit else connection.rollback())

    asyncio.run(run())
    assert _quantities(ledger) == ([5] if commit else [])
    ledger.close()


def test_autocommit_is_refused(ledger: Ledger, entry: Make, store_url: str) -> None:
    """Without an open transaction the entry would stay when the application's rows roll back."""
    connections: list[Any] = []
    if store_url.startswith("sqlite"):
        connections.append(_sqlite(store_url, isolation_level=None))
    else:
        connections.append(psycopg.connect(store_url, autocommit=True))
    engine = _full(sa.create_engine(_engine_url(store_url), isolation_level="AUTOCOMMIT"))
    connections.append(engine.connect())
    for connection in connections:
        with pytest.raises(TransactionError, match=r"(?i)autocommit|without an open transaction"):
            ledger.post_on(connection, Posting((entry("org", 5),)))
        connection.close()
    engine.dispose()
    assert _quantities(ledger) == []


def test_settings_that_lose_commits_are_refused(ledger: Ledger, entry: Make, store_url: str) -> None:
    """synchronous=NORMAL and synchronous_commit=off, set by the application for its own transaction."""
    if store_url.startswith("sqlite"):
        connection: Any = _sqlite(store_url, "normal")
        connection.execute("begin immediate")
    else:
        connection = psycopg.connect(store_url)
        connection.execute("set local synchronous_commit = off")
    with pytest.raises(TransactionError, match="synchronous"):
        ledger.post_on(connection, Posting((entry("org", 5),)))
    connection.close()


def test_a_deferred_transaction_that_lost_the_race_is_explained(sqlite_url: str) -> None:
    """BEGIN DEFERRED, read, then record after somebody else wrote: the error names BEGIN IMMEDIATE."""
    from tallystick.ledger.model import Kind
    from tallystick.storage import open_store
    from tallystick.values.identifiers import lane_of
    from tests.ledger.conftest import CATALOGUE

    ledger = Ledger(open_store(sqlite_url), CATALOGUE)

    def make(quantity: int) -> Posting:
        lane = lane_of("default", "test", "org")
        return Posting(
            (Entry(lane, ledger.ids.next(), Kind.USAGE, "default", "test", "", "org", "tokens", quantity),)
        )

    connection = _sqlite(sqlite_url, isolation_level=None)
    connection.execute("begin")
    connection.execute("select count(*) from tallystick_entries").fetchone()
    ledger.post(make(1))
    with pytest.raises(TransactionError, match="BEGIN IMMEDIATE"):
        ledger.post_on(connection, make(2))
    connection.close()
    assert _quantities(ledger) == [1]
    ledger.close()


def test_another_database_is_refused(ledger: Ledger, entry: Make, sqlite_url: str, tmp_path: Any) -> None:
    """The wrong dialect, a database without a ledger, and somebody else's ledger."""
    from tallystick.storage import open_store
    from tests.ledger.conftest import CATALOGUE

    other = Ledger(open_store(f"sqlite:///{tmp_path / 'other.db'}"), CATALOGUE)
    empty = f"sqlite:///{tmp_path / 'empty.db'}"
    for url in (other.store.url, empty):
        with _sqlite(url, isolation_level=None) as connection:
            connection.execute("begin immediate")
            with pytest.raises(TransactionError, match="TALLYSTICK_STORE"):
                ledger.post_on(connection, Posting((entry("org", 5),)))
    with pytest.raises(TransactionError, match="builtins"):
        ledger.post_on(object(), Posting((entry("org", 5),)))
    other.close()


def test_a_separate_record_beside_an_open_transaction_is_refused(
    ledger: Ledger, entry: Make, store_url: str
) -> None:
    """On SQLite it would lock itself out; the error points to on=. On PostgreSQL it is fine."""
    if store_url.startswith("postgres"):
        with psycopg.connect(store_url) as server:
            ledger.post_on(server, Posting((entry("org", 1),)))
            ledger.post(Posting((entry("org", 2),)))
        assert _quantities(ledger) == [1, 2]
        return
    with _sqlite(store_url, isolation_level=None) as connection:
        connection.execute("begin immediate")
        ledger.post_on(connection, Posting((entry("org", 1),)))
        with pytest.raises(TransactionError, match="on="):
            ledger.post(Posting((entry("org", 2),)))
        connection.execute("commit")
    ledger.post(Posting((entry("org", 2),)))
    assert _quantities(ledger) == [1, 2]


def test_a_refused_row_leaves_no_key_behind(ledger: Ledger, entry: Make, store_url: str) -> None:
    """What cannot be recorded claims nothing, even when the application commits all the same."""
    sqlite = store_url.startswith("sqlite")
    connection: Any = _sqlite(store_url, isolation_level=None) if sqlite else psycopg.connect(store_url)
    connection.execute("begin immediate" if sqlite else "select 1")
    with pytest.raises(EntryRefusedError):
        ledger.post_on(connection, Posting((entry("org", -1, key="k"),)))
    connection.execute("commit")
    connection.close()
    assert ledger.post(Posting((entry("org", 5, key="k"),))).repeated == ()
    assert _quantities(ledger) == [5]
