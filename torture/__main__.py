"""`python -m torture COMMAND`: the proofs from the command line; exit code 1 when something was lost."""

from __future__ import annotations

import argparse
import random
import signal
import sys
from pathlib import Path

from benchmarks.measure import postgres


def main() -> None:
    """Read the command line and run one proof."""
    parser = argparse.ArgumentParser(prog="python -m torture", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    everything = commands.add_parser("all", help="kills, then power cuts, within a time; writes docs/proof")
    everything.add_argument("--seconds", type=float, default=600)
    everything.add_argument("--count", type=int, default=10_000, help="kills at most")
    everything.add_argument("--pages", type=Path, default=Path("docs/proof"))
    kills = commands.add_parser("kills", help="kill at failpoints, restart, check T1 to T6")
    kills.add_argument("--count", type=int, default=300)
    kills.add_argument("--only", type=int, help="repeat this one kill")
    kills.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    power = commands.add_parser("power", help="record both databases and cut the power")
    power.add_argument("--seconds", type=float, default=60)
    recut = commands.add_parser("recut", help="repeat one cut of a recording that was kept")
    recut.add_argument("folder", type=Path)
    recut.add_argument("dialect", choices=["sqlite", "postgres", "spool"])
    recut.add_argument("operation", type=int)
    for command in commands.choices.values():
        command.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the processes under it end as well
    print(f"seed {arguments.seed}", flush=True)
    sys.exit(1 if globals()[f"_{arguments.command}"](arguments) else 0)


def _all(arguments: argparse.Namespace) -> list[str]:
    from torture import report

    with postgres() as server:
        return report.run(arguments.seed, arguments.seconds, arguments.count, server, arguments.pages)


def _kills(arguments: argparse.Namespace) -> list[str]:
    from torture.kills import run

    numbers = list(range(arguments.count)) if arguments.only is None else [arguments.only]
    with postgres() as server:
        verdict = run(arguments.seed, numbers, server, seconds=arguments.seconds)
    print(verdict.summary())
    return verdict.problems


def _power(arguments: argparse.Namespace) -> bool:
    from torture import report

    found = report.power(arguments.seed, arguments.seconds)
    print(*found, sep="\n")
    return any(each.failed for each in found)


def _recut(arguments: argparse.Namespace) -> bool:
    from torture.power import cuts

    result = cuts.again(arguments.folder, arguments.dialect, arguments.seed, arguments.operation)
    print(result, *result.losing, *result.broken, sep="\n")
    return result.failed


if __name__ == "__main__":
    main()
