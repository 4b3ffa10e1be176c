"""Power cuts on both databases, the controls that must lose, and the model of the disk itself."""

from __future__ import annotations

import os
import platform
import random
import subprocess
import sys
from pathlib import Path

import pytest

from torture.power import cuts
from torture.power.disk import Disk, recorded

SEED = int(os.environ.get("TORTURE_SEED", random.randrange(1_000_000)))
CASES = {"sqlite": (300, 60), "postgres": (90, 6), "spool": (60, 30)}  # entries, cuts

pytestmark = pytest.mark.skipif(
    platform.system() != "Linux", reason="records system calls with Linux's ptrace"
)


class Everything(random.Random):
    """A chance by which every unsynced write reaches the disk."""

    def random(self) -> float:
        return 0.0


@pytest.mark.parametrize("dialect", CASES)
def test_every_acknowledged_entry_outlives_the_power(dialect: str) -> None:
    entries, count = CASES[dialect]
    with cuts.workplace(dialect) as folder:
        result = cuts.run(folder, dialect, seed=SEED, entries=entries, cuts=count)
    print(result)
    assert result.losing == [], str(result)
    assert result.broken == [], str(result)
    assert result.cuts == count
    assert result.acknowledged > entries // 2


@pytest.mark.parametrize("dialect", CASES)
def test_the_control_loses_acknowledged_entries(dialect: str) -> None:
    """`synchronous=NORMAL` and `synchronous_commit=off` answer before the disk has it: the cuts show it."""
    with cuts.workplace(dialect) as folder:
        result = cuts.run(folder, dialect, cuts.CONTROLS[dialect], seed=SEED, entries=90, cuts=3)
    print(result)
    assert result.losing, str(result)


@pytest.mark.parametrize("dialect", CASES)
def test_the_recording_is_complete(dialect: str) -> None:
    """With every write kept, the model's folder is the real one byte by byte: nothing went unseen."""
    with cuts.workplace(dialect) as folder:
        recording, work, before = cuts.record(folder, dialect, cuts.SHIPPED, 60)
        disk = Disk(str(work), before)
        for operation in recorded(recording):
            disk.play(operation)
        disk.cut(folder / "image", Everything())
        # Shared memory, and what the server notes of its own process.
        mapped = ("ledger.db-shm", "postmaster.pid", "postmaster.opts")
        real = {p.relative_to(work) for p in work.rglob("*") if p.is_file() and p.name not in mapped}
        made = folder / "image"
        assert real <= {p.relative_to(made) for p in made.rglob("*") if p.is_file()}
        different = [str(p) for p in sorted(real) if (work / p).read_bytes() != (made / p).read_bytes()]
        assert different == []


def played(tmp_path: Path, program: str, before: dict[str, str] | None = None) -> tuple[Disk, Path]:
    """A small program, recorded and played on the model."""
    work, copy = tmp_path / "work", tmp_path / "before"
    for folder in (work, copy):
        folder.mkdir()
        for name, text in (before or {}).items():
            (folder / name).write_text(text)
    command = [sys.executable, "-m", "torture.power.recorder", str(tmp_path / "recording"), str(work)]
    script = f"import os\nos.chdir({str(work)!r})\n{program}"
    subprocess.run([*command, sys.executable, "-c", script], check=True, cwd=cuts.ROOT)
    disk = Disk(str(work), copy)
    for operation in recorded(tmp_path / "recording"):
        disk.play(operation)
    return disk, tmp_path / "image"


def left(disk: Disk, image: Path) -> dict[str, str]:
    disk.cut(image)
    return {path.name: path.read_text() for path in image.iterdir()}


WRITE = "f = os.open('a', os.O_RDWR | os.O_CREAT); os.write(f, b'one')\n"
SYNC = "os.fsync(f)\n"
FOLDER = "os.fsync(os.open('.', os.O_RDONLY))\n"


@pytest.mark.parametrize(
    ("program", "kept"),
    [
        (WRITE, {}),
        (WRITE + SYNC, {}),  # the bytes are safe, the name is not
        (WRITE + FOLDER, {"a": ""}),
        (WRITE + SYNC + FOLDER, {"a": "one"}),
        (WRITE + SYNC + FOLDER + "os.write(f, b'two')\n", {"a": "one"}),
        (WRITE + SYNC + FOLDER + "os.pwrite(f, b'X', 1); os.fdatasync(f)\n", {"a": "oXe"}),
        (WRITE + SYNC + FOLDER + "os.ftruncate(f, 1)\n", {"a": "one"}),
        (WRITE + SYNC + FOLDER + "os.ftruncate(f, 1); os.fsync(f)\n", {"a": "o"}),
        (WRITE + SYNC + FOLDER + "os.rename('a', 'b')\n", {"a": "one"}),
        (WRITE + SYNC + FOLDER + "os.rename('a', 'b')\n" + FOLDER, {"b": "one"}),
        (WRITE + SYNC + FOLDER + "os.unlink('a')\n", {"a": "one"}),
        (WRITE + SYNC + FOLDER + "os.unlink('a')\n" + FOLDER, {}),
        ("os.mkdir('d'); os.chdir('d')\n" + WRITE + SYNC + FOLDER, {}),  # d itself has no durable name
    ],
)
def test_the_disk_forgets_what_no_sync_covered(tmp_path: Path, program: str, kept: dict[str, str]) -> None:
    assert left(*played(tmp_path, program)) == kept


@pytest.mark.parametrize(
    ("program", "kept"),
    [
        ("os.unlink('old')\n", "text"),
        ("f = os.open('old', os.O_RDWR | os.O_TRUNC)\n", "text"),
        (
            "f = os.open('old', os.O_WRONLY | os.O_APPEND); os.writev(f, [b'-', b'more'])\n" + SYNC,
            "text-more",
        ),
    ],
)
def test_files_from_before(tmp_path: Path, program: str, kept: str) -> None:
    assert left(*played(tmp_path, program, {"old": "text"})) == {"old": kept}


BUSY = """
import signal, threading
def busy(name):
    f = os.open(name, os.O_RDWR | os.O_CREAT)
    while True:
        os.pwrite(f, b'x' * 100, 0); os.fsync(f); os.rename(name, name + '-'); os.rename(name + '-', name)
children = []
for n in range(4):
    children.append(os.fork())
    if children[-1] == 0:
        busy(f'busy{n}')
threading.Event().wait(0.2)
for child in children:
    os.kill(child, signal.SIGKILL)
for child in children:
    os.waitpid(child, 0)
"""


@pytest.mark.parametrize("turn", range(8))
def test_processes_that_are_killed_in_a_call_do_not_break_the_recording(tmp_path: Path, turn: int) -> None:
    """They stop at the call and are gone before it is read: then it does not happen either."""
    disk, _ = played(tmp_path, BUSY)
    assert disk.count > 20
