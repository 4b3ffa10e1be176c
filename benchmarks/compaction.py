"""Compaction: how many calls the provider gets for an hour of usage that waited, by the width of a bucket."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from benchmarks.measure import Results, disk
from tallystick import Catalogue, Meter, Tally
from tallystick.meters.config import DeliverySettings
from tallystick.providers.stripe import StripeProvider
from tallystick.sandbox import Sandbox
from tallystick.sandbox.serving import Settings
from tallystick.storage import open_store
from tallystick.values.instant import SECOND, FrozenClock

START = 1_767_225_600
CUSTOMERS = [f"org_{n}" for n in range(50)]
ENTRIES, WIDTHS = 10_000, (1, 60, 3600)


def calls(width: int) -> int:
    """The dispatches of an hour's entries, at random seconds, while the provider was away."""
    meters = Catalogue([Meter("tokens", hold=False, bucket_seconds=width)])
    clock, chance = FrozenClock(datetime.fromtimestamp(START, UTC)), random.Random(7)
    prices = {"tokens": {"formula": "sum", "unit_amount_decimal": "1"}}
    with disk() as folder, Sandbox.start(Settings(frozen_at=START)) as sandbox:
        links = sandbox.provision(meters=prices, customers=CUSTOMERS)["customers"]
        provider = StripeProvider("sk_test_compaction", base=sandbox.url, timeout_seconds=2)
        settings = DeliverySettings(inline=False, relay="process")
        store = open_store(f"sqlite:///{folder / 'ledger.db'}")
        with Tally(store, meters, provider=provider, delivery=settings, clock=clock) as tally:
            tally.links.link(links)
            sandbox.outage()
            for second, customer in sorted(
                (chance.randrange(3600), chance.choice(CUSTOMERS)) for _ in range(ENTRIES)
            ):
                clock.advance(timedelta(seconds=START + second - clock.now() // SECOND))
                tally.record("tokens", 1, customer=customer)
            sandbox.recover()
            sandbox.advance(3600)
            while tally.status().undelivered or tally.status().in_delivery:
                clock.advance(timedelta(minutes=1))
                sandbox.advance(60)
                tally.relay.step()
            events = sandbox.tell("events")
            assert sum(int(event["value"]) for event in events) == ENTRIES
            return len(events)


def main() -> None:
    results = Results(
        f"Compaction: {ENTRIES:,} entries of {len(CUSTOMERS)} customers in the hour of an outage"
    )
    for width in WIDTHS:
        count = calls(width)
        results.add(
            f"bucket_seconds = {width}", f"{count:,} calls", f"{ENTRIES:,} entries", count / ENTRIES, "fewer"
        )
    results.show()


if __name__ == "__main__":
    main()
