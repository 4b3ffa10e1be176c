"""The walk: list, stat, sort out."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from pathspec import GitIgnoreSpec

from tallystick.audit.inventory import kinds
from tallystick.audit.inventory.listing import Listing, git_paths, list_by_git, list_by_walk
from tallystick.audit.inventory.model import Inventory, Limits, Selection
from tallystick.errors import ConfigError


def walk(root: Path, selection: Selection | None = None, limits: Limits | None = None) -> Inventory:
    """List what there is to audit under `root`; opens no file but `.gitignore`."""
    listing = Listing(limits or Limits())
    if root.is_file():
        root, names = root.parent, [root.name]
        listing.paths = names
    elif names_by_git := git_paths(root):
        list_by_git(root, names_by_git, listing)
    else:
        list_by_walk(root, listing)
    chosen, folders = _Chosen(selection or Selection()), _Folders(root)
    listed = sorted({path for path in listing.paths if chosen(path)})
    files = tuple(
        path for path in listed if _reached(path, folders, listing) and _readable(root, path, listing)
    )
    unread = tuple(sorted([*listing.unread, *_foreign(filter(chosen, sorted(listing.foreign)))]))
    return Inventory(files, unread, tuple(sorted(listing.left_out.items())))


def _foreign(paths: Iterable[str]) -> list[tuple[str, str]]:
    """What is lost of languages that are not read: the first file of each, and how many there are."""
    found: dict[str, list[str]] = {}
    for path in paths:
        found.setdefault(kinds.foreign(path), []).append(path)
    return [(of[0], f"{language} is not read ({len(of):,} in all)") for language, of in found.items()]


class _Chosen:
    """Decides by the user's include and exclude patterns."""

    def __init__(self, selection: Selection) -> None:
        self.include = _patterns("include", selection.include)
        self.exclude = _patterns("exclude", selection.exclude)

    def __call__(self, path: str) -> bool:
        if self.include is not None and not self.include.match_file(path):
            return False
        return self.exclude is None or not self.exclude.match_file(path)


class _Folders:
    """Knows which folders are really inside the tree; git's index may name paths that by now lead elsewhere."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._real = {"": True}

    def real(self, folder: str) -> bool:
        """Whether every step from the root down to this folder is a folder and no link."""
        if folder not in self._real:
            above, _, name = folder.rpartition("/")
            self._real[folder] = name not in ("", ".", "..") and self.real(above) and self._is_folder(folder)
        return self._real[folder]

    def _is_folder(self, folder: str) -> bool:
        try:
            return stat.S_ISDIR(os.lstat(self.root / folder).st_mode)
        except (OSError, ValueError):
            return False


def _reached(path: str, folders: _Folders, listing: Listing) -> bool:
    """Whether a path leads to its file without a link on the way."""
    folder, _, name = path.rpartition("/")
    if name not in ("", ".", "..") and folders.real(folder):
        return True
    if os.path.lexists(folders.root / path):
        listing.unread.append((path, "reached through a link: not followed"))
    return False


def _patterns(name: str, lines: tuple[str, ...]) -> GitIgnoreSpec | None:
    try:
        return GitIgnoreSpec.from_lines(lines) if lines else None
    except (ValueError, TypeError) as problem:
        raise ConfigError(
            f"{name}: {list(lines)!r} holds a pattern that cannot be read ({problem})"
        ) from problem


def _readable(root: Path, path: str, listing: Listing) -> bool:
    """Whether a listed path is a regular file of bearable size; otherwise say why not."""
    name = path.rpartition("/")[2]
    if reason := kinds.file_left_out(name):
        listing.leave_out(reason)
        return False
    try:
        status = os.lstat(root / path)
    except FileNotFoundError:
        return False  # still in git's index, no longer in the tree
    except (OSError, ValueError) as problem:
        listing.unread.append((path, f"cannot be read: {getattr(problem, 'strerror', problem)}"))
        return False
    if stat.S_ISLNK(status.st_mode):
        return _link(root, path, listing)
    if not stat.S_ISREG(status.st_mode):
        listing.unread.append((path, "not a regular file"))
        return False
    return _bearable(path, name, status.st_size, listing)


def _link(root: Path, path: str, listing: Listing) -> bool:
    """A link is never followed: inside the tree its target is audited as itself, outside it is lost coverage."""
    target = os.path.realpath(root / path)
    if os.path.commonpath([target, os.path.realpath(root)]) == os.path.realpath(root):
        listing.leave_out("linked")
    else:
        listing.unread.append((path, "link that leaves the tree: not followed"))
    return False


def _bearable(path: str, name: str, size: int, listing: Listing) -> bool:
    limit = listing.limits.lock_bytes if kinds.is_lock(name) else listing.limits.file_bytes
    if size <= limit:
        return True
    if kinds.is_source(name) or kinds.is_lock(name):
        listing.unread.append((path, f"larger than {limit // 1024 // 1024} MB ({size / 1024 / 1024:.1f} MB)"))
    else:
        listing.leave_out("large data")
    return False
