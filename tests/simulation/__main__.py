"""`python -m tests.simulation --seeds 0..999`: run seeds, say which ones fail and how to see them again."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.run import Ground, Verdict, run_seed

CHUNK = 20
BLOCK = 1000


def run_chunk(seeds: Sequence[int]) -> list[Verdict]:
    """Some seeds one after the other, in a process of the pool."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # findings about crashed requests are expected
    ground = Ground()
    try:
        return [_run(seed, ground) for seed in seeds]
    finally:
        ground.close()
        logging.disable(before)


def _run(seed: int, ground: Ground) -> Verdict:
    """One seed; that it could not be run to its end is a problem of it, too."""
    try:
        return run_seed(seed, ground)
    except Exception as error:
        return Verdict.of_crash(seed, error)


def main() -> int:
    """Run the seeds that the command line names; 1 when one of them fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", default="0..999", help="one seed, or a range such as 0..9999")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--trace", action="store_true", help="print every step of the (single) seed")
    options = parser.parse_args()
    first, _, last = options.seeds.partition("..")
    seeds = range(int(first), int(last or first) + 1)
    began = time.monotonic()
    if options.trace:
        logging.disable(logging.CRITICAL)
        verdict = run_seed(seeds[0], Ground(), trace=True)
        print("\n".join(verdict.trace))
        print(verdict, verdict.fingerprint)
        return bool(verdict.problems)
    verdicts: list[Verdict] = []
    for start in range(0, len(seeds), BLOCK):  # a process that ran keeps its dead greenlets
        block = seeds[start : start + BLOCK]
        with ProcessPoolExecutor(options.jobs) as pool:
            chunks = [block[i : i + CHUNK] for i in range(0, len(block), CHUNK)]
            verdicts += [verdict for chunk in pool.map(run_chunk, chunks) for verdict in chunk]
    failed = [verdict for verdict in verdicts if verdict.problems]
    for verdict in failed:
        print(verdict)
    print(summary(verdicts), f"in {time.monotonic() - began:.0f} s")
    return bool(failed)


def summary(verdicts: Sequence[Verdict]) -> str:
    """What the seeds went through together."""
    sums = [sum(getattr(v, name) for v in verdicts) for name in ("entries", "calls", "crashes", "parked")]
    failed = sum(bool(v.problems) for v in verdicts)
    return (
        f"{len(verdicts)} seeds, {failed} failed: {sums[0]} entries, {sums[1]} calls, {sums[2]} crashes, "
        f"{sums[3]} dispatches listed for a person"
    )


if __name__ == "__main__":
    sys.exit(main())
