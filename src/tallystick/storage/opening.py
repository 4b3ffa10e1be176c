"""Open the store that a URL names."""

from __future__ import annotations

from tallystick.errors import ConfigError
from tallystick.storage.port import Store
from tallystick.storage.postgres import PostgresStore
from tallystick.storage.sqlite import SqliteStore


def open_store(url: str, *, relaxed: bool = False, auto_migrate: bool = False) -> Store:
    """The store of `sqlite:///path` (four slashes for an absolute path) or `postgresql://…`.

    SQLite files are migrated by opening them; PostgreSQL only with `auto_migrate`. `relaxed` gives up
    durability for speed and is for tests. Raises ConfigError for any other URL.
    """
    if url.startswith("sqlite:///"):
        path = url.removeprefix("sqlite:///")
        if path in ("", ":memory:"):
            raise ConfigError(f"store {url!r} has no file; a ledger in memory is lost with the process")
        return SqliteStore(path, relaxed=relaxed)
    if url.startswith(("postgresql://", "postgres://")):
        return PostgresStore(url, auto_migrate=auto_migrate)
    raise ConfigError(f"store {url!r} is not known; use sqlite:///file.db or postgresql://user@host/database")
