"""Open the store that a URL names."""

from __future__ import annotations

import warnings
from pathlib import Path

from tallystick.errors import ConfigError, TallystickWarning, UnsafeStoreError
from tallystick.storage.durability import throw_away
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


def check_throw_away(url: str, *, mode: str, accepted: bool) -> None:
    """Warn of a SQLite file that goes with its container; in live mode refuse it unless accepted by name."""
    why = throw_away(Path(url.removeprefix("sqlite:///"))) if url.startswith("sqlite:///") else ""
    if why and mode == "live" and not accepted:
        raise UnsafeStoreError(f"{why}; mount a volume, or say [store] accept_throw_away_disk = true")
    if why and not accepted:
        warnings.warn(f"{why}; mount a volume before you go live", TallystickWarning, stacklevel=2)
