"""Storage: named queries, migrations, and settings that lose data."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import psycopg
import pytest

from tallystick.errors import (
    ConfigError,
    LedgerBusyError,
    LedgerError,
    SchemaError,
    TallystickWarning,
    UnsafeStoreError,
)
from tallystick.storage import Statement, open_store
from tallystick.storage.durability import check_disk, filesystem, throw_away
from tallystick.storage.opening import check_throw_away
from tallystick.storage.queries import load
from tallystick.storage.sqlite import SqliteStore

SOURCE = Path(__file__).parents[2] / "src" / "tallystick"
MOUNTS = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\nhost:/x /mnt/nfs nfs4 rw 0 0\noverlay /c overlay rw 0 0\n"


def test_both_dialects_have_the_same_queries_and_all_are_used() -> None:
    """A query that nobody runs is deleted."""
    assert load("sqlite").keys() == load("postgres").keys()
    code = "".join(path.read_text() for path in SOURCE.rglob("*.py"))
    assert [name for name in load("sqlite") if f'"{name}"' not in code] == []


def test_sql_stands_only_in_storage() -> None:
    """No SELECT, INSERT, UPDATE or DELETE text outside of `storage/`."""
    words = re.compile(r'"(select|insert into|update|delete from|create table) ', re.IGNORECASE)
    found = [path for path in SOURCE.rglob("*.py") if words.search(path.read_text())]
    assert {path.relative_to(SOURCE).parts[0] for path in found} <= {"storage"}


def test_opening_again_migrates_nothing(store_url: str) -> None:
    """Migrations run once."""
    open_store(store_url, auto_migrate=True).close()
    store = open_store(store_url)
    with store.read() as transaction:
        assert transaction.run(Statement("count_unsequenced")) == [(0,)]
    store.close()


def test_a_schema_that_does_not_fit_is_refused(store_url: str) -> None:
    """Missing on PostgreSQL, newer on both."""
    if store_url.startswith("postgres"):
        with pytest.raises(SchemaError, match="tallystick migrate"):
            open_store(store_url)
    open_store(store_url, auto_migrate=True).close()
    if store_url.startswith("postgres"):
        with psycopg.connect(store_url) as server:
            server.execute("insert into tallystick.versions values (999, 'future')")
    else:
        with sqlite3.connect(store_url.removeprefix("sqlite:///")) as file:
            file.execute("insert into tallystick_versions values (999, 'future')")
    with pytest.raises(SchemaError, match="999"):
        open_store(store_url)


@pytest.mark.parametrize(
    ("path", "word"), [("/tmp/x/usage.db", "tmpfs"), ("/mnt/nfs/usage.db", "network mount")]
)
def test_disks_that_forget_are_refused(path: str, word: str) -> None:
    """tmpfs forgets, network mounts cannot carry SQLite's WAL."""
    with pytest.raises(UnsafeStoreError, match=word):
        check_disk(Path(path), MOUNTS)


def test_disks_that_stay(tmp_path: Path) -> None:
    """A real disk passes; a container's own is told apart."""
    check_disk(Path("/var/lib/usage.db"), MOUNTS)
    assert filesystem(Path("/tmp/usage.db"), MOUNTS) == "tmpfs"
    assert "container" in throw_away(Path("/c/usage.db"), MOUNTS)
    assert throw_away(Path("/var/usage.db"), MOUNTS) == ""


def test_sqlite_settings_are_held_and_read_back(tmp_path: Path) -> None:
    """WAL and FULL on every connection; a change behind our back is noticed before the next write."""
    store = SqliteStore(tmp_path / "usage.db")
    with store.write() as transaction:
        transaction.run(Statement("insert_identity", {"ledger": "x", "created_at": 0}))
    assert store._connection().execute("pragma journal_mode").fetchone() == ("wal",)
    store._connection().execute("pragma synchronous=normal")
    with pytest.raises(UnsafeStoreError, match="not FULL"), store.write():
        pass
    store.close()


def test_a_server_that_loses_commits_is_refused(postgres_url: str) -> None:
    """fsync=off on the server; a database whose sessions default to synchronous_commit=off is overruled."""
    open_store(postgres_url, auto_migrate=True).close()
    name = psycopg.conninfo.conninfo_to_dict(postgres_url)["dbname"]
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(f"alter database {name} set synchronous_commit = off".encode())
        store = open_store(postgres_url)
        with store.write() as transaction:
            cursor = transaction._cursor  # type: ignore[attr-defined]
            assert cursor.execute("show synchronous_commit").fetchone() == ("on",)
        store.close()
        try:
            server.execute("alter system set fsync = off")
            server.execute("select pg_reload_conf()")
            for _ in range(1000):  # the server takes the new setting in its own time
                with psycopg.connect(postgres_url) as fresh:
                    if fresh.execute("show fsync").fetchone() == ("off",):
                        break
            with pytest.raises(UnsafeStoreError, match="fsync=off"):
                open_store(postgres_url)
        finally:
            server.execute("alter system reset fsync")
            server.execute("select pg_reload_conf()")


