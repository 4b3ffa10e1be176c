"""The relay: entries per second delivered to a sandbox that answers at once, and its memory."""

from __future__ import annotations

import resource
import sys
import time

from benchmarks.measure import Results, disk
from tallystick import Catalogue, Meter, Tally
from tallystick.meters.config import DeliverySettings
from tallystick.providers.stripe import StripeProvider
from tallystick.sandbox import Sandbox
from tallystick.storage import open_store

CUSTOMERS = [f"org_{n}" for n in range(100)]
METERS = Catalogue([Meter("tokens", hold=False)])


def memory_mb() -> float:
    """The greatest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fill(tally: Tally, count: int) -> None:
    """Record so many entries, in batches."""
    for start in range(0, count, 20_000):
        tally.record_many(
            [
                {"meter": "tokens", "quantity": 1, "customer": CUSTOMERS[n % len(CUSTOMERS)]}
                for n in range(start, min(start + 20_000, count))
            ]
        )


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    results = Results(
        f"The relay on SQLite: {count:,} entries of {len(CUSTOMERS)} customers, one second a dispatch"
    )
    with disk() as folder, Sandbox.start() as sandbox:
        made = sandbox.provision(
            meters={"tokens": {"formula": "sum", "unit_amount_decimal": "1"}}, customers=CUSTOMERS
        )
        tally = Tally(
            open_store(f"sqlite:///{folder / 'ledger.db'}"),
            METERS,
            provider=StripeProvider("sk_test_benchmark_key", base=sandbox.url),
            delivery=DeliverySettings(inline=False, relay="process"),
        )
        tally.links.link(made["customers"])
        fill(tally, 20_000)
        tally.relay.drain()
        before = memory_mb()
        fill(tally, count)
        recorded = memory_mb()
        began = time.perf_counter()
        done = tally.relay.drain()
        spent = time.perf_counter() - began
        rate, after = done.entries / spent, memory_mb()
        tally.ledger.sequencer.run()
        assert sum(int(row["total"]) for row in sandbox.totals()) == count + 20_000
        assert done.entries == count
        calls = f"{done.dispatches:,} calls"
        results.add("delivered", f"{rate:,.0f} entries/s", calls, rate / 5000, "at least 5,000/s, ratio 1")
        results.add(
            "memory of draining",
            f"{after:.0f} MB",
            f"before {recorded:.0f} MB",
            after / max(before, recorded),
            "flat",
        )
        tally.close()
    results.show()


if __name__ == "__main__":
    main()
