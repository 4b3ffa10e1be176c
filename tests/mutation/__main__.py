"""`python -m tests.mutation [WORDS]`: take away one safeguard after the other; its test has to fail.

With words only the safeguards whose names hold them. Exit code 1 when one is not missed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.mutation.mutation import Mutation
from tests.mutation.mutations import ALL

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "tallystick"


def mutated(mutation: Mutation, folder: Path) -> Path:
    """A copy of the sources without the safeguard; ValueError when its words are not there exactly once."""
    place = folder / "tallystick"
    shutil.copytree(SOURCES, place, ignore=shutil.ignore_patterns("__pycache__"))
    source = place / mutation.source
    text = source.read_text()
    if text.count(mutation.old) != 1:
        raise ValueError(f"{mutation.source} says {mutation.old!r} {text.count(mutation.old)} times")
    source.write_text(text.replace(mutation.old, mutation.new))
    return folder


def is_missed(mutation: Mutation) -> bool:
    """Whether the named test fails without the safeguard."""
    with tempfile.TemporaryDirectory(prefix="tallystick-mutation-") as folder:
        path = mutated(mutation, Path(folder))
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", mutation.test]
        environ = {**os.environ, "PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"}
        answer = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    if answer.returncode not in (0, 1):
        raise RuntimeError(
            f"{mutation.test} could not be run:\n{answer.stdout[-2000:]}{answer.stderr[-500:]}"
        )
    return answer.returncode == 1


def main() -> int:
    """Try the safeguards that the command line names, or all; print one line each."""
    words = " ".join(sys.argv[1:])
    chosen = [mutation for mutation in ALL if words in mutation.name]
    survived = 0
    for mutation in chosen:
        began = time.monotonic()
        missed = is_missed(mutation)
        survived += not missed
        took = f"{time.monotonic() - began:.0f} s"
        print(
            f"{'missed' if missed else 'NOT MISSED'}: {mutation.name} ({mutation.test}, {took})", flush=True
        )
    print(f"{len(chosen)} safeguards, {survived} not missed")
    return bool(survived) or not chosen


if __name__ == "__main__":
    sys.exit(main())