def test_a_containers_disk_is_warned_of_and_refused_in_live_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it is accepted by name."""
    monkeypatch.setattr("tallystick.storage.durability.filesystem", lambda path, mounts=None: "overlay")
    with pytest.warns(TallystickWarning, match="container"):
        check_throw_away("sqlite:///usage.db", mode="test", accepted=False)
    with pytest.raises(UnsafeStoreError, match="accept_throw_away_disk"):
        check_throw_away("sqlite:///usage.db", mode="live", accepted=False)
    check_throw_away("sqlite:///usage.db", mode="live", accepted=True)
    check_throw_away("postgresql://x", mode="live", accepted=False)


def test_a_lost_key_is_refused(store_url: str) -> None:
    """Without the primary key an entry could count twice."""
    open_store(store_url, auto_migrate=True).close()
    if store_url.startswith("postgres"):
        with psycopg.connect(store_url) as server:
            server.execute("alter table tallystick.entry_keys drop constraint entry_keys_pkey")
    else:
        with sqlite3.connect(store_url.removeprefix("sqlite:///")) as file:
            file.execute("alter table tallystick_entry_keys rename to gone")
            file.execute("create table tallystick_entry_keys as select * from gone")
    with pytest.raises(UnsafeStoreError, match="primary key"):
        open_store(store_url)


@pytest.mark.parametrize("what", ["index", "trigger"])
def test_a_lost_guard_is_refused(store_url: str, what: str) -> None:
    """The unique index of positions, the triggers that keep entries unchanged."""
    open_store(store_url, auto_migrate=True).close()
    if store_url.startswith("postgres"):
        drop = (
            "index tallystick.positions_of_entry"
            if what == "index"
            else "trigger entries_immutable on tallystick.entries"
        )
        with psycopg.connect(store_url) as server:
            server.execute(f"drop {drop}".encode())
    else:
        name = "positions_of_entry" if what == "index" else "entries_no_update"
        with sqlite3.connect(store_url.removeprefix("sqlite:///")) as file:
            file.execute(f"drop {what} tallystick_{name}")
    with pytest.raises(UnsafeStoreError, match="has lost"):
        open_store(store_url)


def test_an_unlogged_table_is_refused(postgres_url: str) -> None:
    """A crash empties it."""
    open_store(postgres_url, auto_migrate=True).close()
    with psycopg.connect(postgres_url) as server:
        server.execute("alter table tallystick.obligations set unlogged")
    with pytest.raises(UnsafeStoreError, match="UNLOGGED"):
        open_store(postgres_url)


def test_a_full_or_locked_or_read_only_database(tmp_path: Path) -> None:
    """Each is told in one line with the fix, nothing recorded is lost, and it works again afterwards."""
    path = tmp_path / "usage.db"
    store = SqliteStore(path, wait_seconds=0.05)
    write = Statement("insert_identity", {"ledger": "x", "created_at": 0})
    rows = [(1, bytes([n]) * 16) for n in range(200)]
    with store.write() as transaction:
        transaction.run(write)
    pages = store._connection().execute("pragma page_count").fetchone()[0]
    store._connection().execute(f"pragma max_page_count={pages}")
    with pytest.raises(LedgerError, match="disk is full"), store.write() as transaction:
        transaction.run(Statement("insert_unsequenced", rows=rows))
    store._connection().execute("pragma max_page_count=1000000")
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("begin immediate")
        with pytest.raises(LedgerBusyError, match="longer than the budget"), store.write():
            pass
        other.execute("rollback")
    store._connection().execute("pragma query_only=on")
    with pytest.raises(LedgerError, match="read-only"), store.write() as transaction:
        transaction.run(Statement("insert_unsequenced", rows=rows))
    store._connection().execute("pragma query_only=off")
    with store.write() as transaction:
        transaction.run(Statement("insert_unsequenced", rows=rows))
        assert transaction.run(Statement("count_unsequenced")) == [(200,)]
        assert transaction.run(Statement("identity")) == [("x",)]
    store.close()


@pytest.mark.parametrize("url", ["sqlite:///", "sqlite:///:memory:", "oracle://x"])
def test_urls_that_cannot_hold_a_ledger(url: str) -> None:
    """No memory, no unknown database."""
    with pytest.raises(ConfigError, match="store"):
        open_store(url)
