"""The long run: kills and power cuts for a given time, and the pages of docs/proof that say what it came to."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import machine
from torture import kills
from torture.power import cuts
from torture.power.cuts import Cuts

KILLING = 0.8  # share of the time; the power cuts have the rest
CONTROL = 6  # cuts of each control
PLAN = {
    "sqlite": (600, 600, 0.45),
    "postgres": (240, 60, 0.45),
    "spool": (200, 400, 0.1),
}  # entries, cuts, share


def run(seed: int, seconds: float, count: int, server: str, folder: Path) -> list[str]:
    """Everything, within the time; writes the pages and gives back the problems."""
    began = time.monotonic()
    verdict = kills.run(
        seed,
        range(count),
        server,
        seconds=seconds * KILLING,
        tell=lambda done: print(f"  {done} kills", file=sys.stderr) if done % 250 == 0 else None,
    )
    print(verdict.summary(), flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kills.md").write_text(kills_page(verdict))
    left = max(seconds - (time.monotonic() - began), 60)
    found = power(seed, left)
    for each in found:
        print(each, flush=True)
    (folder / "power-cuts.md").write_text(power_page(found))
    return verdict.problems + [str(each) for each in found if not _as_it_should(each)]


def power(seed: int, seconds: float) -> list[Cuts]:
    """Recordings of both databases until the time is over, and the controls."""
    found = []
    for dialect, entries, some, share in (
        ("sqlite", 600, 600, 0.45),
        ("postgres", 240, 60, 0.45),
        ("spool", 200, 400, 0.1),
    ):
        with cuts.workplace(dialect) as folder:
            control = cuts.CONTROLS[dialect]
            found.append(cuts.run(folder, dialect, control, seed=seed, entries=90, cuts=CONTROL))
        until, turn = time.monotonic() + seconds * share, 0
        while not turn or time.monotonic() < until:
            with cuts.workplace(dialect) as folder:
                left = max(until - time.monotonic(), 20)
                found.append(
                    cuts.run(folder, dialect, seed=seed + turn, entries=entries, cuts=some, seconds=left)
                )
            turn += 1
    return found


def _as_it_should(each: Cuts) -> bool:
    return bool(each.losing) if each.setting != cuts.SHIPPED else not each.failed


def _head(title: str) -> list[str]:
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    return [f"# {title}", "", f"Written by `make torture` on {day}: {machine()}.", ""]


def kills_page(verdict: kills.Verdict) -> str:
    """docs/proof/kills.md."""
    answered = sum(one["answered"] for one in verdict.outcomes)
    died = len(verdict.died)
    result = (
        f"**{died:,} kills, no loss**: with 95 % confidence below {verdict.bound:.3%} per kill (rule of three, 3/n)."
        if not verdict.problems
        else f"**{died:,} kills, {len(verdict.problems)} problems**, listed below."
    )
    counts = {**verdict.counted(0), **verdict.counted(3)}
    lines = [
        *_head("Kills"),
        result,
        "",
        f"Seed {verdict.seed}, {verdict.seconds:.0f} s, {answered:,} answered requests. "
        + ", ".join(f"{name}: {n:,}" for name, n in sorted(counts.items()))
        + ".",
        "",
        "What a kill is, what is checked, and what this does not show: [README](README.md).",
        "",
        "## Kills per failpoint",
        "",
        "| failpoint | kills |",
        "|---|---|",
        *(f"| {point} | {n:,} |" for point, n in sorted(verdict.counted(2).items())),
    ]
    if verdict.problems:
        lines += ["", "## Problems", "", *(f"- {problem}" for problem in verdict.problems)]
    return "\n".join([*lines, ""])


def power_page(found: list[Cuts]) -> str:
    """docs/proof/power-cuts.md."""
    lines = [
        *_head("Power cuts"),
        "| database | setting | recordings | cuts | lost acknowledged entries | damaged |",
    ]
    lines.append("|---|---|---|---|---|---|")
    for dialect in cuts.CONTROLS:
        for setting in (cuts.SHIPPED, cuts.CONTROLS[dialect]):
            these = [each for each in found if (each.dialect, each.setting) == (dialect, setting)]
            losing = sum(len(each.losing) for each in these)
            worst = max((each.worst for each in these), default=0)
            lines.append(
                f"| {dialect} | {NAMES[setting]} | {len(these)} | {sum(each.cuts for each in these):,} "
                f"| {f'in {losing} cuts, up to {worst}' if losing else 'none'} "
                f"| {sum(len(each.broken) for each in these)} |"
            )
    seeds = sorted({each.seed for each in found})
    lines += [
        "",
        f"Seeds {seeds[0]} to {seeds[-1]}. What a cut is, and what this does not show: [README](README.md).",
        "",
    ]
    return "\n".join([*lines, ""])


NAMES = {
    cuts.SHIPPED: "as shipped",
    "normal": "control: `synchronous=NORMAL`, must lose",
    "off": "control: `synchronous_commit=off`, must lose",
    "unsynced": "control: no fsync, must lose",
}
