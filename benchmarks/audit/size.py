"""How much `tallystick[audit]` puts on a disk, installed alone; fails above the promise."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROMISE_MB = 25
MEGABYTE = 1024 * 1024


def main() -> int:
    """Install into an empty folder and add up the files."""
    with tempfile.TemporaryDirectory() as folder:
        install(Path(folder))
        sizes = packages(Path(folder))
    for name, size in sorted(sizes.items(), key=lambda pair: -pair[1]):
        if size > 0.1 * MEGABYTE:
            print(f"{size / MEGABYTE:8.2f} MB  {name}")
    total = sum(sizes.values()) / MEGABYTE
    print(f"{total:8.2f} MB  in all, of at most {PROMISE_MB} MB")
    return 0 if total <= PROMISE_MB else 1


def install(folder: Path) -> None:
    """What a user's `pip install` of the extra would put there."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-compile",
    ]
    subprocess.run([*command, "--target", str(folder), f"{ROOT}[audit]"], check=True)


def packages(folder: Path) -> dict[str, int]:
    """Bytes per top-level name."""
    sizes: dict[str, int] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            top = path.relative_to(folder).parts[0]
            sizes[top] = sizes.get(top, 0) + path.stat().st_size
    return sizes


if __name__ == "__main__":
    sys.exit(main())
