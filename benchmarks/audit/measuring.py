"""Runs a command and says how long it took and how much memory its processes held."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

TALLYSTICK = [str(Path(sys.executable).parent / "tallystick"), "audit"]
UNCOMPILED = "PYTHONDONTWRITEBYTECODE"  # an installed program has its bytecode, as has its opponent
PAGE = os.sysconf("SC_PAGE_SIZE")


class Run(NamedTuple):
    """One measured run."""

    seconds: float
    megabytes: float
    status: int
    output: str


def measured(command: Sequence[str], folder: Path) -> Run:
    """Run to the end; memory is the largest sum over the process and its children, sampled."""
    began = time.perf_counter()
    env = {name: value for name, value in os.environ.items() if name != UNCOMPILED}
    with subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        peak = _Peak(process.pid)
        peak.start()
        output, errors = process.communicate()
        seconds = time.perf_counter() - began
        peak.over.set()
        peak.join()
    if process.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{errors[-2000:]}")
    return Run(seconds, peak.pages * PAGE / 1024 / 1024, process.returncode, output)


class _Peak(threading.Thread):
    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.pages, self.over = pid, 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.01):
            self.pages = max(self.pages, sum(map(_resident, _family(self.pid))))


def _family(pid: int) -> list[int]:
    found, pending = [], [pid]
    while pending:
        one = pending.pop()
        found.append(one)
        try:
            tasks = os.listdir(f"/proc/{one}/task")
            for task in tasks:
                pending += map(int, Path(f"/proc/{one}/task/{task}/children").read_text().split())
        except OSError:
            continue
    return found


def _resident(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
        return int(fields[1]) - int(fields[2]) // 2  # pages shared with a parent count half
    except (OSError, IndexError):
        return 0
