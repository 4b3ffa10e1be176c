"""Proposals that a person has billed otherwise: excluded with a reason, never sent, and everything balances."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tallystick import Catalogue, Formula, Meter, Tally
from tallystick.errors import ActionError
from tallystick.meters.config import DeliverySettings
from tallystick.providers.stripe import StripeProvider
from tallystick.reconciliation.exclusions import CHANGED, UNDER_WAY, Settled
from tallystick.reconciliation.explanation import explain
from tallystick.sandbox import Sandbox
from tallystick.sandbox.serving import Settings
from tallystick.storage import Statement, open_store
from tallystick.values.instant import FrozenClock
from tests.delivery.world import World, billed
from tests.reconciliation.test_deadlines import command

START = 1_767_225_600 + 27
TOKENS = Meter("tokens", hold=False)
SEATS = Meter("seats", hold=False, formula=Formula.LAST, carry=True)
ITEM = "invoice item ii_1"
BUSY = "rate_limit route=/v1/billing/meter_events"


@pytest.fixture
def world(store_url: str) -> Iterator[World]:
    """10 minutes before the renewal Stripe takes nothing: 5 in a dispatch, 10 and 20 in none; 3 hours later it does."""
    with billed(store_url, Catalogue([TOKENS]), START, formula="sum") as made:
        made.record("tokens", 1)
        made.pass_time(days=31, minutes=-10)
        made.sandbox.fault(BUSY)
        made.record("tokens", 5)
        away(made, lambda: [made.tally.record("tokens", n, customer="ada") for n in (10, 20)])
        yield made


def away(world: World, use: Callable[[], Any]) -> None:
    """Use that no relay sees, three hours until Stripe takes events again, and a look at the deadlines."""
    use()
    world.sandbox.advance(3 * 3600)
    world.clock.advance(timedelta(hours=3))
    world.sandbox.faults()
    assert world.tally.deadlines is not None
    world.tally.deadlines.chore()


def settle(
    world: World, quantity: Any, meter: str = "tokens", by: str = "Grace", reason: str = ITEM
) -> Settled:
    assert world.tally.deadlines is not None
    return world.tally.deadlines.settle("ada", meter, Decimal(quantity), reason=reason, by=by)


def proposed(world: World) -> list[Decimal]:
    assert world.tally.deadlines is not None
    return [one.quantity for one in world.tally.deadlines.missed()]


def open_findings(tally: Tally) -> list[str]:
    tally.noted.keep()
    where = {"tenant": "default", "mode": "test", "limit": 100}

    def read() -> Any:
        return [row[0] for row in (yield Statement("open_findings", where))]

    found: list[str] = tally.ledger.read(read())
    return found


def balances(world: World) -> tuple[Any, ...]:
    (b,) = world.tally.tie_out()
    assert b.difference == 0
    return (b.recorded, b.excluded, b.delivered, b.undelivered, b.provider)


def test_what_was_billed_otherwise_is_excluded_and_never_sent(world: World) -> None:
    assert proposed(world) == [35]
    assert "deadline_missed" in open_findings(world.tally)
    world.tally.record("tokens", 7, customer="ada")
    settled = settle(world, 35)
    assert (settled.quantity, settled.repeated) == (35, False)
    assert proposed(world) == []
    assert not world.tally.status().parked
    assert world.tally.deadlines is not None
    assert not any(world.tally.deadlines.levels().values())
    assert "deadline_missed" not in open_findings(world.tally)
    assert world.tally.status().undelivered == 1, "what was recorded later is still owed"
    assert world.tally.redrive() == 0
    world.settle()
    assert balances(world) == (43, 35, 8, 0, 8)
    assert [value for _, value in world.told("tokens")] == [1, 7]
    world.pass_time(days=29)
    assert [one["tokens"] for one in world.invoiced()] == [1, 7]
    assert open_findings(world.tally) == []


def test_explain_says_who_excluded_it_and_why(world: World) -> None:
    settle(world, 35)
    told = [explain(world.tally.ledger, identifier) for identifier, _ in world.dispatches("tokens")]
    excluded = [(d.value, d.reason) for one in told for d in one.parts if d.state == "excluded"]
    assert sum(Decimal(value) for value, _ in excluded) == 35
    assert {reason for _, reason in excluded} == {f"excluded by Grace: {ITEM}"}
    entries = [e.quantity for one in told for e in one.entries]
    assert sorted(entries) == [1, 5, 10, 20], "each entry is behind one of them"


@pytest.mark.parametrize(
    ("quantity", "reason", "by"), [(34, ITEM, "Grace"), (35, " ", "Grace"), (35, ITEM, "")]
)
def test_it_takes_what_was_shown_or_nothing(world: World, quantity: int, reason: str, by: str) -> None:
    with pytest.raises(ActionError, match=r"is 35, not 34; look again|say why and who"):
        settle(world, quantity, by=by, reason=reason)
    assert proposed(world) == [35]


def test_what_came_too_late_since_it_was_listed_is_left(store_url: str) -> None:
    """Nobody knows the customer at the provider, and every day more of its usage is too old."""
    with billed(store_url, Catalogue([TOKENS]), START, formula="sum") as world:
        deadlines = world.tally.deadlines
        assert deadlines is not None
        for quantity in (1, 2, 4):
            world.tally.record("tokens", quantity, customer="bob")
            world.clock.advance(timedelta(days=1))
        world.clock.advance(timedelta(days=33, hours=1))
        [listed] = deadlines.missed()
        world.clock.advance(timedelta(days=1))
        deadlines.chore()
        assert (listed.quantity, proposed(world)) == (3, [7])
        said: dict[str, Any] = {"reason": ITEM, "by": "Grace", "before": listed.before}
        with pytest.raises(ActionError, match="not all too late"):
            deadlines.settle("bob", "tokens", Decimal(3), **{**said, "before": world.clock.now()})
        with pytest.raises(ActionError, match=CHANGED):
            deadlines.settle("bob", "tokens", Decimal(7), **said)
        for repeated in (False, True):
            assert deadlines.settle("bob", "tokens", Decimal(3), **said).repeated is repeated
            assert proposed(world) == [4]
        assert "deadline_missed" in open_findings(world.tally)


def test_by_the_same_word_again_nothing_happens(world: World) -> None:
    first = settle(world, 35)
    again = settle(world, 35)
    assert (again.repeated, again.at, again.dispatches) == (True, first.at, first.dispatches)
    with pytest.raises(ActionError, match="no proposal about tokens of customer 'ada'"):
        settle(world, 35, by="Edsger")
    assert balances(world)[:2] == (36, 35)


def test_periods_of_a_value_are_settled_one_by_one(store_url: str) -> None:
    """Two renewals go by without a word to Stripe: each has an invoice item of its own."""
    with billed(store_url, Catalogue([SEATS]), START, formula="last") as world:
        world.record("seats", 3)
        world.settle()
        world.pass_time(days=31, minutes=-10)
        world.sandbox.fault(BUSY)
        world.record("seats", 8)
        world.settle()
        away(world, lambda: None)
        world.sandbox.fault(BUSY)
        world.record("seats", 2)
        away(world, lambda: (world.sandbox.advance(28 * 86_400), world.clock.advance(timedelta(days=28))))
        assert proposed(world) == [5, 2]
        assert "deadline_missed" in open_findings(world.tally)
        settle(world, 5, meter="seats")
        assert proposed(world) == [2]
        assert "deadline_missed" in open_findings(world.tally)
        settle(world, 2, meter="seats")
        assert (proposed(world), open_findings(world.tally).count("deadline_missed")) == ([], 0)


def test_a_value_of_a_customer_without_a_link_waits_for_it(store_url: str) -> None:
    """Without a link it could not be carried on."""
    with billed(store_url, Catalogue([SEATS]), START, formula="last") as world:
        world.tally.record("seats", 8, customer="bob")
        world.clock.advance(timedelta(days=36))
        deadlines = world.tally.deadlines
        assert deadlines is not None
        assert proposed(world) == [8]
        with pytest.raises(ActionError, match="'bob' is not linked"):
            deadlines.settle("bob", "seats", Decimal(8), reason=ITEM, by="Grace")
        world.tally.links.link({"bob": world.customer})
        assert deadlines.settle("bob", "seats", Decimal(8), reason=ITEM, by="Grace").quantity == 8


@pytest.mark.parametrize(("fault", "left"), [("drop", [5]), ("lose_reply", [])])
def test_what_may_have_been_counted_is_not_excluded(store_url: str, fault: str, left: list[int]) -> None:
    """First the provider's totals say whether it was, a day later; then the person."""
    with billed(store_url, Catalogue([TOKENS]), START, formula="sum") as world:
        world.record("tokens", 1)
        world.pass_time(days=31, minutes=-10)
        world.sandbox.fault(f"{fault} times=1 route=/v1/billing/meter_events")
        world.tally.record("tokens", 5, customer="ada")
        world.tally.relay.step()
        away(world, lambda: None)
        with pytest.raises(ActionError, match=re.escape(UNDER_WAY)):
            settle(world, 5)
        world.settle()
        assert [d.first_sent_at is None for d in world.tally.status().parked] == [False]
        with pytest.raises(ActionError, match=re.escape(UNDER_WAY)):
            settle(world, 5)
        world.pass_time(hours=25)
        for _ in range(3):
            world.pass_time(minutes=11)
        assert proposed(world) == left
        if left:
            settle(world, 5)
        assert not world.tally.status().parked
        assert balances(world)[:3] == (6, sum(left), 6 - sum(left))


