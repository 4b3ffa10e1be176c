"""`usage()` of one customer: the cost with a long history against a short one."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from statistics import median

from benchmarks.measure import Results, disk
from tallystick import Catalogue, Meter, Tally
from tallystick.storage import open_store
from tallystick.values.instant import FrozenClock, from_datetime

METERS = Catalogue([Meter("tokens", hold=False)])
START = datetime(2026, 1, 1, tzinfo=UTC)


def build(path: str, count: int) -> Tally:
    """A ledger with so many entries spread over a year, 50 customers."""
    clock = FrozenClock(from_datetime(START))
    tally = Tally(open_store(f"sqlite:///{path}", relaxed=True), METERS, clock=clock)
    batch = count // 500  # 500 instants over a year, whatever the count: only the history's density differs
    step = timedelta(days=365) / 500
    for _ in range(500):
        tally.record_many(
            [{"meter": "tokens", "quantity": n, "customer": f"org_{n % 50}"} for n in range(batch)]
        )
        clock.advance(step)
        tally.ledger.sequencer.run()
    tally.record("tokens", 1, customer="org_7")
    return tally


def p50_us(tally: Tally) -> float:
    """A month at odd instants, by day: the median of 300 calls."""
    since = START + timedelta(days=100, hours=5, minutes=13)
    until = since + timedelta(days=30, seconds=17)
    times = []
    for n in range(300):
        began = time.perf_counter()
        tally.usage(f"org_{n % 50}", "tokens", since=since, until=until, by="day")
        times.append((time.perf_counter() - began) * 1e6)
    return median(times)


def main() -> None:
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000
    results = Results("usage() of a month by day, on SQLite")
    with disk() as folder:
        short = build(str(folder / "short.db"), 50_000)
        long = build(str(folder / "long.db"), many)
        few, lots = p50_us(short), p50_us(long)
        results.add(
            f"p50 with {many:,} entries",
            f"{lots:.0f} us",
            f"50,000 entries {few:.0f} us",
            lots / few,
            "at most 1.5",
        )
        short.close()
        long.close()
    results.show()


if __name__ == "__main__":
    main()
