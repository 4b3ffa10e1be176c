"""What the walk found, as values."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """Bounds that keep time and memory finite on any tree."""

    file_bytes: int = 1024 * 1024
    lock_bytes: int = 32 * 1024 * 1024
    files: int = 200_000
    depth: int = 64
    nesting: int = 300
    total_bytes: int = 512 * 1024 * 1024


class Selection(msgspec.Struct, frozen=True):
    """What the user wants read, in the pattern language of `.gitignore`; paths are relative to the root."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class Inventory(msgspec.Struct, frozen=True):
    """The files to audit, sorted; paths relative to the root, forward slashes, undecodable bytes as surrogates."""

    files: tuple[str, ...]
    unread: tuple[tuple[str, str], ...] = ()
    left_out: tuple[tuple[str, int], ...] = ()
