"""Delivery to a real sandbox over HTTP, on both stores: totals exact whatever happens on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from tallystick import Tally
from tallystick.delivery.links import Resolver
from tallystick.meters.config import DeliverySettings
from tallystick.providers.stripe import StripeProvider
from tallystick.sandbox import Sandbox
from tallystick.storage import open_store
from tests.delivery.conftest import KEY, METERS

Make = Callable[..., Tally]


def provider_totals(sandbox: Sandbox) -> dict[tuple[str, str], Decimal]:
    """What the sandbox added up, by application customer."""
    names = {provider: name for name, provider in sandbox.links.items()}  # type: ignore[attr-defined]
    return {(names[row["customer"]], row["event_name"]): Decimal(row["total"]) for row in sandbox.totals()}


def test_inline_delivery_within_the_call(make: Make, sandbox: Sandbox) -> None:
    """When `record` returns, Stripe has it."""
    tally = make(inline=True)
    tally.record("tokens", 5, customer="org_a")
    tally.record("gb", Decimal("1.25"), customer="org_b")
    assert provider_totals(sandbox) == {("org_a", "tokens"): 5, ("org_b", "gb"): Decimal("1.25")}
    assert tally.status().undelivered == 0


def test_the_relay_sends_the_rest_and_ties_out(make: Make, sandbox: Sandbox) -> None:
    """Without inline delivery the relay does it; many entries of a second share a call."""
    tally = make()
    rows = [{"meter": "tokens", "quantity": n, "customer": f"org_{'abc'[n % 3]}"} for n in range(1, 301)]
    tally.record_many(rows)
    assert tally.status().undelivered == 300
    done = tally.relay.drain()  # type: ignore[union-attr]
    assert done.entries == 300
    assert tally.status().settled
    assert sum(provider_totals(sandbox).values()) == sum(range(1, 301))
    assert sandbox.tell("statistics")["meter_events"] <= 12
    assert all(balance.difference == 0 for balance in tally.tie_out())


def test_an_outage_delays_and_loses_nothing(make: Make, sandbox: Sandbox) -> None:
    """Stripe goes away: records succeed, wait, and arrive afterwards."""
    tally = make(inline=True)
    sandbox.outage()
    for n in range(20):
        tally.record("tokens", 1, customer=f"org_{'abc'[n % 3]}")
    assert provider_totals(sandbox) == {}
    sandbox.recover()
    tally.relay.drain(wait_seconds=30)  # type: ignore[union-attr]
    assert tally.status().settled
    assert sum(provider_totals(sandbox).values()) == 20


def test_every_kind_of_bad_answer(make: Make, sandbox: Sandbox) -> None:
    """Lost replies, half answers, stored 500s and 429s: the totals are exact, nothing is counted twice."""
    tally = make()
    sandbox.faults(lose_reply=20, half_answer=10, fail=20, rate_limit=20, seed=7)
    for n in range(60):
        tally.record("tokens", n, customer="org_abc"[:4] + "abc"[n % 3])
        tally.relay.step()  # type: ignore[union-attr]
    sandbox.faults()
    tally.relay.drain(wait_seconds=30)  # type: ignore[union-attr]
    assert tally.status().settled
    assert sum(provider_totals(sandbox).values()) == sum(range(60))


def test_an_unlinked_customer_waits_for_its_link(make: Make, sandbox: Sandbox) -> None:
    """Usage of an unknown customer is recorded and undelivered, never lost; a link sends it soon."""
    tally = make(linked=False)
    tally.record("tokens", 5, customer="org_a")
    assert tally.relay.drain().unlinked == 1  # type: ignore[union-attr]
    assert tally.status().undelivered == 1
    tally.link_customer("org_a", sandbox.links["org_a"])  # type: ignore[attr-defined]
    tally.relay.drain()  # type: ignore[union-attr]
    assert provider_totals(sandbox) == {("org_a", "tokens"): 5}


def test_a_resolver_links_from_the_applications_own_column(sandbox: Sandbox, store_url: str) -> None:
    """Customers nobody linked are looked up once, and stay linked without the resolver."""
    links, asked = sandbox.links, []  # type: ignore[attr-defined]

    def resolver(customers: Sequence[str]) -> dict[str, str]:
        asked.append(list(customers))
        return {name: links[name] for name in customers if name in links}

    def build(resolver: Resolver | None) -> Tally:
        settings = DeliverySettings(inline=False, relay="process")
        provider = StripeProvider(KEY, base=sandbox.url)
        store = open_store(store_url, auto_migrate=True)
        return Tally(store, METERS, provider=provider, delivery=settings, resolver=resolver)

    with build(resolver) as tally:
        for customer in ("org_a", "org_a", "org_nobody"):
            tally.record("tokens", 5, customer=customer)
        tally.relay.drain()  # type: ignore[union-attr]
    with build(None) as tally:
        tally.record("tokens", 5, customer="org_a")
        tally.relay.drain()  # type: ignore[union-attr]
        assert tally.status().undelivered == 1
    assert asked == [["org_a", "org_nobody"]]
    assert provider_totals(sandbox) == {("org_a", "tokens"): 15}


def test_a_poisoned_dispatch_blocks_nobody(make: Make, sandbox: Sandbox) -> None:
    """A refusal is parked with its reason; others go on; mended, it is driven again."""
    tally = make()
    tally.link_customer("org_x", "cus_gone")
    for customer in ("org_x", "org_a"):
        tally.record("tokens", 5, customer=customer)
    tally.relay.drain()  # type: ignore[union-attr]
    [parked] = tally.status().parked
    assert "No such customer" in parked.reason
    assert provider_totals(sandbox) == {("org_a", "tokens"): 5}
    assert tally.redrive() == 1
    tally.relay.drain()  # type: ignore[union-attr]
    assert len(tally.status().parked) == 1


def test_two_relays_and_inline_senders_at_once(make: Make, sandbox: Sandbox) -> None:
    """Slots decide who sends; everything arrives once."""
    tallies = [make(inline=True), make(inline=True), make()]
    with ThreadPoolExecutor(12) as pool:
        for n in range(200):
            pool.submit(tallies[n % 3].record, "tokens", 1, customer=f"org_{'abc'[n % 3]}")
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda tally: tally.relay.drain(wait_seconds=15), tallies))
    assert tallies[0].status().settled
    assert sum(provider_totals(sandbox).values()) == 200


def test_draining_waits_for_the_lease_of_a_killed_relay(make: Make, sandbox: Sandbox) -> None:
    """Everything was sent, and only a dead process has the right to sequence it."""
    dead, living = make(inline=True), make()
    assert dead.relay is not None
    assert living.relay is not None
    assert dead.relay._hold_lease()
    dead.record("tokens", 1, customer="org_a")
    assert provider_totals(sandbox) == {("org_a", "tokens"): 1}
    assert living.status().undelivered == 0
    living.relay.drain(wait_seconds=60)
    assert living.status().settled


SENDER = """
import sys
from tallystick.meters.config import DeliverySettings
from tallystick import Tally
from tallystick.providers.stripe import StripeProvider
from tallystick.storage import open_store
from tests.delivery.conftest import KEY, METERS

tally = Tally(open_store(sys.argv[1]), METERS, provider=StripeProvider(KEY, base=sys.argv[2]),
              delivery=DeliverySettings(inline=True, budget_ms=100))
tally.relay.start()
while True:
    tally.record("tokens", 1, customer="org_a")
    print("x", flush=True)
"""


def test_sigkill_in_the_middle_of_sending(make: Make, sandbox: Sandbox, store_url: str) -> None:
    """Killed at any point: after the leases have run out everything arrives, exactly once."""
    tally = make()
    acknowledged = 0
    for reads in (30, 61, 97):
        command = [sys.executable, "-c", SENDER, store_url, sandbox.url]
        sender = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert sender.stdout is not None
        for _ in range(reads):
            acknowledged += len(sender.stdout.readline()) // 2
        os.kill(sender.pid, signal.SIGKILL)
        acknowledged += sender.communicate()[0].count("x")
    tally.relay.drain(wait_seconds=60)  # type: ignore[union-attr]
    assert tally.status().settled
    recorded = sum(steps for _, steps in tally.ledger.recomputed_totals().values())
    assert acknowledged <= recorded <= acknowledged + 3
    assert sum(provider_totals(sandbox).values()) == recorded
