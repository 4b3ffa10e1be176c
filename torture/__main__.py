"""`python -m torture kills …`: the proofs from the command line."""

from __future__ import annotations

import argparse
import random
import sys

from benchmarks.measure import postgres


def main() -> None:
    """Read the command line and run one proof; exit code 1 when something was lost."""
    parser = argparse.ArgumentParser(prog="python -m torture", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    kills = commands.add_parser("kills", help="kill at failpoints, restart, check T1 to T6")
    kills.add_argument("--count", type=int, default=300)
    kills.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    kills.add_argument("--only", type=int, help="repeat this one kill")
    kills.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    kills.add_argument("--workers", type=int, default=3)
    arguments = parser.parse_args()
    sys.exit(_kills(arguments))


def _kills(arguments: argparse.Namespace) -> int:
    from torture.kills import run

    numbers = list(range(arguments.count)) if arguments.only is None else [arguments.only]
    print(f"seed {arguments.seed}, {len(numbers)} kills", flush=True)
    with postgres() as server:
        verdict = run(
            arguments.seed,
            numbers,
            server,
            workers=arguments.workers,
            seconds=arguments.seconds,
            tell=lambda done: print(f"  {done}", file=sys.stderr) if done % 50 == 0 else None,
        )
    print(verdict.summary())
    return 1 if verdict.problems else 0


if __name__ == "__main__":
    main()
