"""Many kills over several workers, and what they prove."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DAY = 86400.0


@dataclass
class Verdict:
    """What the kills came to."""

    seed: int
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0
    failures: list[str] = field(default_factory=list)

    @property
    def died(self) -> list[dict[str, Any]]:
        """The kills that happened where they should."""
        return [one for one in self.outcomes if one["died"]]

    @property
    def bound(self) -> float:
        """Rule of three: with no failure in n independent kills, P(failure) < 3/n at 95 %."""
        return 3 / max(len(self.died), 1)

    @property
    def problems(self) -> list[str]:
        """Every problem, with the command that repeats its kill."""
        found = list(self.failures)
        for one in self.outcomes:
            again = f"python -m torture kills --seed {self.seed} --only {one['number']}"
            found += [f"kill {one['number']} ({one['what']}): {why}\n    {again}" for why in one["problems"]]
        return found

    def counted(self, part: int) -> Counter[str]:
        """Kills by a part of their description: 0 database, 1 scenario, 2 failpoint, 3 signal."""
        return Counter(one["what"].split(", ")[part].split(" ")[0] for one in self.died)

    def summary(self) -> str:
        """A few lines for people."""
        answered = sum(one["answered"] for one in self.outcomes)
        lines = [
            f"seed {self.seed}: {len(self.died)} kills at {len(self.counted(2))} failpoints in {self.seconds:.0f} s "
            f"({', '.join(f'{n} {name}' for name, n in sorted((self.counted(0) + self.counted(3)).items()))})",
            f"{answered} answered requests, {len(self.problems)} problems",
        ]
        if not self.problems and len(self.died) > 30:
            lines.append(
                f"no loss in {len(self.died)} kills: below {self.bound:.3%} per kill (95 %, rule of three)"
            )
        return "\n".join([*lines, *self.problems])


def run(
    seed: int,
    numbers: Sequence[int],
    postgres: str,
    *,
    dialects: tuple[str, ...] = ("sqlite", "postgres"),
    workers: int = 3,
    seconds: float = float("inf"),
    environ: Mapping[str, str] | None = None,
    tell: Callable[[int], None] = lambda done: None,
) -> Verdict:
    """Run these kills of a seed over several workers; no kill begins after `seconds`."""
    verdict = Verdict(seed)
    began = time.monotonic()
    order = {"seed": seed, "count": max(numbers) + 1, "dialects": dialects, "postgres": postgres}
    order["until"] = began + min(seconds, DAY)
    shares = [list(numbers)[n::workers] for n in range(min(workers, len(numbers)))]
    running = [_start({**order, "numbers": share}, environ or {}) for share in shares]
    try:
        threads = [threading.Thread(target=_follow, args=(each, verdict, tell)) for each in running]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        for each in running:
            each.terminate()
            if each.wait():
                verdict.failures.append(f"a worker ended with {each.returncode}; see above")
    verdict.seconds = time.monotonic() - began
    verdict.outcomes.sort(key=lambda one: one["number"])
    return verdict


def _start(order: dict[str, Any], environ: Mapping[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torture.worker", json.dumps(order)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, **environ}
    )


def _follow(worker: subprocess.Popen[str], verdict: Verdict, tell: Callable[[int], None]) -> None:
    assert worker.stdout is not None
    for line in worker.stdout:
        verdict.outcomes.append(json.loads(line))
        tell(len(verdict.outcomes))
    worker.stdout.close()
