"""The anchor of a ledger in a file: written whole or not at all, one writer at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import msgspec

from tallystick.errors import ProviderError
from tallystick.providers.anchors import Anchor


class AnchorFile:
    """One ledger's anchor in a file outside its database, best on another disk."""

    name = "file"

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, ledger: str) -> Anchor | None:
        """The anchor in the file; None when there is no file. ProviderError for one of another ledger."""
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=Anchor)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise ProviderError(f"the anchor {self._path} cannot be read: {error}") from error
        if found.ledger != ledger:
            raise ProviderError(
                f"the anchor {self._path} is of ledger {found.ledger}, this one is {ledger}; give each its own"
            )
        return found

    def write(self, anchor: Anchor, before: Anchor | None) -> bool:
        """Replace the file, unless it says something else than `before` meanwhile."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if self.read(anchor.ledger) != before:
                    return False
                fresh = self._path.with_suffix(".new")
                with fresh.open("wb") as out:
                    out.write(msgspec.json.encode(anchor))
                    out.flush()
                    os.fsync(out.fileno())
                fresh.replace(self._path)
        except OSError as error:
            raise ProviderError(f"the anchor {self._path} cannot be written: {error}") from error
        return True
