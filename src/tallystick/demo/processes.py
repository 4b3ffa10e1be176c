"""The demo's other processes: the gateway with its workers, in a process group that can be killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from tallystick.errors import TallystickError


def free_port() -> int:
    """A free loopback port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Gateway:
    """The example application under uvicorn."""

    def __init__(self, port: int, environ: Mapping[str, str], log: Path, *, workers: int = 2) -> None:
        self._port = port
        self._environ = dict(environ)
        self._log = log
        self._workers = workers
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the workers and wait until they answer."""
        command = [sys.executable, "-m", "uvicorn", "--factory", "tallystick.demo.gateway:create_app"]
        command += ["--port", str(self._port), "--workers", str(self._workers), "--log-level", "warning"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--no-access-log"],
                env=self._environ,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait()

    def _wait(self) -> None:
        for _ in range(400):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/health", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                if self._process is None or self._process.poll() is not None:
                    break
                try:
                    self._process.wait(0.05)
                except subprocess.TimeoutExpired:
                    continue
        raise TallystickError(f"the gateway did not start; its log: {self._log.read_text()[-2000:]}")

    def kill(self) -> None:
        """SIGKILL: no handler runs, nothing is flushed."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, as a deploy does it."""
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            if number is signal.SIGTERM:
                self._process.terminate()
            else:
                os.killpg(self._process.pid, number)
            self._process.wait()
        self._process = None
