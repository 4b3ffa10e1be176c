"""Settings and disks that would lose acknowledged entries, told apart from safe ones.

Sources: SQLite's pragma page (`synchronous`), PostgreSQL's chapter "Write Ahead Log: Settings".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tallystick.errors import UnsafeStoreError

_VOLATILE = frozenset({"tmpfs", "ramfs", "devtmpfs"})
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "glusterfs", "afs"})
_THROW_AWAY = frozenset({"overlay", "overlayfs", "aufs"})
_SAFE_COMMIT = frozenset({"on", "local", "remote_write", "remote_apply"})


def filesystem(path: Path, mounts: str | None = None) -> str:
    """The type of the file system that holds a path ('' where the machine does not say)."""
    if mounts is None:
        table = Path("/proc/self/mounts")
        if not table.exists():
            return ""
        mounts = table.read_text()
    target = str(path.resolve())
    best, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split()
        point = fields[1].replace("\\040", " ")
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind


def check_disk(path: Path, mounts: str | None = None) -> None:
    """Raise UnsafeStoreError for a database on a volatile or network disk."""
    kind = filesystem(path, mounts)
    if kind in _VOLATILE:
        raise UnsafeStoreError(f"{path} lies on {kind}, which forgets everything on restart; use a real disk")
    if kind in _NETWORK:
        raise UnsafeStoreError(
            f"{path} lies on a network mount ({kind}), where SQLite's WAL does not work; "
            "use a local disk or PostgreSQL"
        )


def throw_away(path: Path, mounts: str | None = None) -> str:
    """Why the disk of a path goes with its container, or '' when it stays."""
    kind = filesystem(path, mounts)
    return (
        f"{path} lies on a container's own disk ({kind}), which goes with the container"
        if kind in _THROW_AWAY
        else ""
    )


def check_postgres(cursor: Any) -> None:
    """Raise UnsafeStoreError for server settings or tables that lose acknowledged commits."""
    for setting, safe in (
        ("fsync", {"on"}),
        ("full_page_writes", {"on"}),
        ("synchronous_commit", _SAFE_COMMIT),
    ):
        cursor.execute(f"show {setting}")
        value = cursor.fetchone()[0]
        if value not in safe:
            raise UnsafeStoreError(
                f"PostgreSQL runs with {setting}={value}, which loses acknowledged commits; set {setting}=on"
            )
    cursor.execute(
        "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname = 'tallystick' and c.relpersistence = 'u'"
    )
    for (table,) in cursor.fetchall():
        raise UnsafeStoreError(
            f"table tallystick.{table} is UNLOGGED and is emptied by a crash; set it LOGGED"
        )


def check_keys(present: dict[str, tuple[str, ...]]) -> None:
    """Raise UnsafeStoreError when a unique key that keeps entries single is missing."""
    for table, columns in REQUIRED_KEYS.items():
        if sorted(present.get(table, ())) != sorted(columns):
            raise UnsafeStoreError(
                f"table {table} has lost its primary key ({', '.join(columns)}); entries could count twice. "
                "Restore the key before starting"
            )


def check_guards(present: set[str], dialect: str) -> None:
    """Raise UnsafeStoreError when an index or trigger that keeps the ledger append-only is missing."""
    for name in REQUIRED_GUARDS[dialect]:
        if name not in present:
            raise UnsafeStoreError(
                f"the database has lost {name}, which keeps entries single and unchanged; restore it before starting"
            )


REQUIRED_GUARDS = {
    "sqlite": (
        "tallystick_positions_of_entry",
        "tallystick_entries_no_update",
        "tallystick_entries_no_delete",
        "tallystick_resolutions_no_update",
        "tallystick_resolutions_no_delete",
    ),
    "postgres": (
        "positions_of_entry",
        "entries_immutable",
        "entries_not_truncated",
        "resolutions_immutable",
        "resolutions_not_truncated",
    ),
}
REQUIRED_KEYS = {
    "entries": ("lane", "entry"),
    "entry_keys": ("lane", "tenant", "mode", "customer", "meter", "key"),
    "resolutions": ("lane", "hold"),
    "positions": ("lane", "position"),
    "obligations": ("lane", "entry"),
    "dispatches": ("lane", "dispatch", "part"),
}
