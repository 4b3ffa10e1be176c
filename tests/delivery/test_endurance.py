"""What fails beside the sending does not end it: the application's resolver, a piece of upkeep, a refused key."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from tallystick import Tally
from tallystick.delivery import due, flows, relay
from tallystick.errors import LedgerError, ProviderError
from tallystick.meters.config import DeliverySettings
from tallystick.providers import Outcome
from tallystick.providers.openmeter import OpenMeterProvider
from tallystick.providers.stripe import StripeProvider
from tallystick.sandbox import Sandbox
from tallystick.storage import open_store
from tallystick.values.identifiers import lane_of
from tallystick.values.instant import SECOND, FrozenClock
from tests.delivery.conftest import CUSTOMERS, KEY, METERS
from tests.delivery.test_delivery import provider_totals

Make = Callable[..., Tally]


class Column:
    """The application's own column of provider ids, in a database that goes away."""

    def __init__(self, links: dict[str, str]) -> None:
        self.links, self.away, self.asked = links, True, threading.Semaphore(0)

    def __call__(self, customers: Sequence[str]) -> dict[str, str]:
        self.asked.release()
        if self.away:
            raise ConnectionError("the application's database is away")
        return {name: self.links[name] for name in customers}


@pytest.fixture
def column(sandbox: Sandbox) -> Column:
    return Column(sandbox.links)  # type: ignore[attr-defined]


@pytest.fixture
def resolving(sandbox: Sandbox, store_url: str, column: Column) -> Iterator[Callable[..., Tally]]:
    """Make a Tally whose links come from the column."""
    made: list[Tally] = []

    def build(*, inline: bool, clock: FrozenClock | None = None) -> Tally:
        provider = StripeProvider(KEY, base=sandbox.url, timeout_seconds=2)
        settings = DeliverySettings(inline=inline, budget_ms=5000, relay="process")
        store = open_store(store_url, auto_migrate=True)
        made.append(Tally(store, METERS, provider=provider, delivery=settings, resolver=column, clock=clock))
        return made[-1]

    yield build
    for tally in made:
        tally.close()


def test_a_resolver_that_fails_keeps_only_its_customers_waiting(
    resolving: Make, column: Column, sandbox: Sandbox
) -> None:
    clock = FrozenClock(sandbox.tell("clock")["now"] * 1_000_000)
    tally = resolving(inline=False, clock=clock)
    tally.links.link({"org_b": column.links["org_b"]})
    for customer in ("org_a", "org_b"):
        tally.record("tokens", 5, customer=customer)
    assert tally.relay.step().unlinked == 1
    assert provider_totals(sandbox) == {("org_b", "tokens"): 5}
    assert tally.finding_counts["resolver_failed"] == 1
    column.away = False
    clock.advance(timedelta(minutes=2))
    tally.relay.drain()
    assert provider_totals(sandbox)["org_a", "tokens"] == 5


def test_couriers_outlive_a_resolver_that_fails(resolving: Make, column: Column, sandbox: Sandbox) -> None:
    """More failures than there are threads; afterwards a request is sent within its call again."""
    tally = resolving(inline=True)
    for _ in range(10):
        tally.record("tokens", 1, customer="org_a")
    column.away = False
    tally.record("tokens", 1, customer="org_b")
    assert provider_totals(sandbox)["org_b", "tokens"] == 1


def test_a_courier_outlives_whatever_fails(make: Make, sandbox: Sandbox, monkeypatch: Any) -> None:
    """As many failures as there are threads; the entries are the relay's, and said to be."""
    tally = make(inline=True)
    send, failures = tally.sender.send_in_turn, iter(range(8))  # type: ignore[union-attr]

    def failing_at_first(attempts: Any) -> Any:
        if next(failures, None) is not None:
            raise RuntimeError("can't start new thread")
        return send(attempts)

    monkeypatch.setattr(tally.sender, "send_in_turn", failing_at_first)
    places = [(meter.name, customer) for meter in METERS for customer in CUSTOMERS]
    for meter, customer in places[:9]:
        tally.record(meter, 1, customer=customer)
    assert provider_totals(sandbox) == {(places[8][1], places[8][0]): 1}
    assert tally.finding_counts["courier_failed"] == 8


