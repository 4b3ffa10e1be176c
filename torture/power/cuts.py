"""Cut the power at many points of a recording and compare with what was acknowledged by then."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tallystick import Catalogue, Tally
from tallystick.ledger.model import Posting
from tallystick.ledger.spool import Spool
from tallystick.storage import Store, open_store
from tallystick.storage.sqlite import SqliteStore
from torture.power.cluster import Cluster, initialise, own
from torture.power.disk import Disk, Operation, recorded
from torture.power.writing import ACKNOWLEDGED, METERS, OffStore

ROOT = Path(__file__).parents[2]
SHIPPED, CONTROLS = "as shipped", {"sqlite": "normal", "postgres": "off", "spool": "unsynced"}
Read = Callable[[Path], set[str]]


@dataclass
class Cuts:
    """What the cuts of one recording came to."""

    dialect: str
    setting: str
    seed: int
    operations: int = 0
    cuts: int = 0
    acknowledged: int = 0
    worst: int = 0
    kept: str = ""
    losing: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lost = (
            f"{len(self.losing)} cuts lost acknowledged entries, at worst {self.worst} of {self.acknowledged}"
        )
        return (
            f"{self.dialect}, {self.setting}, seed {self.seed}: {self.cuts} cuts in {self.operations} operations, "
            f"{lost if self.losing else 'nothing acknowledged was lost'}, {len(self.broken)} broken databases"
            + "".join(f"\n    {each}" for each in [*self.losing[:5], *self.broken[:5]] if self.kept)
            + (
                f"\n    repeat: python -m torture recut {self.kept} {self.dialect} OPERATION"
                if self.kept
                else ""
            )
        )

    @property
    def failed(self) -> bool:
        """Whether something went wrong that must not."""
        return bool(self.broken or (self.losing and self.setting == SHIPPED))


@contextmanager
def workplace(dialect: str) -> Iterator[Path]:
    """A folder for one recording: on the real disk for SQLite; for PostgreSQL where its user may go, too."""
    where = None if dialect == "postgres" else Path.cwd()
    with tempfile.TemporaryDirectory(prefix="tallystick-torture-", dir=where) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder).resolve() / "cut"


def record(folder: Path, dialect: str, setting: str, count: int) -> tuple[Path, Path, Path]:
    """Run the writer under the recorder: the recording, the folder it worked in, a copy from before."""
    work, before, recording = folder / "work", folder / "before", folder / "recording"
    work.mkdir(parents=True)
    folder.chmod(0o777)
    if dialect == "postgres":
        initialise(work / "data")
        with Cluster(work / "data", folder) as cluster:
            Tally(open_store(cluster.url, auto_migrate=True), Catalogue(METERS)).close()
            cluster.stop()
        for template in ("1", "4"):  # two thirds of the files, and nobody connects to them
            shutil.rmtree(work / "data" / "base" / template)
    shutil.copytree(work, before)
    command = [sys.executable, "-m", "torture.power.recorder", str(recording), str(work)]
    command += [sys.executable, "-m", "torture.power.writing", str(work), dialect, setting, str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    acknowledged = len((work / ACKNOWLEDGED).read_text().split()) if (work / ACKNOWLEDGED).exists() else 0
    if done.returncode or acknowledged < count - 2:
        raise RuntimeError(
            f"the writer under the recorder stopped after {acknowledged} entries: {done.stderr[-3000:]}"
        )
    return recording, work, before


def run(
    folder: Path,
    dialect: str,
    setting: str = SHIPPED,
    *,
    seed: int,
    entries: int = 150,
    cuts: int = 60,
    seconds: float = float("inf"),
) -> Cuts:
    """Record once, then cut at points drawn from the seed, every second time with some unsynced writes kept."""
    recording, work, before = record(folder, dialect, setting, entries)
    result = Cuts(dialect, setting, seed)
    operations = list(recorded(recording))
    points = _points(operations, cuts, random.Random(seed))
    _play(operations, work, before, points, result, until=time.monotonic() + seconds)
    if result.failed:
        keep = Path.cwd() / f"tallystick-torture-kept-{seed}"
        shutil.copytree(folder, keep, dirs_exist_ok=True)
        (keep / "folder").write_text(str(work.resolve()))
        result.kept = keep.name
    return result


def again(folder: Path, dialect: str, seed: int, number: int) -> Cuts:
    """Repeat one cut of a recording that was kept, both ways."""
    result = Cuts(dialect, SHIPPED, seed)
    work = Path((folder / "folder").read_text())
    for _ in range(2):
        _play(list(recorded(folder / "recording")), work, folder / "before", {number}, result)
    return result


def _play(
    operations: list[Operation],
    work: Path,
    before: Path,
    points: set[int],
    result: Cuts,
    *,
    until: float = float("inf"),
) -> None:
    """Play a recording on the model of a disk; cut at these points, every second time keeping some writes."""
    read = {"sqlite": read_sqlite, "postgres": read_postgres, "spool": read_spool}[result.dialect]
    disk = Disk(str(work.resolve()), before, lenient_names=result.dialect == "postgres")
    acknowledged: list[str] = []
    result.operations = len(operations)
    for number, operation in enumerate(operations):
        if operation[0] == "write" and operation[1].endswith(f"/{ACKNOWLEDGED}"):
            acknowledged.append(operation[3].decode().strip())
        disk.play(operation)
        if number in points and time.monotonic() < until:
            kept = random.Random(f"{result.seed}:{number}") if result.cuts % 2 else None
            _cut(disk, before.parent / "image", number, acknowledged, kept, read, result)


def _points(operations: Sequence[Any], cuts: int, chance: random.Random) -> set[int]:
    """Half of the cuts right after an acknowledgement, half anywhere; the first one once there is something."""
    told = [n for n, o in enumerate(operations) if o[0] == "write" and o[1].endswith(f"/{ACKNOWLEDGED}")]
    after = chance.sample(told, min(len(told), (cuts + 1) // 2))
    anywhere = sorted(set(range(told[0], len(operations))) - set(after))
    return {*after, *chance.sample(anywhere, min(cuts - len(after), len(anywhere)))}


def _cut(
    disk: Disk,
    image: Path,
    number: int,
    acknowledged: list[str],
    kept: random.Random | None,
    read: Read,
    result: Cuts,
) -> None:
    shutil.rmtree(image, ignore_errors=True)
    disk.cut(image, kept)
    result.cuts += 1
    result.acknowledged = max(result.acknowledged, len(acknowledged))
    where = f"after operation {number} ({'some' if kept else 'no'} unsynced writes kept)"
    try:
        found = read(image)
    except Exception as error:
        result.broken.append(f"{where}: {type(error).__name__}: {error}")
        return
    lost = set(acknowledged) - found
    if lost:
        result.losing.append(f"{where}: {len(lost)} of {len(acknowledged)}")
        result.worst = max(result.worst, len(lost))


def read_sqlite(image: Path) -> set[str]:
    """The keys in a database that was cut; raises when it is damaged or does not add up."""
    with closing(sqlite3.connect(image / "ledger.db")) as connection:
        [(health,)] = connection.execute("pragma integrity_check").fetchall()
        if health != "ok":
            raise RuntimeError(health)
        try:
            found = {
                key
                for (key,) in connection.execute("select key from tallystick_entries where key is not null")
            }
        except sqlite3.OperationalError:
            return set()  # cut before the tables were there: whatever was acknowledged counts as lost
    _add_up(SqliteStore(image / "ledger.db"))
    return found


def read_postgres(image: Path) -> set[str]:
    """The same for a cluster: start it, let it recover, read."""
    own(image / "data")
    with Cluster(image / "data", image.parent, "fsync=off") as cluster:
        with psycopg.connect(cluster.url) as connection:
            rows = connection.execute("select key from tallystick.entries where key is not null").fetchall()
        _add_up(OffStore(cluster.url))  # nobody cuts the power of an image
        return {key for (key,) in rows}


def read_spool(image: Path) -> set[str]:
    """The keys that a spool would post."""
    found: list[Posting] = []
    Spool(image / "spool", lambda *_: None).replay(found.extend)
    return {str(entry.key) for posting in found for entry in posting.entries}


def _add_up(store: Store) -> None:
    """The sequencer goes on where it was, the chain holds, totals are what the entries add up to."""
    with Tally(store, Catalogue(METERS)) as tally:
        tally.ledger.sequencer.run()
        if tally.ledger.totals() != tally.ledger.recomputed_totals():
            raise RuntimeError("the totals are not what the entries add up to")


__all__ = ["CONTROLS", "SHIPPED", "Cuts", "record", "run", "workplace"]
