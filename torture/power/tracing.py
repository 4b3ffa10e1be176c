"""ptrace with a seccomp filter, through the C library: only file-changing calls stop the traced processes.

No privileges are needed: a process may trace its own children. Linux 5.3 or newer, x86-64 or ARM64.
Sources: ptrace(2), seccomp(2), PTRACE_GET_SYSCALL_INFO.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_LIBC.ptrace.restype = ctypes.c_long
TRACEME, CONT, SYSCALL, SETOPTIONS, SYSCALL_INFO = 0, 7, 24, 0x4200, 0x420E
_OPTIONS = (
    0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x80 | 0x100000
)  # sysgood, fork, vfork, clone, exec, seccomp, exitkill
_SECCOMP_EVENT = 7
_WALL = 0x40000000
_CREATE_OR_TRUNCATE = 0x40 | 0x200

_X86 = {
    "write": 1, "open": 2, "pwrite64": 18, "writev": 20, "sendfile": 40, "fsync": 74, "fdatasync": 75,
    "truncate": 76, "ftruncate": 77, "rename": 82, "mkdir": 83, "rmdir": 84, "creat": 85, "link": 86,
    "unlink": 87, "sync": 162, "openat": 257, "mkdirat": 258, "unlinkat": 263, "renameat": 264, "linkat": 265,
    "fallocate": 285, "pwritev": 296, "syncfs": 306, "renameat2": 316, "copy_file_range": 326,
    "pwritev2": 328, "io_uring_setup": 425, "openat2": 437,
}  # fmt: skip
_ARM = {
    "mkdirat": 34, "unlinkat": 35, "linkat": 37, "renameat": 38, "truncate": 45, "ftruncate": 46,
    "fallocate": 47, "openat": 56, "write": 64, "writev": 66, "pwrite64": 68, "pwritev": 70, "sendfile": 71,
    "sync": 81, "fsync": 82, "fdatasync": 83, "syncfs": 267, "renameat2": 276, "copy_file_range": 285,
    "pwritev2": 287, "io_uring_setup": 425, "openat2": 437,
}  # fmt: skip


def numbers() -> dict[str, int]:
    """The system calls of this machine that change files, by name."""
    return {"x86_64": _X86, "aarch64": _ARM}[platform.machine()]


class _Info(ctypes.Structure):
    _fields_ = (
        ("op", ctypes.c_uint8),
        ("pad", ctypes.c_uint8 * 3),
        ("arch", ctypes.c_uint32),
        ("instruction", ctypes.c_uint64),
        ("stack", ctypes.c_uint64),
        ("words", ctypes.c_uint64 * 8),
    )


class _Filter(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("yes", ctypes.c_uint8),
        ("no", ctypes.c_uint8),
        ("k", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_Filter)))


def _filter() -> _Program:
    """Stop at the calls of `numbers`; at open calls only when they create or truncate."""
    load, equal, has, answer, trace, allow = 0x20, 0x15, 0x45, 0x06, 0x7FF00000, 0x7FFF0000
    steps = []
    for name, number in numbers().items():
        if name in ("open", "openat"):
            flags = 16 + 8 * (1 if name == "open" else 2)
            steps += [(load, 0, 0, 0), (equal, 0, 4, number), (load, 0, 0, flags)]
            steps += [(has, 0, 1, _CREATE_OR_TRUNCATE), (answer, 0, 0, trace), (answer, 0, 0, allow)]
        else:
            steps += [(load, 0, 0, 0), (equal, 0, 1, number), (answer, 0, 0, trace)]
    steps.append((answer, 0, 0, allow))
    array = (_Filter * len(steps))(*[_Filter(*step) for step in steps])
    return _Program(len(steps), array)


def _ptrace(request: int, pid: int, address: int = 0, data: int = 0) -> int:
    result: int = _LIBC.ptrace(request, pid, address, data)
    if result < 0 and ctypes.get_errno() != 3:  # ESRCH: it was killed meanwhile
        raise OSError(ctypes.get_errno(), f"ptrace request {request:#x}")
    return result


@dataclass
class Stop:
    """A traced process before (`result` None) or after one of the calls; `arguments` are its six words."""

    pid: int
    call: str
    arguments: tuple[int, ...]
    result: int | None


def start(command: Sequence[str]) -> int:
    """Start a program that stops at the calls of `numbers`; its process id."""
    program = _filter()
    pid = os.fork()
    if pid == 0:
        try:
            _ptrace(TRACEME, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            _LIBC.prctl(38, 1, 0, 0, 0)  # no new privileges: without it a filter needs root
            if _LIBC.prctl(22, 2, ctypes.byref(program), 0, 0):
                raise OSError(ctypes.get_errno(), "seccomp")
            os.execvp(command[0], list(command))
        finally:
            os._exit(127)
    os.waitpid(pid, _WALL)
    _ptrace(SETOPTIONS, pid, 0, _OPTIONS)
    _ptrace(CONT, pid)
    return pid


def stops(root: int) -> Iterator[Stop]:
    """Every entry and exit of the calls, of the program and all it starts, until the program ends."""
    names = {number: name for name, number in numbers().items()}
    pending: dict[int, Stop] = {}
    seen = {root}
    while True:
        pid, status = os.waitpid(-1, _WALL)
        if not os.WIFSTOPPED(status):
            pending.pop(pid, None)
            seen.discard(pid)
            if pid == root:
                return
            continue
        number, event = os.WSTOPSIG(status), status >> 16
        if event == _SECCOMP_EVENT:
            entering = _info(pid)
            if entering.op:  # else it was killed meanwhile
                words = entering.words
                pending[pid] = Stop(pid, names[words[0]], tuple(words[1:7]), None)
                yield pending[pid]
            _ptrace(SYSCALL, pid)
        elif number == signal.SIGTRAP | 0x80:
            entered, leaving = pending.pop(pid, None), _info(pid)
            if entered is not None and leaving.op:
                entered.result = ctypes.c_int64(leaving.words[0]).value
                yield entered
            _ptrace(CONT, pid)
        elif event:
            _ptrace(CONT, pid)
        elif number == signal.SIGSTOP and pid not in seen:
            _ptrace(CONT, pid)  # how a new thread or process begins
        else:
            _ptrace(CONT, pid, 0, 0 if number == signal.SIGTRAP else number)
        seen.add(pid)


def _info(pid: int) -> _Info:
    info = _Info()
    _ptrace(SYSCALL_INFO, pid, ctypes.sizeof(info), ctypes.addressof(info))
    return info