def test_what_nothing_tells_of_is_a_persons_to_say(store_url: str) -> None:
    """Others write the meter too, so that its totals prove nothing."""
    shared = Meter("tokens", hold=False, foreign_writers=True)
    with billed(store_url, Catalogue([shared]), START, formula="sum") as world:
        world.pass_time(days=31, minutes=-10)
        world.sandbox.fault("drop times=1 route=/v1/billing/meter_events")
        world.tally.record("tokens", 5, customer="ada")
        world.tally.relay.step()
        away(world, lambda: None)
        world.pass_time(hours=25)
        assert [d.first_sent_at is None for d in world.tally.status().parked] == [False]
        settle(world, 5)
        assert not world.tally.status().parked


def two_persons(world: World, quantity: int, ready: Callable[[Tally], None]) -> list[str]:
    """What two persons, each at a Tally of their own, are told; `ready` makes them wait for each other."""
    assert world.tally.provider is not None
    said: list[str] = []

    def say(world: World, by: str) -> None:
        try:
            settle(world, quantity, by=by)
            said.append("settled")
        except ActionError as error:
            said.append(str(error))

    store, settings = (
        open_store(world.tally.ledger.store.url),
        DeliverySettings(inline=False, relay="process"),
    )
    meters, provider = Catalogue([TOKENS]), world.tally.provider
    with Tally(store, meters, provider=provider, delivery=settings, clock=world.clock) as second:
        others = World(world.sandbox, second, world.clock, world.customer)
        for tally in (world.tally, second):
            ready(tally)
        persons = [threading.Thread(target=say, args=pair) for pair in ((world, "Ada"), (others, "Grace"))]
        for person in persons:
            person.start()
        for person in persons:
            person.join()
    return sorted(said)


