"""Lines of the audited tree, for fingerprints and for quoting."""

from __future__ import annotations

from pathlib import Path

from tallystick.audit.inventory import LeftOutError, UnreadableError, read

LONGEST = 160


class Excerpts:
    """Reads lines on demand; a file that cannot be read has empty lines."""

    def __init__(self, root: Path) -> None:
        """Excerpts of the tree at `root`; nothing is read yet."""
        self._root = root
        self._lines: dict[str, tuple[str, ...]] = {}

    def line(self, path: str, number: int) -> str:
        """One line without the space around it, shortened; lines count from 1."""
        lines = self.lines(path)
        text = lines[number - 1].strip() if 0 < number <= len(lines) else ""
        return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"

    def lines(self, path: str) -> tuple[str, ...]:
        """All lines of a file."""
        if path not in self._lines:
            try:
                text = read(self._root, path).decode("utf-8", "replace")
            except (UnreadableError, LeftOutError):
                text = ""
            self._lines[path] = tuple(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
        return self._lines[path]
