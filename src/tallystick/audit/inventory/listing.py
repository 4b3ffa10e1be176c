"""Lists the paths of a tree: by git where there is one, else by an own walk that obeys `.gitignore`."""

from __future__ import annotations

import os
import re
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pathspec import GitIgnoreSpec

from tallystick.audit.inventory import kinds
from tallystick.audit.inventory.model import Limits

GIT_SECONDS = 30
IGNORE_BYTES = 1024 * 1024
PATTERNS = 2_000  # in force for one path
STARRED = re.compile(r"(?:\*+[^*/]+){4}\*|(?:\*+[^*]+){6}\*")  # each star multiplies the ways to match
UNAPPLIED = (
    f"more than {PATTERNS:,} patterns for one path, or too many stars in one: the rest ignores nothing"
)
HARDENED = [
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "protocol.allow=never",
    "-c",
    "core.untrackedCache=false",
]


class Listing:
    """Collects paths, what could not be listed, and how much was left out, under one set of limits."""

    def __init__(self, limits: Limits) -> None:
        """Start empty."""
        self.limits = limits
        self.paths: list[str] = []
        self.foreign: list[str] = []
        self.unread: list[tuple[str, str]] = []
        self.left_out: dict[str, int] = {}

    def take(self, path: str) -> bool:
        """Keep a path of a file by what its name says of it; whether it says anything."""
        kept = self.paths if kinds.wanted(path) else self.foreign if kinds.foreign(path) else None
        if kept is not None:
            kept.append(path)
        return kept is not None

    def leave_out(self, reason: str) -> None:
        """Count one path that is left out on purpose."""
        self.left_out[reason] = self.left_out.get(reason, 0) + 1

    def full(self) -> bool:
        """Whether the limit on the number of files is reached."""
        return len(self.paths) >= self.limits.files


def git(root: Path, *arguments: str, stdin: bytes | None = None) -> bytes | None:
    """Output of a git command that cannot start any program of the audited tree; None when git declines."""
    environment = {key: os.environ[key] for key in ("PATH", "HOME", "SYSTEMROOT") if key in os.environ}
    environment |= {
        "GIT_ALLOW_PROTOCOL": "none",  # a promisor's `ext::` address would be a program; outranks the tree's settings
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }
    try:
        done = subprocess.run(
            ["git", *HARDENED, *arguments],
            cwd=root,
            env=environment,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def git_paths(root: Path) -> list[str] | None:
    """Tracked and untracked paths that git does not ignore; None when git has nothing to say about this tree."""
    output = git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if not output:
        return None
    return sorted({os.fsdecode(name) for name in output.split(b"\0") if name})


def list_by_git(root: Path, names: list[str], listing: Listing, prefix: str = "", level: int = 0) -> None:
    """Take over the paths git names; a submodule is listed by its own git."""
    for name in names:
        if listing.full():
            listing.unread.append(
                (prefix or ".", f"more than {listing.limits.files} files: the rest is not read")
            )
            return
        if reason := kinds.path_left_out((prefix + name).rpartition("/")[0]):
            listing.leave_out(reason)
            continue
        if (
            not listing.take(prefix + name)
            and level < 4
            and (root / name).is_dir()
            and not (root / name).is_symlink()
        ):
            _submodule(root / name, listing, f"{prefix}{name}/", level + 1)


def _submodule(folder: Path, listing: Listing, prefix: str, level: int) -> None:
    names = git_paths(folder) if (folder / ".git").exists() else None
    if names is None:
        listing.unread.append((prefix.rstrip("/"), "submodule that is not checked out"))
    else:
        list_by_git(folder, names, listing, prefix, level)


def list_by_walk(root: Path, listing: Listing) -> None:
    """Walk the folders without recursion and without following links, obeying every `.gitignore` on the way."""
    pending: list[tuple[str, int, tuple[Ignores, ...]]] = [("", 0, ())]
    while pending:
        prefix, depth, specs = pending.pop()
        if depth > listing.limits.depth:
            listing.unread.append((prefix.rstrip("/"), f"folders nested deeper than {listing.limits.depth}"))
            continue
        specs += tuple(_ignores(root / prefix, prefix, PATTERNS - sum(one.number for one in specs), listing))
        for name, is_folder in _entries(root, prefix, listing):
            path = prefix + name
            if listing.full():
                listing.unread.append(
                    (prefix or ".", f"more than {listing.limits.files} files: the rest is not read")
                )
                return
            if _ignored(path + "/" * is_folder, specs):
                listing.leave_out("ignored")
            elif not is_folder:
                listing.take(path)
            elif reason := kinds.folder_left_out(path):
                listing.leave_out(reason)
            else:
                pending.append((path + "/", depth + 1, specs))


def _entries(root: Path, prefix: str, listing: Listing) -> list[tuple[str, bool]]:
    try:
        with os.scandir(root / prefix) as entries:
            return sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    except OSError as problem:
        listing.unread.append((prefix.rstrip("/") or ".", f"cannot be listed: {problem.strerror}"))
        return []


class Ignores(NamedTuple):
    """The patterns of one `.gitignore`, for the paths below its folder."""

    prefix: str
    patterns: GitIgnoreSpec
    number: int


def _ignores(folder: Path, prefix: str, room: int, listing: Listing) -> Iterator[Ignores]:
    path = folder / ".gitignore"
    try:
        if path.is_symlink() or not path.is_file():
            return
        with path.open("rb") as file:
            data = file.read(IGNORE_BYTES + 1)
    except OSError:
        return
    whole = data if len(data) <= IGNORE_BYTES else data.rpartition(b"\n")[0]
    said = whole.decode("utf-8", "surrogateescape").splitlines()
    lines = [line for line in said if line.strip() and not line.startswith("#")]
    simple = [line for line in lines if not STARRED.search(line)][: max(0, room)]
    if len(data) > IGNORE_BYTES or len(simple) < len(lines):
        listing.unread.append((f"{prefix}.gitignore", UNAPPLIED))
    with warnings.catch_warnings(action="ignore"):  # of patterns that are someone else's to mend
        yield Ignores(prefix, _patterns(simple), len(simple))


def _patterns(lines: list[str]) -> GitIgnoreSpec:
    """The patterns of these lines; a malformed one ignores nothing, as with git."""
    try:
        return GitIgnoreSpec.from_lines(lines)
    except (ValueError, TypeError):
        return GitIgnoreSpec.from_lines(line for line in lines if _sound(line))


def _sound(line: str) -> bool:
    try:
        GitIgnoreSpec.from_lines([line])
    except (ValueError, TypeError):
        return False
    return True


def _ignored(path: str, specs: tuple[Ignores, ...]) -> bool:
    """The nearest `.gitignore` with an opinion decides."""
    for prefix, patterns, _ in reversed(specs):
        opinion = patterns.check_file(path[len(prefix) :]).include
        if opinion is not None:
            return opinion
    return False
