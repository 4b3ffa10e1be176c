"""Named queries out of `.sql` files, rendered for a dialect.

A file holds queries, each after a line `-- name: the_name`. Tables are written `tallystick.entries`
(SQLite has no schemas: there it becomes `tallystick_entries`), parameters `:name`, and `:rows` stands
for many rows, whose PostgreSQL types a line `-- rows: …` gives. `common.sql`, `delivery.sql` and
`reports.sql` serve both dialects; a dialect's own file adds to them or replaces a query.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files

import msgspec

from tallystick.errors import ConfigError

DIALECTS = ("sqlite", "postgres")
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")


class Query(msgspec.Struct, frozen=True):
    """One query as its dialect wants it; `row_types` when it takes `:rows`."""

    name: str
    sql: str
    row_types: tuple[str, ...] = ()
    returns: bool = False


@lru_cache(maxsize=len(DIALECTS))
def load(dialect: str) -> dict[str, Query]:
    """All queries of a dialect, by name."""
    queries: dict[str, Query] = {}
    for name in ("common.sql", "delivery.sql", "reports.sql", f"{dialect}.sql"):
        text = files(__package__).joinpath("sql", name).read_text()
        for part in text.split("-- name: ")[1:]:
            query = _parse(part, dialect)
            queries[query.name] = query
    return queries


def _parse(part: str, dialect: str) -> Query:
    name, _, body = part.partition("\n")
    types: tuple[str, ...] = ()
    lines = []
    for line in body.splitlines():
        if line.startswith("-- rows: "):
            types = tuple(kind.strip() for kind in line.removeprefix("-- rows: ").split(","))
        elif not line.startswith("--"):
            lines.append(line)
    sql = _parameters(render("\n".join(lines).strip().rstrip(";"), dialect), dialect)
    reads = re.match(r"select\b|with\b(?!.*\b(insert|update|delete)\b)", sql, re.DOTALL) is not None
    returns = reads or "\nreturning " in sql
    return Query(name.strip(), sql, types, returns)


def render(sql: str, dialect: str) -> str:
    """Table names as the dialect wants them."""
    return sql.replace("tallystick.", "tallystick_") if dialect == "sqlite" else sql


def _parameters(sql: str, dialect: str) -> str:
    """Parameters as the dialect's driver wants them; for psycopg a percent sign is doubled."""
    if dialect == "sqlite":
        return sql
    return _PARAMETER.sub(lambda m: m[0] if m[1] == "rows" else f"%({m[1]})s", sql.replace("%", "%%"))


def expand(query: Query, count: int, dialect: str) -> str:
    """The text of a `:rows` query for `count` rows (PostgreSQL takes arrays: any count)."""
    if not query.row_types:
        raise ConfigError(f"query {query.name!r} takes no rows")
    if dialect == "sqlite":
        marks = "(" + ",".join("?" * len(query.row_types)) + ")"
        return query.sql.replace(":rows", "values " + ",".join([marks] * count))
    arrays = ",".join(f"%s::{kind}[]" for kind in query.row_types)
    return query.sql.replace(":rows", f"select * from unnest({arrays})")
