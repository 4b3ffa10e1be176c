"""Verdicts against labels: `make audit-devset LABELS=labelled.jsonl CHECKOUTS=folder`.

The labels are one JSON object a line (repo, subdir, verdict, reasons, confidence); a checkout is a folder named
`owner+name`. Public snapshots cannot be kept here, so both are given from outside.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from measuring import TALLYSTICK


class Row(NamedTuple):
    """One repository: what the label says, what the auditor said."""

    repo: str
    label: dict[str, Any]
    verdict: str
    codes: tuple[str, ...]
    seconds: float
    sure: tuple[str, ...] = ()
    routes: frozenset[str] = frozenset()

    @property
    def right(self) -> bool:
        """Whether the verdict is the label's."""
        return self.verdict == self.label["verdict"]

    @property
    def named(self) -> bool:
        """Whether one of the labelled reasons is among the findings that decide."""
        return bool(set(self.codes) & set(self.label["reasons"]))


def main(labels: Path, checkouts: Path) -> int:
    """Print a Markdown table and the scores."""
    rows = []
    print("| repository | label | verdict | reasons named | s |\n|---|---|---|---|---|")
    for line in labels.read_text().splitlines():
        label = json.loads(line)
        folder = checkouts / label["repo"].replace("/", "+") / label["subdir"]
        if not folder.is_dir():
            print(f"| {label['repo']} | {label['verdict']} | not checked out | | |")
            continue
        rows.append(row := audited(label, folder))
        named = ", ".join(sorted(set(row.codes) & set(label["reasons"]))) or "–"
        mark = "" if row.right else " ✗"
        print(
            f"| {row.repo} | {label['verdict']} | {row.verdict}{mark} | {named} | {row.seconds:.1f} |",
            flush=True,
        )
    scores(rows)
    return 0


def audited(label: dict[str, Any], folder: Path) -> Row:
    """Run the command as a user would, without its cache and without the tree's own settings."""
    began = time.perf_counter()
    command = [*TALLYSTICK, "--no-cache", "--isolated", "-f", "json", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode not in (0, 1):
        return Row(label["repo"], label, f"exit {done.returncode}", (), seconds)
    report = json.loads(done.stdout)
    deciding = [one for one in report["findings"] if one["decides"] and one["confidence"] != "low"]
    codes = tuple(one["code"] for one in deciding)
    sure = tuple(sorted({one["code"] for one in deciding if one["confidence"] == "high"}))
    return Row(
        label["repo"],
        label,
        report["verdict"],
        (*codes, report["reason"]),
        seconds,
        sure,
        routes(folder, label["subdir"]),
    )


def routes(folder: Path, below: str) -> frozenset[str]:
    """The files that hold a route, by `--routes`, as the labels write them: from the repository's root."""
    command = [*TALLYSTICK, "--no-cache", "--isolated", "--routes", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    paths = [line.rpartition("  ")[2].rpartition(":")[0] for line in done.stdout.splitlines()]
    return frozenset([*paths, *(f"{below}/{path}" for path in paths if below)])


def scores(rows: list[Row]) -> None:
    """The targets of the project, as fractions."""
    fails = [row for row in rows if row.label["verdict"] == "fail"]
    passes = [row for row in rows if row.label["verdict"] == "pass"]
    skips = [row for row in rows if row.label["verdict"] == "skip"]
    print(f"\nverdict right: {sum(row.right for row in rows)} of {len(rows)}")
    print(f"skip reported as fail: {sum(row.verdict == 'fail' for row in skips)} of {len(skips)}")
    print(f"pass reported as fail: {sum(row.verdict == 'fail' for row in passes)} of {len(passes)}")
    marked = [(code, row) for row in rows for code in row.sure]
    print(
        f"high-confidence codes that are labelled: {sum(c in r.label['reasons'] for c, r in marked)} of {len(marked)}"
    )
    ends = [(one["path"], row) for row in rows for one in row.label.get("metered_endpoints", ())]
    missed = [f"{row.repo}: {path}" for path, row in ends if path not in row.routes]
    print(f"labelled endpoints whose file holds a found route: {len(ends) - len(missed)} of {len(ends)}")
    print("".join(f"  not found: {one}\n" for one in missed), end="")
    print(f"a labelled reason named: {sum(row.right and row.named for row in fails)} of {len(fails)} fails")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: make audit-devset LABELS=labelled.jsonl CHECKOUTS=folder")
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