def test_two_persons_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have seen it; one of them settles it, the other is told so."""
    seen = threading.Barrier(2, timeout=30)

    def ready(tally: Tally) -> None:
        assert tally.deadlines is not None
        look, looked = tally.deadlines.missed, [tally.deadlines.missed()]

        def missed() -> Any:
            return look() if not looked else (looked.pop(), seen.wait())[0]

        monkeypatch.setattr(tally.deadlines, "missed", missed)

    assert two_persons(world, 35, ready) == ["settled", CHANGED]
    assert balances(world)[:2] == (36, 35)


def test_two_transactions_at_once(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have read what is late before either takes it."""
    read = threading.Barrier(2, timeout=30)

    class Waiting:
        def __init__(self, ids: Any) -> None:
            self.ids = ids

        def next(self) -> bytes:
            read.wait()
            made: bytes = self.ids.next()
            return made

    with billed(postgres_url, Catalogue([TOKENS]), START, formula="sum") as world:
        world.pass_time(days=31, minutes=-10)
        away(world, lambda: world.tally.record("tokens", 10, customer="ada"))
        told = two_persons(
            world, 10, lambda tally: monkeypatch.setattr(tally.ledger, "ids", Waiting(tally.ledger.ids))
        )
        assert told == ["settled", CHANGED]
        monkeypatch.undo()
        assert balances(world)[:2] == (10, 10)


@pytest.mark.parametrize("so_far", ["dispatched", "owed", "carried the value before"])
def test_a_value_that_stands_is_carried_on(store_url: str, so_far: str) -> None:
    """Of 8 seats the invoice has 3, an invoice item 5; the next period ends with 8."""
    with billed(store_url, Catalogue([SEATS]), START, formula="last") as world:
        world.record("seats", 3)
        world.settle()
        world.pass_time(days=31, minutes=-10)
        world.sandbox.fault(BUSY)
        world.tally.record("seats", 8, customer="ada")
        if so_far == "dispatched":
            world.pass_time(seconds=2)
        away(world, lambda: None)
        assert world.tally.carrying is not None
        assert so_far != "carried the value before" or world.tally.carrying.step() == 1
        assert proposed(world) == [5]
        settle(world, 5, meter="seats")
        assert proposed(world) == []
        assert not world.tally.status().parked
        world.settle()
        assert world.tally.redrive() == 0
        assert balances(world)[0] == 8
        world.pass_time(days=32)
        first, second = world.invoiced()
        assert (first["seats"], second["seats"]) == (3, 8)


