"""Numbered migrations with a version table; the same files for both dialects.

SQLite databases are migrated when they are opened; PostgreSQL by `tallystick migrate`, or by the
text of `tallystick migrate --sql` inside Alembic or Django.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from tallystick.errors import SchemaError
from tallystick.storage.queries import render

_WORDS = {
    "sqlite": {
        "bytes": "blob",
        "clustered": "without rowid",
        "total": "high integer not null,\n    low integer not null",
        "prefix": "tallystick_",
        "by_lane": "entry, lane",
    },
    "postgres": {
        "bytes": "bytea",
        "clustered": "",
        "total": "total numeric not null",
        "prefix": "",
        "by_lane": "lane, entry",
    },
}
_INTEGER = {"sqlite": r"typeof(\1) = 'integer'", "postgres": "true"}


class Migration(msgspec.Struct, frozen=True):
    """One numbered step of the schema, as statements of a dialect."""

    version: int
    name: str
    statements: tuple[str, ...]


def migrations(dialect: str) -> list[Migration]:
    """All steps of a dialect, oldest first."""
    folder = files(__package__).joinpath("sql", "migrations")
    steps = []
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        number, _, name = path.name.removesuffix(".sql").partition("_")
        steps.append(Migration(int(number), name, tuple(_statements(path.read_text(), dialect))))
    return steps


def script(dialect: str) -> str:
    """The whole schema as one text, for migration tools of the application's own."""
    parts = [f"{_PREAMBLE[dialect]};"]
    for step in migrations(dialect):
        parts.append(f"-- {step.version:04d} {step.name}")
        parts += [f"{statement};" for statement in step.statements]
        parts.append(
            f"insert into {_VERSIONS[dialect]} (version, name) values ({step.version}, '{step.name}');"
        )
    return "\n\n".join(parts) + "\n"


_VERSIONS = {"sqlite": "tallystick_versions", "postgres": "tallystick.versions"}
_CREATE_VERSIONS = "create table if not exists {} (version integer primary key, name text not null)"
_PREAMBLE = {
    "sqlite": _CREATE_VERSIONS.format("tallystick_versions"),
    "postgres": "create schema if not exists tallystick;\n\n"
    + _CREATE_VERSIONS.format("tallystick.versions"),
}


def migrate(cursor: Any, dialect: str) -> list[Migration]:
    """Bring the schema up to this code's version inside the cursor's open transaction; the steps taken."""
    for statement in _PREAMBLE[dialect].split(";\n\n"):
        cursor.execute(statement)
    if dialect == "postgres":
        cursor.execute("lock table tallystick.versions in access exclusive mode")
    present = _present(cursor, dialect)
    known = migrations(dialect)
    _refuse_newer(present, known)
    taken = [step for step in known if step.version not in present]
    for step in taken:
        for statement in step.statements:
            cursor.execute(statement)
        cursor.execute(
            f"insert into {_VERSIONS[dialect]} (version, name) values ({step.version}, '{step.name}')"
        )
    return taken


def check(cursor: Any, dialect: str) -> None:
    """Raise SchemaError unless the schema is exactly what this code expects."""
    try:
        present = _present(cursor, dialect)
    except Exception as error:
        raise SchemaError("the tallystick tables are missing; run: tallystick migrate") from error
    known = migrations(dialect)
    _refuse_newer(present, known)
    missing = [step for step in known if step.version not in present]
    if missing:
        names = ", ".join(f"{step.version:04d}_{step.name}" for step in missing)
        raise SchemaError(f"the schema lacks {names}; run: tallystick migrate")


def _present(cursor: Any, dialect: str) -> set[int]:
    cursor.execute(f"select version from {_VERSIONS[dialect]}")
    return {row[0] for row in cursor.fetchall()}


def _refuse_newer(present: set[int], known: list[Migration]) -> None:
    newest = known[-1].version
    if present and max(present) > newest:
        raise SchemaError(
            f"the database has schema version {max(present)}, this tallystick knows {newest}; "
            "upgrade tallystick"
        )


@cache
def _statements(text: str, dialect: str) -> list[str]:
    kept, only = [], ""
    for line in text.splitlines():
        if line.startswith("-- only:"):
            only = line.removeprefix("-- only:").strip()
        elif not line.startswith("--") and only in ("", dialect):
            kept.append(line)
    sql = re.sub(r"\$integer\((\w+)\)", _INTEGER[dialect], "\n".join(kept))
    for word, meaning in _WORDS[dialect].items():
        sql = sql.replace(f"${word}", meaning)
    return [part.strip() for part in _split(render(sql, dialect)) if part.strip()]


def _split(sql: str) -> list[str]:
    """Split at semicolons that end a line, but not inside a trigger's or function's body."""
    parts, current = [], ""
    for line in sql.splitlines():
        current += line + "\n"
        inside = "$$" in current and current.count("$$") % 2 == 1
        if "begin " in current and not inside and "$$" not in current:
            inside = not line.rstrip().endswith("end;")
        if line.rstrip().endswith(";") and not inside:
            parts.append(current.strip().removesuffix(";"))
            current = ""
    return [*parts, current]