def test_upkeep_that_fails_keeps_nobody_waiting(make: Make, sandbox: Sandbox) -> None:
    """Nor does it end the relay of a process; a ledger that is away is another matter."""
    tally = make()
    done = threading.Event()

    def failing() -> int:
        raise RuntimeError("not thought of")

    def last() -> int:
        done.set()
        return 0

    tally.relay._chores = (failing, last)
    tally.record("tokens", 5, customer="org_a")
    tally.relay.start()
    assert done.wait(10)
    tally.relay.stop()
    tally.relay.drain()
    assert provider_totals(sandbox) == {("org_a", "tokens"): 5}
    assert tally.finding_counts["relay_failed"] >= 1

    def locked() -> int:
        raise LedgerError("away")

    tally.relay._chores = (locked,)
    with pytest.raises(LedgerError):
        tally.relay.step()


def test_the_relay_outlives_whatever_fails(make: Make, sandbox: Sandbox, monkeypatch: Any) -> None:
    tally = make()
    failed, went_on = threading.Event(), threading.Event()

    def failing() -> Any:
        (went_on if failed.is_set() else failed).set()
        raise RuntimeError("not thought of")

    monkeypatch.setattr(tally.relay, "step", failing)
    tally.relay.start()
    assert went_on.wait(10)
    tally.relay.stop()
    assert tally.finding_counts["relay_failed"] >= 2


def test_a_key_that_openmeter_refuses_is_said_and_asked_again(sandbox: Sandbox) -> None:
    """Totals that cannot be read are a ProviderError everywhere, whatever the reason."""
    sandbox.tell("openmeter", settings={"key": "good"})
    provider = OpenMeterProvider("bad", base=f"{sandbox.url}/openmeter")
    with pytest.raises(ProviderError, match="OPENMETER_API_KEY"):
        provider.total("org_a", "tokens", 0, 60)


def test_a_customer_that_is_linked_anew_elsewhere_is_sent_there(
    resolving: Make, column: Column, sandbox: Sandbox
) -> None:
    """A web process that runs for weeks learns within a minute what `tallystick link` said in another one."""
    column.away = False
    column.links = {**column.links, "org_x": "cus_gone"}
    clock = FrozenClock(sandbox.tell("clock")["now"] * 1_000_000)
    serving, command = resolving(inline=False, clock=clock), resolving(inline=False)
    serving.record("tokens", 5, customer="org_x")
    serving.relay.drain()
    assert len(serving.status().parked) == 1
    command.link_customer("org_x", column.links["org_a"])
    clock.advance(timedelta(minutes=1))
    serving.record("tokens", 7, customer="org_x")
    serving.relay.drain()
    assert provider_totals(sandbox) == {("org_a", "tokens"): 7}


def test_a_slot_that_is_held_does_not_starve_the_others(make: Make, sandbox: Sandbox) -> None:
    """More waits for it than the relay looks at in one step, and all of it is older."""
    tally = make()
    tally.relay._batch = 5
    [first] = tally.record("tokens", 1, customer="org_a").entries
    sender = tally.sender
    assert sender is not None
    key = sender.slot_key(first.lane, "default", "test", sandbox.links["org_a"], "tokens")  # type: ignore[attr-defined]
    assert tally.ledger.commit.run(errand=lambda: flows.take_slots([key], sender.terms))
    for _ in range(9):
        tally.record("tokens", 1, customer="org_a")
    tally.record("tokens", 5, customer="org_b")
    tally.relay.drain()
    assert provider_totals(sandbox) == {("org_b", "tokens"): 5}
    sender.breaker.note(Outcome.PAUSED)
    tally.relay.drain()  # looks at nothing now, and ends all the same


def test_dispatches_that_cannot_be_taken_up_do_not_starve_the_others(
    resolving: Make, column: Column, sandbox: Sandbox, monkeypatch: Any
) -> None:
    """The same for what is sent again: its senders were killed, and another one is at it."""
    monkeypatch.setattr(relay, "RETRIES", 5)
    column.away = False
    clock = FrozenClock(sandbox.tell("clock")["now"] * SECOND)
    tally = resolving(inline=False, clock=clock)
    tally.links.find(CUSTOMERS)
    sender = tally.sender
    assert sender is not None
    first, last = sorted(CUSTOMERS[:2], key=lambda name: lane_of("default", "test", name))
    for customer in [first] * 11 + [last]:
        tally.record("tokens", 1, customer=customer)
        clock.advance(timedelta(seconds=1))
    owed, _ = tally.ledger.read(due.due_obligations(tally.ledger.where, clock.now(), 99))
    attempts = sender.claim(tally.relay._by_slot(owed)[1])
    assert len(attempts) == 12
    clock.advance(timedelta(seconds=31))
    [held] = {attempt.slot.key for attempt in attempts if attempt.dispatch.customer == first}
    assert tally.ledger.commit.run(errand=lambda: flows.take_slots([held], sender.terms))
    for _ in range(3):
        tally.relay.step()
    assert provider_totals(sandbox) == {(last, "tokens"): 1}