def test_a_value_is_billed_otherwise_once(store_url: str) -> None:
    """Nothing is carried after the subscription; its last period balances; of a correction the difference is left."""
    with billed(store_url, Catalogue([SEATS]), START, formula="last") as world:
        world.record("seats", 3)
        world.settle()
        world.pass_time(days=31, minutes=-10)
        [subscription] = world.client.v1.subscriptions.list({"customer": world.customer}).data
        world.client.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
        world.sandbox.fault(BUSY)
        entry = world.record("seats", 8)
        world.pass_time(hours=3)
        world.sandbox.faults()
        world.settle()
        assert proposed(world) == [5]
        settle(world, 5, meter="seats")
        assert balances(world) == (8, 5, 3, 0, 3)
        world.tally.correct(entry, quantity=9, reason="one was forgotten", by="Grace")
        world.settle()
        assert proposed(world) == [1]
        settle(world, 1, meter="seats")
        assert balances(world) == (9, 6, 3, 0, 3)


def a_proposal(store_url: str) -> None:
    """40 tokens, recorded forty days ago by the real clock, and never delivered."""
    then = datetime.now(UTC) - timedelta(days=40)
    with Sandbox.start(Settings(frozen_at=int(then.timestamp()))) as sandbox:
        prices = {"tokens": {"formula": "sum", "unit_amount_decimal": "1"}}
        customers = sandbox.provision(meters=prices, customers=["ada"])["customers"]
        provider = StripeProvider("sk_test_deadlines", base=sandbox.url)
        settings = DeliverySettings(inline=False, relay="process")
        store, clock = open_store(store_url, auto_migrate=True), FrozenClock(then)
        with Tally(store, Catalogue([TOKENS]), provider=provider, delivery=settings, clock=clock) as tally:
            tally.links.link(customers)
            sandbox.fault(BUSY)
            tally.record("tokens", 30, customer="ada")
            tally.relay.step()
            tally.record("tokens", 10, customer="ada")
    return list


WORDS = ("proposals", "settle", "--customer", "ada", "--meter", "tokens", "--quantity")
SAID = ("--reason", ITEM, "--by", "Grace")


def test_on_the_command_line(store_url: str, tmp_path: Path) -> None:
    a_proposal(store_url)
    ended, listed = command(store_url, tmp_path, "proposals", "--json")
    assert (ended, command(store_url, tmp_path, "proposals")[0]) == (1, 1)
    before = json.loads(listed)[0]["before"]
    wrong = [
        (2, ("proposals", "pay")),
        (2, ("proposals", "settle", "--customer", "ada", *SAID)),
        (1, (*WORDS, "forty", *SAID)),
        (1, (*WORDS, "41", *SAID)),
        (2, (*WORDS, "40", *SAID, "--before", "noon")),
        (1, (*WORDS, "40", "--by", "Grace")),
        (1, ("proposals", "settle", "--customer", "bob", *WORDS[4:], "40", *SAID)),
    ]
    for code, words in wrong:
        ended, said = command(store_url, tmp_path, *words)
        assert (ended, said.count("\n")) == (code, 1), said
    assert command(store_url, tmp_path, *WORDS, "40", *SAID, "--before", before) == (
        0,
        f"excluded 40 of tokens of customer 'ada': {ITEM} (by Grace)\n",
    )
    ended, said = command(store_url, tmp_path, *WORDS, "40", *SAID, "--before", before, "--json")
    assert (ended, json.loads(said)["repeated"]) == (0, True)
    assert command(store_url, tmp_path, "proposals")[0] == 0
    assert command(store_url, tmp_path, "status")[0] == 0


@pytest.mark.parametrize("place", ["committing", "committed"])
def test_a_crash_leaves_all_of_it_or_nothing(store_url: str, tmp_path: Path, place: str) -> None:
    """The command dies at each of its commits in turn, before or after it, until it is settled; it is said again."""
    a_proposal(store_url)
    dialect = "sqlite" if store_url.startswith("sqlite") else "postgres"
    left, visit = ["40"], 0
    while left == ["40"]:
        visit += 1
        failpoint = f"{dialect}.{place}:{visit}:KILL"
        ended, _ = command(store_url, tmp_path, *WORDS, "40", *SAID, failpoint=failpoint)
        assert ended == -9
        _, listed = command(store_url, tmp_path, "proposals", "--json")
        left = [one["quantity"] for one in json.loads(listed)]
    assert left == []
    assert visit > 1 or place == "committed", "it died before the commit, and nothing was settled"
    ended, said = command(store_url, tmp_path, *WORDS, "40", *SAID, "--json")
    settled = json.loads(said)
    assert (ended, settled["repeated"], settled["quantity"], settled["dispatches"]) == (0, True, "40", 2)
    assert command(store_url, tmp_path, "status")[0] == 0
