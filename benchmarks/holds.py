"""Open holds left by a crash: how soon after a start they are resolved, and what a new action waits meanwhile."""

from __future__ import annotations

import statistics
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

from benchmarks.measure import Results, disk
from tallystick import Catalogue, Meter, Tally
from tallystick.ledger.model import Kind, Posting
from tallystick.meters import Expiry
from tallystick.storage import open_store
from tallystick.values.instant import FrozenClock

METERS = Catalogue(
    [
        Meter("reviewed"),
        Meter("voided", on_expiry=Expiry.VOID),
        Meter("estimated", on_expiry=Expiry.SETTLE, settle_at=100),
    ]
)


def abandon(tally: Tally, meter: str, count: int) -> None:
    """The holds of so many actions whose process was killed."""
    recorder = tally._recorder
    holds = (recorder.entry(Kind.HOLD, METERS[meter], f"org_{n % 1000}", 0) for n in range(count))
    recorder.post_many([Posting((hold,)) for hold in holds])
    tally.ledger.sequencer.run()


def waits(tally: Tally, stop: threading.Event, found: list[float]) -> None:
    """What new actions take, one after the other, until told to stop."""
    while not stop.is_set():
        began = time.perf_counter()
        with tally.action("reviewed", customer="new") as action:
            action.add(1)
        found.append(time.perf_counter() - began)


def recover(folder: Path, meter: str, count: int, results: Results) -> None:
    """Leave holds behind, start again after their time, and sweep while new actions go on."""
    clock = FrozenClock()
    url = f"sqlite:///{folder / meter}.db"
    with Tally(open_store(url), METERS, clock=clock) as before:
        abandon(before, meter, count)
    clock.advance(timedelta(hours=2))
    alone: list[float] = []
    during: list[float] = []
    stop = threading.Event()
    with Tally(open_store(url), METERS, clock=clock) as tally:
        threading.Timer(1, stop.set).start()
        waits(tally, stop, alone)
        stop.clear()
        worker = threading.Thread(target=waits, args=(tally, stop, during))
        worker.start()
        began = time.perf_counter()
        done = tally.expirer.run()
        spent = time.perf_counter() - began
        stop.set()
        worker.join()
        assert done == count, (done, count)
    longest = max(during, default=0.0)
    results.add(f"{count:,} holds, {meter}", f"{spent:.2f} s", "-", 5 / spent, "under 5 s, ratio over 1")
    results.add(
        f"a new action meanwhile, {meter}",
        f"median {statistics.median(during) * 1000:.1f} ms, longest {longest * 1000:.0f} ms",
        f"alone {statistics.median(alone) * 1000:.1f} ms",
        statistics.median(alone) / statistics.median(during),
        "goes on",
    )


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    results = Results("Holds left by a crash, resolved at the next start, on SQLite")
    with disk() as folder:
        for meter in METERS:
            recover(folder, meter.name, count, results)
    results.show()


if __name__ == "__main__":
    main()
