"""The engine's last answer for a tree, kept while nothing it depends on has changed.

The key covers every file's identity (path, size, times, inode), the settings the engine reads, and the auditor's own
files, so that a newer auditor never repeats an older one's answer.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tallystick.audit.cache.facts import maker
from tallystick.audit.config import Settings
from tallystick.audit.model import Report


class Answers:
    """One file with the last answer; anything unreadable counts as none."""

    def __init__(self, folder: str, root: Path, files: Sequence[str], settings: Settings) -> None:
        """Take the tree's identity now, before it is read; without a folder nothing is kept."""
        self._path = Path(folder) / "answer.msgpack" if folder else None
        self._key = identity(root, files, settings) if folder else ""

    def get(self) -> Report | None:
        """The kept answer, if it is this tree's."""
        if self._path is None:
            return None
        try:
            key, report = msgspec.msgpack.decode(self._path.read_bytes(), type=tuple[str, Report])
        except (OSError, ValueError):
            return None
        return report if key == self._key else None

    def put(self, report: Report) -> None:
        """Keep an answer; what cannot be written is not kept."""
        if self._path is None:
            return
        part = self._path.with_suffix(f".{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(msgspec.msgpack.encode((self._key, report)))
            part.replace(self._path)
        except (OSError, ValueError):
            part.unlink(missing_ok=True)


def identity(root: Path, files: Sequence[str], settings: Settings) -> str:
    """What the answer depends on, as one hash."""
    digest = hashlib.blake2b(repr((settings.profile, settings.models)).encode("utf-8", "backslashreplace"))
    digest.update(maker())
    for folder, paths in ((root, files), (root, settings.models.files)):
        for path in paths:
            digest.update(os.fsencode(path) + _state(os.path.join(folder, path)))
    return digest.hexdigest()


def _state(path: str) -> bytes:
    try:
        status = os.lstat(path)
    except (OSError, ValueError):
        return b"\0gone\0"
    return b"\0%d %d %d %d\0" % (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
