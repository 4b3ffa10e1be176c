"""Durable recording against the raw bulk-insert rate of the same tables.

The raw limit: the same rows, made beforehand, into the same tables by the database's own bulk insert
(SQLite executemany, PostgreSQL multi-row INSERT), 1,000 entries a transaction, durable as the ledger is.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
import uuid
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import psycopg

from benchmarks.measure import Results, disk, postgres
from tallystick import Catalogue, Meter, Tally
from tallystick.ledger.model import Kind, Posting
from tallystick.storage import open_store
from tallystick.storage.queries import load

COUNT = 50_000
ROUNDS = 3
METERS = Catalogue([Meter("tokens", hold=False)])
TABLES = {"insert_entries": 14, "insert_unsequenced": 2, "insert_obligations": 3}


def postings(tally: Tally, count: int) -> list[Posting]:
    return [tally.posting("tokens", n + 1, customer=f"org_{n % 300}") for n in range(count)]


def raw_rows(made: Sequence[Posting]) -> dict[str, list[tuple[Any, ...]]]:
    entries = [p.entries[0] for p in made]
    return {
        "insert_entries": [
            (
                e.lane,
                e.entry,
                int(Kind.USAGE),
                e.tenant,
                e.mode,
                e.account,
                e.customer,
                e.meter,
                e.quantity,
                None,
                None,
                "",
                None,
                1,
            )
            for e in entries
        ],
        "insert_unsequenced": [(e.lane, e.entry) for e in entries],
        "insert_obligations": [(e.lane, e.entry, 0) for e in entries],
    }


def raw_sqlite(path: str, rows: dict[str, list[tuple[Any, ...]]]) -> float:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma synchronous=full")
    texts = {
        name: load("sqlite")[name].sql.replace(":rows", f"values ({','.join('?' * n)})")
        for name, n in TABLES.items()
    }
    began = time.perf_counter()
    for start in range(0, COUNT, 1000):
        connection.execute("begin immediate")
        for name, text in texts.items():
            connection.executemany(text, rows[name][start : start + 1000])
        connection.execute("commit")
    spent = time.perf_counter() - began
    connection.close()
    return COUNT / spent


def raw_postgres(url: str, rows: dict[str, list[tuple[Any, ...]]]) -> float:
    into = {
        "insert_entries": "tallystick.entries (lane, entry, kind, tenant, mode, account, customer, meter, quantity, "
        "key, refers, attributes, occurred_at, recorded_at)",
        "insert_unsequenced": "tallystick.unsequenced",
        "insert_obligations": "tallystick.obligations (lane, entry, due_at)",
    }
    with psycopg.connect(url) as connection:
        began = time.perf_counter()
        for start in range(0, COUNT, 1000):
            for name, n in TABLES.items():
                part = rows[name][start : start + 1000]
                values = ",".join(["(" + ",".join(["%s"] * n) + ")"] * len(part))
                text = f"insert into {into[name]} values {values}"
                connection.execute(text.encode(), [value for row in part for value in row])
            connection.commit()
        return COUNT / (time.perf_counter() - began)


def many(tally: Tally) -> float:
    rows = [{"meter": "tokens", "quantity": n + 1, "customer": f"org_{n % 300}"} for n in range(COUNT)]
    began = time.perf_counter()
    tally.record_many(rows)
    return COUNT / (time.perf_counter() - began)


def tasks(tally: Tally, count: int = 256) -> float:
    async def work(number: int) -> None:
        for n in range(COUNT // count):
            await tally.aio.record("tokens", n + 1, customer=f"org_{number}")

    async def run() -> float:
        began = time.perf_counter()
        await asyncio.gather(*(work(n) for n in range(count)))
        return COUNT / count // 1 * count / (time.perf_counter() - began)

    return asyncio.run(run())


def compare(results: Results, name: str, fresh: Callable[[], str], raw: Any) -> None:
    """Each figure on a new database of its own, because inserts slow down as the tables grow; medians of rounds."""
    rates: dict[str, list[float]] = {"raw": [], "many": [], "tasks": []}
    for _ in range(ROUNDS):
        for what in rates:
            url = fresh()
            with Tally(open_store(url, auto_migrate=True), METERS) as tally:
                if what == "raw":
                    rates[what].append(raw(url.removeprefix("sqlite:///"), raw_rows(postings(tally, COUNT))))
                else:
                    rates[what].append(many(tally) if what == "many" else tasks(tally))
    limit, bulk, single = (median(rates[what]) for what in ("raw", "many", "tasks"))
    against = f"raw bulk insert {limit:,.0f}/s"
    results.add(
        f"{name}: record from 256 tasks", f"{single:,.0f}/s", against, single / limit, "at least 0.35"
    )
    results.add(f"{name}: record_many", f"{bulk:,.0f}/s", against, bulk / limit, "at least 0.8")


def main() -> None:
    results = Results(f"Durable recording of {COUNT:,} entries, hold=false, delivery by relay")
    with disk() as folder:
        compare(results, "SQLite", lambda: f"sqlite:///{folder / uuid.uuid4().hex}.db", raw_sqlite)
    with postgres() as server:
        compare(results, "PostgreSQL", lambda: new_database(server), raw_postgres)
    results.show()


def new_database(server: str) -> str:
    """A new, empty database on the server."""
    name = f"bench_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
    return server.replace("/postgres?", f"/{name}?")


if __name__ == "__main__":
    main()
