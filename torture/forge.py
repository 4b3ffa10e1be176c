"""Starts processes fast: one process with the heavy libraries loaded, forked for each order.

It never imports tallystick itself, so that a child reads TALLYSTICK_FAILPOINT at its own import, as any
process does.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from typing import Any

HEAVY = [
    *("asyncio", "fastapi", "http.client", "httptools", "msgspec", "psycopg", "rich.console", "rich.table"),
    *("sqlite3", "stripe", "typer", "uvicorn", "uvicorn.lifespan.on", "uvicorn.loops.uvloop"),
    *("uvicorn.protocols.http.httptools_impl", "uvloop"),
]


class Process:
    """A child of the forge; what it says (stdout and stderr) is read until it is gone."""

    def __init__(self, forge: Forge, pid: int, pipe: int) -> None:
        self.pid = pid
        self._forge = forge
        self._pipe = pipe
        self.text = ""
        self.alive = True
        self.status = 0

    def hear(self, seconds: float) -> None:
        """Read what it says, waiting at most this long for something; notices its end."""
        if not self.alive or not select.select([self._pipe], [], [], max(seconds, 0))[0]:
            return
        said = os.read(self._pipe, 65536)
        self.text += said.decode("utf-8", "replace")
        if not said:
            os.close(self._pipe)
            self.alive = False
            self.status = self._forge.reap(self.pid)

    def wait(self, seconds: float, *, word: str = "") -> bool:
        """Wait until it has ended, or has said `word`; whether it did in time."""
        until = time.monotonic() + seconds
        while self.alive and not (word and word in self.text) and time.monotonic() < until:
            self.hear(until - time.monotonic())
        return not self.alive or bool(word and word in self.text)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal, if it is still there."""
        if self.alive:
            os.kill(self.pid, number)


class Forge:
    """The parent of all processes that get killed. Make it before anything imports tallystick."""

    def __init__(self) -> None:
        assert not any(name.partition(".")[0] == "tallystick" for name in sys.modules)
        self._ours, theirs = socket.socketpair()
        if os.fork() == 0:
            self._ours.close()
            with contextlib.suppress(KeyboardInterrupt):
                _serve(theirs)
            os._exit(0)
        theirs.close()

    def start(self, role: str, order: dict[str, Any], *sockets: socket.socket) -> Process:
        """Run `torture.roles:role` in a new process."""
        reader, writer = os.pipe()
        message = json.dumps({"role": role, "order": order}).encode()
        fds = [writer, *(each.fileno() for each in sockets)]
        socket.send_fds(self._ours, [message], fds)
        os.close(writer)
        return Process(self, json.loads(self._ours.recv(1000))["pid"], reader)

    def reap(self, pid: int) -> int:
        """The exit code of a process that has ended (negative: the signal)."""
        self._ours.sendall(json.dumps({"reap": pid}).encode())
        status: int = json.loads(self._ours.recv(1000))["status"]
        return status

    def close(self) -> None:
        """End the forge, and with it every process that still runs."""
        self._ours.close()
        os.wait()


def _serve(requests: socket.socket) -> None:
    for name in HEAVY:
        importlib.import_module(name)
    living: set[int] = set()
    while True:
        text, fds, _, _ = socket.recv_fds(requests, 1 << 20, 8)
        if not text:  # the worker is done, or dead
            for pid in living:
                os.kill(pid, signal.SIGKILL)
            return
        message = json.loads(text)
        if "reap" in message:
            living.discard(message["reap"])
            status = os.waitstatus_to_exitcode(os.waitpid(message["reap"], 0)[1])
            requests.sendall(json.dumps({"status": status}).encode())
            continue
        pid = os.fork()
        if pid == 0:
            requests.close()
            _become(message["role"], message["order"], fds)
        living.add(pid)
        for fd in fds:
            os.close(fd)
        requests.sendall(json.dumps({"pid": pid}).encode())


def _become(role: str, order: dict[str, Any], fds: list[int]) -> None:
    status = 1
    try:
        os.dup2(fds[0], 1)
        os.dup2(fds[0], 2)
        os.close(fds[0])
        os.environ.update(order["environ"])
        roles = importlib.import_module("torture.roles")
        getattr(roles, role)(order, *fds[1:])
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(status)
