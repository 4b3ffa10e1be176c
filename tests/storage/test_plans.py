"""What a query costs does not grow with the ledger, on either database, but for the few that read all of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tallystick.storage import open_store
from tallystick.storage.queries import Query, expand, load
from tallystick.storage.sqlite import SqliteStore

GROWING = {
    "entries",
    "entry_keys",
    "resolutions",
    "positions",
    "totals",
    "obligations",
    "dispatches",
    "exclusions",
}
FEW = {"obligations_due", "dispatches_due", "dispatches_parked"}  # indexes of what is under way alone
SAMPLE: dict[str, Any] = {
    "tenant": "default",
    "mode": "test",
    "state": "confirmed",
    "meter": "tokens",
    "kind": 2,
}
MANY = {"customer", "provider_customer"}  # of a billion rows, ten thousand
VARIED: dict[str, Callable[[int], Any]] = {"bytea": lambda n: bytes([n]) * 16, "bigint": int, "text": str}
WHOLE = {
    "sum_entries": "verify adds up every entry",
    "all_totals": "verify compares every total",
    "delivered_totals": "a tie-out of everything",
    "excluded_totals": "a tie-out of everything",
    "settled_totals": "a tie-out of everything",
    "newest_entry": "once, after a restore",
    "pending_dispatches": "once, after a restore",
}


def on_sqlite(store: SqliteStore, query: Query) -> list[str]:
    """The growing tables that a query walks through."""
    if query.row_types:
        sql, given = expand(query, 16, "sqlite"), [0] * 16 * len(query.row_types)
    else:
        sql, given = query.sql, dict.fromkeys(re.findall(r"(?<![:\w]):([a-z_]+)", query.sql), 0)  # type: ignore[assignment]
    tables = {alias: table for table, alias in re.findall(r"tallystick_(\w+)(?: as)? (\w)\b", sql)}
    found = []
    for *_, step in store._connection().execute(f"explain query plan {sql}", given):
        walked = re.match(r"SCAN (?:tallystick_)?(\w+)(?: USING (?:COVERING )?INDEX tallystick_(\w+))?", step)
        lane = re.match(r"SEARCH (?:tallystick_)?(\w+) USING .*\(lane=\?\)$", step)
        if lane and tables.get(lane[1], lane[1]) in GROWING:
            found.append(f"{query.name}: {step}")
        if walked and tables.get(walked[1], walked[1]) in GROWING and walked[2] not in FEW:
            found.append(f"{query.name}: {step}")
    return found


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node of a plan and all below it."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def on_postgres(connection: psycopg.Connection[Any], query: Query) -> list[str]:
    """The growing tables that a query walks through, asked for what is newer than all that is there."""
    sql = expand(query, 1, "postgres") if query.row_types else query.sql
    asked = re.sub(r"%\((\w+)\)s", "'9'", sql).replace("%s", "'{9}'").replace("%%", "%")
    row = connection.execute(f"explain (format json) {asked}").fetchone()  # type: ignore[arg-type]
    assert row is not None
    return [
        f"{query.name}: {node['Node Type']} of {node['Relation Name']}"
        for node in nodes(row[0][0]["Plan"])
        if node.get("Relation Name") in GROWING
        and node.get("Index Name") not in FEW
        and "Index Cond" not in node
        and "Recheck Cond" not in node
        and node["Node Type"] != "ModifyTable"
    ]


def test_no_query_walks_through_a_growing_table_on_sqlite(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'usage.db'}", auto_migrate=True)
    assert isinstance(store, SqliteStore)
    walks = {query.name: on_sqlite(store, query) for query in load("sqlite").values()}
    store.close()
    assert not [step for name, steps in walks.items() if name not in WHOLE for step in steps]
    assert walks["sum_entries"], "the plan of a query that reads everything shows it"


def pretend_three_years(connection: psycopg.Connection[Any]) -> None:
    """Make the planner believe in a billion rows that are all dealt with: a few, and how dense they are said to be."""
    columns = connection.execute(
        "select table_name, column_name, data_type from information_schema.columns where table_schema = 'tallystick'"
    ).fetchall()
    for table in sorted(GROWING):
        kinds = {name: kind for of, name, kind in columns if of == table}
        into = (
            f"insert into tallystick.{table} ({', '.join(kinds)}) values ({', '.join(['%s'] * len(kinds))})"
        )
        for number in range(1, 9):
            row = [SAMPLE.get(name, VARIED.get(kind, lambda _: 1)(number)) for name, kind in kinds.items()]
            connection.execute(into, row)  # type: ignore[arg-type]
        for name in MANY & kinds.keys():
            connection.execute(f"alter table tallystick.{table} alter {name} set (n_distinct = -0.00001)")  # type: ignore[arg-type]
        connection.execute(f"analyze tallystick.{table}")  # type: ignore[arg-type]
        billion = "update pg_class set relpages = 1, reltuples = 1e9 where oid = %s::regclass"
        connection.execute(billion, [f"tallystick.{table}"])


def test_no_query_walks_through_a_growing_table_on_postgres(postgres_url: str) -> None:
    open_store(postgres_url, auto_migrate=True).close()
    with psycopg.connect(postgres_url) as connection:
        pretend_three_years(connection)
        walks = {query.name: on_postgres(connection, query) for query in load("postgres").values()}
    assert not [step for name, steps in walks.items() if name not in WHOLE for step in steps]
    assert walks["sum_entries"], "the plan of a query that reads everything shows it"


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_what_reads_everything_is_still_there(name: str) -> None:
    assert name in load("sqlite")
    assert name in load("postgres")
