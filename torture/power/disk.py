"""What a disk keeps in a power cut: a model that forgets every byte no sync has covered.

A file's bytes are durable once an fsync or fdatasync of it has returned that began after they were
written. A name (creation, rename, removal) is durable once its folder was synced; with `lenient_names` also
once the file itself was, as ext4, XFS and btrfs do it. Of the rest nothing is kept, or, with a `chance`,
each sector by itself: disks and kernels write back in any order, and a write may be torn.
"""

from __future__ import annotations

import os
import pickle
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Operation = tuple[Any, ...]
SECTOR = 512


def recorded(path: Path) -> Iterator[Operation]:
    """The operations of a recording, in order."""
    with path.open("rb") as stream:
        while True:
            try:
                yield pickle.load(stream)
            except EOFError:
                return


@dataclass
class File:
    """One file: where its bytes before the recording are, what was done to it, how much of that is durable."""

    base: str | None
    done: list[tuple[int, Operation]] = field(default_factory=list)
    durable: int = 0  # operations that began before this number are kept


@dataclass
class Disk:
    """The files of a folder while a recording is played; `folder` holds a copy from before it began."""

    folder: str
    before: Path
    lenient_names: bool = False
    count: int = 0
    files: dict[str, File] = field(default_factory=dict)
    names: list[tuple[int, Operation, File | None]] = field(default_factory=list)  # not yet durable
    kept: dict[str, File | None] = field(default_factory=dict)  # durable names that differ from before
    made: set[str] = field(default_factory=set)  # folders made meanwhile whose names are not durable

    def play(self, operation: Operation) -> None:
        """One operation."""
        kind, path = operation[:2]
        if kind in ("write", "truncate", "extend"):
            self._file(path).done.append((self.count, operation))
        elif kind == "sync":
            self._sync(path, operation[2])
        elif kind == "create":
            self.files[path] = File(None)
            self.names.append((self.count, operation, self.files[path]))
        elif kind == "rename":
            self.files[operation[2]] = self._file(path)
            del self.files[path]
            self.names.append((self.count, operation, self.files[operation[2]]))
        elif kind == "unlink":
            self.files.pop(path, None)
            self.names.append((self.count, operation, None))
        elif kind == "mkdir" and not self.lenient_names:
            self.made.add(path)
            self.names.append((self.count, operation, None))
        self.count += 1

    def _file(self, path: str) -> File:
        if path not in self.files:
            self.files[path] = File(str(self.before / os.path.relpath(path, self.folder)))
        return self.files[path]

    def _sync(self, path: str, began: int) -> None:
        file = self.files.get(path)
        if file is not None:
            file.durable = max(file.durable, began)
        waiting = []
        for number, operation, about in self.names:
            here = path in {os.path.dirname(name) for name in operation[1:]}
            own = self.lenient_names and file is not None and about is file and operation[0] == "create"
            if number < began and (here or own):
                self._keep(operation, about, self.kept)
                self.made -= {path for path in operation[1:] if operation[0] == "mkdir"}
            else:
                waiting.append((number, operation, about))
        self.names = waiting

    @staticmethod
    def _keep(operation: Operation, about: File | None, names: dict[str, File | None]) -> None:
        kind, path, *rest = operation
        if kind == "rename":
            names[path] = None
            names[rest[0]] = about
        elif kind == "create":
            names[path] = about
        elif kind == "unlink":
            names[path] = None

    def cut(self, target: Path, chance: random.Random | None = None) -> None:
        """Write what is left of the folder after a power cut right now."""
        shutil.copytree(self.before, target, dirs_exist_ok=True)
        names = dict(self.kept)
        gone = {path for path in self.made if chance is None or chance.random() < 0.5}
        for _, operation, about in self.names:
            if chance is not None and chance.random() < 0.5:
                self._keep(operation, about, names)
        changed: dict[str, File | None] = {p: f for p, f in self.files.items() if f.base is not None}
        changed = {p: f for p, f in changed.items() if f and f.base == self._original(p)}
        for path, file in {**changed, **names}.items():
            if any(path.startswith(f"{folder}/") for folder in gone):
                continue  # what lies in a folder that is not there is not there either
            self._write(target / os.path.relpath(path, self.folder), file, chance)

    def _original(self, path: str) -> str:
        return str(self.before / os.path.relpath(path, self.folder))

    def _write(self, target: Path, file: File | None, chance: random.Random | None) -> None:
        target.unlink(missing_ok=True)
        if file is None:
            return
        data = bytearray(Path(file.base).read_bytes() if file.base else b"")
        for number, (kind, _, *what) in file.done:
            if number < file.durable:
                _apply(data, kind, what)
            elif chance is not None:
                for part in _sectors(kind, what):
                    if chance.random() < 0.5:
                        _apply(data, kind, part)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _apply(data: bytearray, kind: str, what: list[Any]) -> None:
    if kind == "write":
        offset, new = what
        data.extend(bytes(max(offset - len(data), 0)))
        data[offset : offset + len(new)] = new
    elif kind == "truncate":
        del data[what[0] :]
        data.extend(bytes(what[0] - len(data)))
    else:
        data.extend(bytes(max(what[0] - len(data), 0)))


def _sectors(kind: str, what: list[Any]) -> Iterator[list[Any]]:
    """The parts of an operation that reach the disk or not, each by itself."""
    if kind != "write":
        yield what
        return
    offset, data = what
    start = 0
    while start < len(data):
        size = SECTOR - (offset + start) % SECTOR
        yield [offset + start, data[start : start + size]]
        start += size
