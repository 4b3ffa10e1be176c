"""Rate limits: ours keeps within the provider's, and the provider sees one call at a time for a slot."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from tallystick import Tally
from tallystick.delivery.pace import BURST, PATIENCE, Pace
from tallystick.sandbox import Sandbox
from tallystick.values.instant import SECOND, FrozenClock

Make = Callable[..., Tally]


class Waiting(FrozenClock):
    """A clock on which waiting is the only thing that takes time."""

    def pause(self, seconds: float) -> None:
        self.advance(timedelta(seconds=seconds))


def test_no_second_has_more_than_its_share_and_a_tenth() -> None:
    clock = Waiting()
    pace, began = Pace(clock, 100), clock.now()
    sent = []
    for _ in range(1000):
        assert pace.wait()
        sent.append((clock.now() - began) / SECOND)
    assert sent[10] < 0.02, "a tenth goes at once"
    assert max(sum(at <= other < at + 1 for other in sent) for at in sent) <= 111
    assert 9.8 <= sent[-1] <= 10


def test_what_would_wait_too_long_is_left_for_later() -> None:
    """Its slot would run out meanwhile. Nobody waits here: the clock stands still."""
    pace = Pace(FrozenClock(), 10)
    turns = [pace.wait() for _ in range(200)]
    assert turns.index(False) == 10 * (PATIENCE + BURST) // SECOND + 1


@pytest.mark.parametrize(("ours", "repeats"), [(0, True), (40, False)])
def test_the_limit_of_the_provider_is_kept(make: Make, sandbox: Sandbox, ours: int, repeats: bool) -> None:
    """Stripe takes 50 calls a second here; without a limit of ours many are refused and sent again."""
    names = [f"org_{number}" for number in range(160)]
    customers = sandbox.provision(customers=names)["customers"]
    sandbox.switch(calls_per_second=50)
    tally = make(requests_per_second=ours)
    tally.links.link(customers)
    tally.record_many([{"meter": "tokens", "quantity": 1, "customer": name} for name in names])
    tally.relay.drain(wait_seconds=60)
    attempts = read(tally, "select sum(attempt), count(*) from {}dispatches where state = 'accepted'")
    assert attempts[0][1] == len(names)
    assert (int(attempts[0][0]) > len(names)) is repeats


def test_one_call_in_flight_for_a_customer_and_meter(make: Make, sandbox: Sandbox) -> None:
    """Two relays and the inline senders of eight threads; Stripe refuses a second call while one runs."""
    sandbox.switch(one_in_flight=True)
    sandbox.fault("slow_work route=/v1/billing/meter_events* delay_ms=20")
    tallies = [make(inline=True), make(inline=True)]

    def work(tally: Tally) -> None:
        for _ in range(20):
            tally.record("tokens", 1, customer="org_a")

    threads = [threading.Thread(target=work, args=(tallies[n % 2],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for tally in tallies:
        tally.relay.start()
    for thread in threads:
        thread.join()
    for tally in tallies:
        tally.relay.stop()
    tallies[0].relay.drain(wait_seconds=30)
    assert all(row["fate"] != "busy" for row in sandbox.requests())
    assert read(tallies[0], "select count(*) from {}dispatches where attempt > 1") == [(0,)]
    assert sum(int(row["total"]) for row in sandbox.totals()) == 160


def read(tally: Tally, query: str) -> list[tuple[int, ...]]:
    """Ask the tables themselves."""
    store = tally.ledger.store
    prefix = "tallystick_" if store.dialect == "sqlite" else "tallystick."
    with store.read() as transaction:
        run = transaction._execute if hasattr(transaction, "_execute") else transaction._cursor.execute
        return [tuple(row) for row in run(query.format(prefix)).fetchall()]
