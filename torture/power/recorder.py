"""Records, in one order, what a program and its children do to the files of one folder.

`python -m torture.power.recorder RECORDING FOLDER COMMAND…` writes one pickled operation after the other:
(kind, path, …). Writes carry their bytes; a sync says how many operations were there when it began,
because only those are surely covered.
"""

from __future__ import annotations

import os
import pickle
import struct
import sys
from typing import Any, BinaryIO

from torture.power.tracing import Stop, start, stops

AT_REMOVEDIR, KEEP_SIZE, PUNCH_HOLE = 0x200, 1, 2
TO_A_DESCRIPTOR = (
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "pwritev2",
    "ftruncate",
    "fallocate",
    "fsync",
    "fdatasync",
)
UNSEEN = ("unseen",)
NOT_MODELLED = ("io_uring_setup", "openat2", "truncate", "link", "linkat", "sendfile", "copy_file_range")


class Recorder:
    """Turns stops into operations."""

    def __init__(self, out: BinaryIO, folder: str) -> None:
        self._out = out
        self._folder = folder.rstrip("/")
        self._entered: dict[int, Any] = {}
        self.count = 0

    def see(self, stop: Stop) -> None:
        """Note what a call is about when it begins, write it down when it has succeeded."""
        if stop.result is None:
            try:
                self._entered[stop.pid] = self._describe(stop)
            except (FileNotFoundError, ProcessLookupError):
                self._entered[stop.pid] = UNSEEN  # killed meanwhile: the call does not happen
            return
        operation = self._entered.pop(stop.pid, None)
        if operation is None or stop.result < 0:
            return
        if operation is UNSEEN:
            raise RuntimeError(f"{stop.call} of process {stop.pid} could not be read, and it happened")
        if operation[0] == "write":
            kind, path, offset, data = operation
            operation = (kind, path, offset, data[: stop.result])
        pickle.dump(operation, self._out)
        self.count += 1

    def _describe(self, stop: Stop) -> tuple[Any, ...] | None:
        call, (a, b, c, d, *_) = stop.call, stop.arguments
        if call in TO_A_DESCRIPTOR:
            path = self._of_descriptor(stop.pid, a)
            return None if path is None else self._on_file(stop, path)
        if call in NOT_MODELLED:
            self._refuse(stop)
            return None
        if call in ("rename", "renameat", "renameat2"):
            old, new = (a, b) if call == "rename" else (b, d)
            at_old, at_new = (-100, -100) if call == "rename" else (a, c)
            return self._named("rename", stop.pid, at_old, old, at_new, new)
        if call in ("mkdir", "mkdirat"):
            return self._named("mkdir", stop.pid, *((-100, a) if call == "mkdir" else (a, b)))
        if call in ("rmdir", "unlink", "unlinkat"):
            kind = "rmdir" if call == "rmdir" or (call == "unlinkat" and c & AT_REMOVEDIR) else "unlink"
            return self._named(kind, stop.pid, *((a, b) if call == "unlinkat" else (-100, a)))
        at, name, flags = (
            (-100, a, b) if call == "open" else (-100, a, 0x240) if call == "creat" else (a, b, c)
        )
        return None if call in ("sync", "syncfs") else self._opened(stop.pid, at, name, flags)

    def _on_file(self, stop: Stop, path: str) -> tuple[Any, ...]:
        call, pid, (fd, b, c, d, *_) = stop.call, stop.pid, stop.arguments
        if call in ("fsync", "fdatasync"):
            return ("sync", path, self.count)
        if call == "ftruncate":
            return ("truncate", path, b)
        if call == "fallocate":
            if b not in (0, KEEP_SIZE):
                raise NotImplementedError(f"fallocate mode {b} on {path}")
            return ("extend", path, 0 if b else c + d)
        offset = self._position(pid, fd, path) if call in ("write", "writev") else d
        data = _memory(pid, b, c) if call in ("write", "pwrite64") else _vector(pid, b, c)
        return ("write", path, offset, data)

    def _opened(self, pid: int, at: int, name: int, flags: int) -> tuple[Any, ...] | None:
        path = self._path(pid, at, name)
        if path is None:
            return None
        exists = os.path.exists(path)
        if exists:
            return ("truncate", path, 0) if flags & 0x200 else None
        return ("create", path)

    def _named(self, kind: str, pid: int, *places: int) -> tuple[Any, ...] | None:
        paths = [self._path(pid, places[n], places[n + 1]) for n in range(0, len(places), 2)]
        if all(path is None for path in paths):
            return None
        if None in paths:
            raise NotImplementedError(f"{kind} across the border of the folder: {paths}")
        return (kind, *paths)

    def _refuse(self, stop: Stop) -> None:
        fds = [self._of_descriptor(stop.pid, fd) for fd in stop.arguments[:3]]
        if stop.call == "io_uring_setup" or any(fds):
            raise NotImplementedError(f"{stop.call} is not modelled")

    def _of_descriptor(self, pid: int, fd: int) -> str | None:
        try:
            return self._inside(os.readlink(f"/proc/{pid}/fd/{fd & 0xFFFFFFFF}"))
        except OSError:
            return None

    def _path(self, pid: int, at: int, name: int) -> str | None:
        text = _text(pid, name)
        if not text.startswith("/"):
            at = at - (1 << 32) if 0x7FFFFFFF < at <= 0xFFFFFFFF else at
            base = f"/proc/{pid}/cwd" if at in (-100, (1 << 64) - 100) else f"/proc/{pid}/fd/{at}"
            text = os.path.join(os.readlink(base), text)
        return self._inside(os.path.normpath(text))

    def _inside(self, path: str) -> str | None:
        inside = path == self._folder or path.startswith(self._folder + "/")
        return path if inside and not path.endswith(" (deleted)") else None

    def _position(self, pid: int, fd: int, path: str) -> int:
        with open(f"/proc/{pid}/fdinfo/{fd}") as info:
            lines = dict(line.split(":", 1) for line in info.read().splitlines() if ":" in line)
        appends = int(lines["flags"], 8) & 0o2000
        return os.path.getsize(path) if appends else int(lines["pos"])


def _memory(pid: int, address: int, length: int) -> bytes:
    handle = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    try:
        data = os.pread(handle, length, address)
    finally:
        os.close(handle)
    if len(data) < length:
        raise ProcessLookupError(f"process {pid} is gone")
    return data


def _vector(pid: int, address: int, count: int) -> bytes:
    words = struct.unpack(f"{2 * count}Q", _memory(pid, address, 16 * count))
    return b"".join(_memory(pid, words[n], words[n + 1]) for n in range(0, 2 * count, 2))


def _text(pid: int, address: int) -> str:
    data = b""
    while b"\0" not in data:
        data += _memory(pid, address + len(data), 4096 - (address + len(data)) % 4096)
    return data.partition(b"\0")[0].decode()


def main() -> None:
    """Trace a command until it ends."""
    recording, folder, *command = sys.argv[1:]
    with open(recording, "wb") as out:
        recorder = Recorder(out, os.path.realpath(folder))
        for stop in stops(start(command)):
            recorder.see(stop)


if __name__ == "__main__":
    main()
