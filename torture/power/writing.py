"""The program whose power is cut: records from several threads, and notes what was acknowledged.

`python -m torture.power.writing FOLDER DIALECT SETTING COUNT`: SETTING "as shipped", or the control that
gives up durability ("normal" on SQLite, "off" on PostgreSQL, "unsynced" for the spool).
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from tallystick import Catalogue, Meter, Tally
from tallystick.ledger.spool import Spool
from tallystick.storage.postgres import PostgresStore
from tallystick.storage.sqlite import SqliteStore
from torture.power.cluster import Cluster

METERS = [Meter("held"), Meter("unheld", hold=False)]
ACKNOWLEDGED = "acknowledged"
THREADS = 3


class NormalStore(SqliteStore):
    """The control: `synchronous=NORMAL`, what many guides recommend."""

    def _connect(self) -> Any:
        connection = super()._connect()
        connection.execute("pragma synchronous=normal")
        return connection

    def _begin(self, connection: Any) -> None:
        connection.execute("begin immediate")


class OffStore(PostgresStore):
    """The control: `synchronous_commit=off`."""

    def _connect(self) -> Any:
        connection = super()._connect()
        connection.execute("set synchronous_commit = off")
        connection.commit()
        return connection

    def _check(self) -> None:
        return None


def work(tally: Tally, folder: Path, count: int, checkpoint: Callable[[], object]) -> None:
    """Record, acknowledge each entry with one write; now and then sequence and have everything written back."""
    acknowledged = os.open(folder / ACKNOWLEDGED, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    noting = threading.Lock()

    def one(thread: int) -> None:
        for n in range(count // THREADS):
            key = f"{thread}-{n}"
            if n % 2:
                with tally.action("held", customer=f"customer {thread}", key=key) as action:
                    action.add(n)
            else:
                tally.record("unheld", n, customer=f"customer {thread}", key=key)
            with noting:
                os.write(acknowledged, f"{key}\n".encode())
            if n % 20 == 19 and thread == 0:
                tally.ledger.sequencer.run()
                checkpoint()

    threads = [threading.Thread(target=one, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def spool(folder: Path, count: int) -> None:
    """Keep postings in the spool, as an application does while its ledger cannot write."""
    tally = Tally(SqliteStore(folder.parent / "elsewhere.db"), Catalogue(METERS))
    kept = Spool(folder / "spool", tally.find)
    acknowledged = os.open(folder / ACKNOWLEDGED, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for n in range(count):
        kept.keep([tally.posting("unheld", n, customer="customer", key=f"{n}")])
        os.write(acknowledged, f"{n}\n".encode())


def main() -> None:
    """Write, then vanish without closing anything."""
    folder, dialect, setting, count = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    shipped = setting == "as shipped"
    if dialect == "spool":
        if not shipped:
            os.fsync = lambda fd: None
        spool(folder, count)
    elif dialect == "sqlite":
        store: Any = (SqliteStore if shipped else NormalStore)(folder / "ledger.db")
        with closing(sqlite3.connect(folder / "ledger.db", check_same_thread=False)) as own:
            work(
                Tally(store, Catalogue(METERS)),
                folder,
                count,
                lambda: own.execute("pragma wal_checkpoint").fetchall(),
            )
    else:
        with Cluster(folder / "data", folder.parent) as cluster:
            store = (PostgresStore if shipped else OffStore)(cluster.url)
            with psycopg.connect(cluster.url, autocommit=True) as own:
                work(Tally(store, Catalogue(METERS)), folder, count, lambda: own.execute("checkpoint"))
            cluster.kill()
    os._exit(0)


if __name__ == "__main__":
    main()
