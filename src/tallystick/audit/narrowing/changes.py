"""Which lines differ from a revision, found without running a filter or a diff program of the tree.

Only git's object store is asked; the comparison with the files on disk happens here. The revision is
replaced by its merge base with HEAD, so that work others did meanwhile is not counted as changed.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from tallystick.audit.inventory.excerpts import Excerpts
from tallystick.audit.inventory.listing import git
from tallystick.audit.model import Finding, Place
from tallystick.errors import ConfigError

DIFF_LINES = 6_000


class Changes:
    """The changed lines of a tree since a revision, per path, computed when asked for."""

    def __init__(self, root: Path, revision: str, excerpts: Excerpts) -> None:
        """Fails with a ConfigError when git does not know the revision."""
        self._root = root
        self._excerpts = excerpts
        self._blobs = _blobs(root, _base(root, revision))
        self._lines: dict[str, frozenset[int] | None] = {}

    def touch(self, finding: Finding) -> bool:
        """Whether the finding, or a step on its way, lies on a changed line."""
        return any(self._touches(place) for place in (finding.place, *(hop.place for hop in finding.hops)))

    def _touches(self, place: Place) -> bool:
        if place.path not in self._lines:
            self._lines[place.path] = self._changed(place.path)
        lines = self._lines[place.path]
        if lines is None:
            return True
        return any(number in lines for number in range(place.line, max(place.line, place.end_line) + 1))

    def _changed(self, path: str) -> frozenset[int] | None:
        """The changed lines; None for a file that is new as a whole."""
        blob = self._blobs.get(path)
        if blob is None:
            return None
        data = git(self._root, "cat-file", "blob", blob)
        if data is None:
            return None
        before = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return changed_lines(before, list(self._excerpts.lines(path)))


def changed_lines(before: list[str], after: list[str]) -> frozenset[int]:
    """Numbers of the lines of `after` that are new or altered; around a deletion, its two neighbours."""
    head = 0
    while head < min(len(before), len(after)) and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < min(len(before), len(after)) - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    if not old and not new:
        return frozenset()
    if len(old) + len(new) > DIFF_LINES:
        return frozenset(range(head, head + len(new) + 2))
    changed: set[int] = set()
    for tag, _, _, start, end in difflib.SequenceMatcher(None, old, new).get_opcodes():
        if tag == "delete":
            changed.update((head + start, head + start + 1))
        elif tag != "equal":
            changed.update(range(head + start + 1, head + end + 1))
    return frozenset(changed)


def _base(root: Path, revision: str) -> str:
    commit = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        raise ConfigError(f"--diff {revision}: git knows no such revision here; fetch it, or name another")
    name = commit.decode().strip()
    base = git(root, "merge-base", name, "HEAD")
    return base.decode().strip() if base else name


def _blobs(root: Path, commit: str) -> dict[str, str]:
    listing = git(root, "ls-tree", "-r", "-z", commit) or b""
    blobs: dict[str, str] = {}
    for row in listing.split(b"\0"):
        facts, _, name = row.partition(b"\t")
        if name:
            blobs[name.decode("utf-8", "surrogateescape")] = facts.split()[2].decode()
    return blobs
