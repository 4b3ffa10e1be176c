"""The auditor on a synthetic monorepo of 5,000 files: cold, warm, start-up, memory, and against semgrep.

semgrep is installed on demand into `.venv-semgrep` (it needs 350 MB); `BENCH_SEMGREP=0` leaves it out.
Trust the ratios, not the seconds.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import monorepo
from measuring import TALLYSTICK, Run, measured

ROOT = Path(__file__).parents[2]
VENV = ROOT / ".venv-semgrep"
FILES = int(os.environ.get("BENCH_FILES", "5000"))
REPEATS = int(os.environ.get("BENCH_REPEATS", "3"))


def main() -> int:
    """Print one table; the exit code says whether every promise held."""
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as folder:
        tree = Path(folder) / "monorepo"
        os.environ["XDG_CACHE_HOME"] = str(tree.with_name("cache"))
        count = monorepo.write(tree, FILES)
        print(f"{count:,} TypeScript files, seed 1, {os.cpu_count()} cores, best of {REPEATS}\n")
        start = best([*TALLYSTICK, "--help"], tree)
        cold = best([*TALLYSTICK, "-f", "json"], tree, fresh=True)
        warm = best([*TALLYSTICK, "-f", "json"], tree)
        found(cold)
        rows = [
            ("start-up", start.seconds, 0.2, "s"),
            ("cold", cold.seconds, 4.0, "s"),
            ("cold, memory", cold.megabytes, 300.0, "MB"),
            ("warm", warm.seconds, 1.0, "s"),
        ]
        if os.environ.get("BENCH_SEMGREP", "1") != "0":
            rows += opponents(tree, cold)
    for name, value, limit, unit in rows:
        print(
            f"{name:34} {value:8.2f} {unit:3} of at most {limit:g} {unit}  {'ok' if value <= limit else 'MISSED'}"
        )
    return 0 if all(value <= limit for _, value, limit, _ in rows) else 1


def best(command: list[str], tree: Path, fresh: bool = False) -> Run:
    """The quickest of several runs, with the largest memory; a fresh run starts without the cache."""
    runs = []
    for _ in range(REPEATS):
        if fresh:
            shutil.rmtree(tree.with_name("cache"), ignore_errors=True)
        runs.append(measured(command, tree))
    quickest = min(runs, key=lambda run: run.seconds)
    return quickest._replace(megabytes=max(run.megabytes for run in runs))


def found(run: Run) -> None:
    """What the auditor said about the planted flaws."""
    report = json.loads(run.output)
    counts = report["counts"]
    codes = sorted({one["code"] for one in report["findings"]})
    print(
        f"verdict {report['verdict']}: {report['summary']}; {counts['findings']} findings: {', '.join(codes)}"
    )
    print(f"planted: {monorepo.METERED} metered routes, {monorepo.FLAWED} of them flawed\n")


def opponents(tree: Path, cold: Run) -> list[tuple[str, float, float, str]]:
    """semgrep on the same tree with a narrow and with a broad rule, as ratios of its time."""
    semgrep = prepare()
    subprocess.run(["git", "init", "-q"], cwd=tree, check=True)
    rows = []
    for name, limit in (("narrow", 0.8), ("broad", 0.25)):
        rules = ROOT / "benchmarks" / "semgrep" / f"{name}.yaml"
        options = "scan --metrics=off --disable-version-check --no-git-ignore --quiet --json --jobs".split()  # noqa: SIM905
        run = best([str(semgrep), *options, str(os.cpu_count()), "--config", str(rules), "."], tree)
        results = len(json.loads(run.output)["results"])
        print(f"semgrep, {name}: {run.seconds:.2f} s, {run.megabytes:.0f} MB, {results} results")
        rows.append((f"cold, share of semgrep's {name}", cold.seconds / run.seconds, limit, ""))
    print()
    return rows


def prepare() -> Path:
    """semgrep in a virtual environment of its own."""
    if not (VENV / ".ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "semgrep"], check=True)
        (VENV / ".ready").touch()
    os.environ["PATH"] = f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return VENV / "bin" / "semgrep"


if __name__ == "__main__":
    sys.exit(main())
