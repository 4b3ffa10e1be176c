"""Everything of the auditor that reads bytes it did not write, each as a function that must not raise."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from tallystick.audit import baseline, config, suppression
from tallystick.audit.inventory import LeftOutError, UnreadableError, read, walk
from tallystick.errors import ConfigError

FOLDER = Path(tempfile.mkdtemp(prefix="tallystick-fuzz-"))


def plant(name: str, data: bytes) -> Path:
    """A file with this content, in the same folder each time."""
    path = FOLDER / name
    path.write_bytes(data)
    return path


def source(data: bytes) -> None:
    """Reading one file with its guards."""
    plant("a.ts", data)
    with contextlib.suppress(UnreadableError, LeftOutError):
        read(FOLDER, "a.ts")


def comments(data: bytes) -> None:
    """Suppression comments."""
    suppression.apply([], suppression.scan("a.ts", data.decode("utf-8", "replace")), frozenset())


def settings(data: bytes) -> None:
    """The settings file."""
    try:
        config.load(FOLDER, config=plant("tallystick.toml", data), codes=frozenset())
    except ConfigError:
        pass
    finally:
        (FOLDER / "tallystick.toml").unlink()


def known(data: bytes) -> None:
    """The baseline file."""
    try:
        baseline.load(plant("baseline.json", data))
    except ConfigError:
        pass
    finally:
        (FOLDER / "baseline.json").unlink()


def ignores(data: bytes) -> None:
    """A `.gitignore` in the tree."""
    plant(".gitignore", data)
    walk(FOLDER)
    (FOLDER / ".gitignore").unlink()


READERS: dict[str, Callable[[bytes], None]] = {
    "source": source,
    "comments": comments,
    "settings": settings,
    "known": known,
    "ignores": ignores,
}
