"""Coverage-guided fuzzing of everything that reads foreign bytes, bounded in time; run by `make audit-fuzz`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
VENV = ROOT / ".venv-fuzz"
SECONDS = int(os.environ.get("FUZZ_SECONDS", "60"))


def prepare() -> Path:
    """A virtual environment of its own: atheris is big and needed nowhere else."""
    python = VENV / "bin" / "python"
    if not (VENV / ".ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "atheris", "-e", f"{ROOT}[audit]"], check=True)
        (VENV / ".ready").touch()
    return python


def main() -> int:
    """Run each target for its share of the time; the first crash ends it."""
    python = prepare()
    sys.path.insert(0, str(ROOT / "tests" / "audit"))
    names = subprocess.run(
        [str(python), __file__, "--names"], check=True, capture_output=True, text=True, cwd=ROOT
    ).stdout.split()
    share = max(5, SECONDS // len(names))
    for name in names:
        corpus = VENV / "corpus" / name
        corpus.mkdir(parents=True, exist_ok=True)
        command = [
            str(python),
            __file__,
            "--target",
            name,
            str(corpus),
            f"-max_total_time={share}",
            "-max_len=4096",
        ]
        print(f"{name}: {share} s", flush=True)
        done = subprocess.run(
            [*command, "-timeout=10", "-rss_limit_mb=1024", "-verbosity=0"], cwd=VENV, check=False
        )
        if done.returncode:
            print(f"{name}: crashed; the input is in {VENV.name}/")
            return 1
    print(f"{len(names)} readers, no crash")
    return 0


def target(name: str, arguments: list[str]) -> None:
    """Fuzz one reader in this process."""
    import atheris

    with atheris.instrument_imports(include=["tallystick.audit", "readers"]):
        from readers import READERS

    def one(data: bytes) -> None:
        READERS[name](data)

    atheris.Setup([sys.argv[0], *arguments], one)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests" / "audit"))
    if "--names" in sys.argv:
        from readers import READERS

        print("\n".join(READERS))
    elif "--target" in sys.argv:
        target(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(main())
