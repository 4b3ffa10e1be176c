"""Rate limits: ours keeps within the provider's, and the provider sees one call at a time for a slot."""

from __future__ import annotations

import threading
from collections import deque
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


class Limited:
    """A provider that takes so many calls in any second, on a clock that moves."""

    def __init__(self, clock: FrozenClock, per_second: int) -> None:
        self.clock, self.per_second, self.taken, self.refused = clock, per_second, deque[int](), 0

    def takes(self) -> bool:
        now = self.clock.now()
        while self.taken and self.taken[0] <= now - SECOND:
            self.taken.popleft()
        fits = len(self.taken) < self.per_second
        self.taken.extend([now] if fits else [])
        self.refused += not fits
        return fits


def test_several_processes_share_the_limit() -> None:
    """Each alone keeps within it, four together would not; nearly all of it is used nevertheless."""
    clock = FrozenClock()
    provider = Limited(clock, 100)
    processes = [(Pace(own, 100), own) for own in (Waiting(clock.now()) for _ in range(4))]
    taken = 0
    while clock.now() < processes[0][1].now() + 60 * SECOND and taken < 100 * 60:
        pace, own = min(processes, key=lambda process: process[1].now())
        assert pace.wait()
        clock._now = max(clock.now(), own.now())
        if provider.takes():
            taken += 1
        else:
            pace.slow_down()
    seconds = (clock.now() - FrozenClock().now()) / SECOND
    assert provider.refused < taken / 20
    assert taken / seconds > 60


def test_a_provider_that_is_called_too_often_is_called_less(make: Make, sandbox: Sandbox) -> None:
    """A lock or a key in use says nothing about that."""
    tally = make()
    assert tally.sender is not None
    usual = tally.sender._pace._share
    for fate, slower in (("lock_timeout", False), ("key_in_use", False), ("rate_limit", True)):
        sandbox.fault(f"{fate} times=1 route=/v1/billing/meter_events")
        tally.record("tokens", 1, customer="org_a")
        tally.relay.drain(wait_seconds=5)
        assert (tally.sender._pace._share > usual) is slower


@pytest.mark.parametrize(("ours", "repeats"), [(0, True), (40, False)])
def test_the_limit_of_the_provider_is_kept(make: Make, sandbox: Sandbox, ours: int, repeats: bool) -> None:
    """Stripe takes 50 calls a second here; without a limit of ours many are refused and sent again."""
    names = [f"org_{number}" for number in range(90)]
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
