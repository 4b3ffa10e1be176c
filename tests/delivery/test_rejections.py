"""Rejected after it was accepted: reports trigger, the provider's total decides. Real HTTP, both stores."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import pytest
import stripe
import uvicorn
from fastapi import FastAPI

from tallystick import Tally
from tallystick.delivery.model import Dispatch, to_dispatch
from tallystick.delivery.rejections import REMEDIES, Verdict, conclude, judge, place_of, remedy, stood_still
from tallystick.errors import ActionError, ConfigError, NoticeError, ProviderError
from tallystick.integrations.fastapi import install
from tallystick.integrations.webhooks import Webhooks
from tallystick.meters.config import DeliverySettings
from tallystick.providers.stripe import StripeProvider, reports
from tallystick.reconciliation import doubts, rules
from tallystick.reconciliation.rules import Reading, Sums
from tallystick.sandbox import Sandbox
from tallystick.sandbox.serving import Settings
from tallystick.storage import Flow, Statement, open_store
from tallystick.values.instant import HOUR, SECOND, FrozenClock
from tests.delivery.conftest import CUSTOMERS, KEY, METERS

START = 1_767_225_600
REPORT = "v1.billing.meter.error_report_triggered"
NO_METER = "v1.billing.meter.no_meter_found"


class World:
    """A Tally and a sandbox whose clocks go together."""

    def __init__(self, store_url: str, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.clock = FrozenClock(START * SECOND)
        prices = {meter.name: {"formula": "sum", "unit_amount_decimal": "1"} for meter in METERS}
        self.links = sandbox.provision(meters=prices, customers=CUSTOMERS)["customers"]
        self.tally = Tally(
            open_store(store_url, auto_migrate=True),
            METERS,
            provider=StripeProvider(KEY, base=sandbox.url, timeout_seconds=5),
            delivery=DeliverySettings(inline=False, relay="process"),
            clock=self.clock,
        )
        self.tally.links.link(self.links)
        self.client = stripe.StripeClient(
            KEY, base_addresses={"api": sandbox.url, "meter_events": sandbox.url}
        )

    def advance(self, seconds: int) -> None:
        """Move both clocks, then let the relay work."""
        self.sandbox.advance(seconds)
        self.clock.advance(timedelta(seconds=seconds))
        self.tally.relay.drain()

    def settle(self) -> None:
        """Long enough for a poll, two readings, and what they lead to."""
        for _ in range(5):
            self.advance(601)

    def record(self, quantity: int, customer: str = "org_a") -> None:
        """One entry, sent in a dispatch of its own."""
        self.tally.record("tokens", quantity, customer=customer)
        self.tally.relay.drain()
        self.sandbox.advance(1)
        self.clock.advance(timedelta(seconds=1))

    def total(self, customer: str = "org_a") -> Decimal:
        """What the sandbox counted."""
        wanted = self.links[customer]
        return sum((Decimal(r["total"]) for r in self.sandbox.totals() if r["customer"] == wanted), Decimal())

    def doubts(self) -> dict[str, int]:
        """Doubts that are open or wait for a person."""
        assert self.tally.rejections is not None
        return self.tally.rejections.standing()


@pytest.fixture
def world(store_url: str) -> Iterator[World]:
    with Sandbox.start(Settings(frozen_at=START)) as sandbox:
        made = World(store_url, sandbox)
        yield made
        made.tally.close()


class Served:
    """The webhook endpoint in a FastAPI application on a real port."""

    def __init__(self, tally: Tally, secrets: list[str]) -> None:
        app = FastAPI()
        app.mount("/stripe", Webhooks(tally, secrets=secrets))
        install(app, tally, exempt={"/stripe/*": "Stripe calls it"})
        self._server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        waiting = threading.Event()
        while not self._server.started:
            waiting.wait(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/stripe/"

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()


Serve = Callable[..., Served]


@pytest.fixture
def serve(world: World) -> Iterator[Serve]:
    served: list[Served] = []

    def start(*secrets: str) -> Served:
        served.append(Served(world.tally, list(secrets)))
        return served[-1]

    yield start
    for one in served:
        one.stop()


def destination(world: World, url: str) -> tuple[str, str]:
    """An event destination for thin events: id and secret."""
    made = world.client.v2.core.event_destinations.create(
        {
            "name": "ours",
            "type": "webhook_endpoint",
            "event_payload": "thin",
            "enabled_events": [REPORT, NO_METER],
            "webhook_endpoint": {"url": url},
            "include": ["webhook_endpoint.signing_secret"],
        }
    )
    assert made.webhook_endpoint is not None
    return made.id, str(made.webhook_endpoint.signing_secret)


def test_the_poller_finds_what_was_lost_and_it_is_sent_again(world: World) -> None:
    """timestamp_in_future: under a new identity, by itself; the total is exact again."""
    world.record(5)
    world.sandbox.fault("reject_later code=timestamp_in_future times=1 route=/v1/billing/meter_events")
    world.record(7)
    world.record(9)
    assert world.total() == 14
    world.settle()
    assert world.total() == 21
    assert world.doubts() == {}
    assert world.tally.status().settled
    assert [balance.difference for balance in world.tally.tie_out()] == [0]
    assert world.tally.finding_counts["rejected_later"] == 1


def reject(world: World, times: int) -> None:
    """So many of somebody else's events, rejected later, each in a report of its own."""
    world.sandbox.switch(unknown_customer="asynchronous")
    for _ in range(times):
        world.client.v1.billing.meter_events.create(
            {"event_name": "tokens", "payload": {"stripe_customer_id": "cus_nobody", "value": "5"}}
        )
        world.sandbox.advance(30)
        world.clock.advance(timedelta(seconds=30))


def test_the_poller_takes_them_all_or_says_that_it_does_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than are read in one go: none is passed over in silence."""
    monkeypatch.setattr(reports, "MOST", 4)
    world.tally.relay.drain()
    reject(world, 5)
    world.advance(301)
    assert world.tally.finding_counts["reports_unreadable"] == 1
    assert world.tally.finding_counts["report_unmatched"] == 0
    monkeypatch.setattr(reports, "MOST", 5)
    world.advance(301)
    assert world.tally.finding_counts["report_unmatched"] == 5


def test_the_poller_goes_on_where_it_had_come_to(world: World, serve: Serve) -> None:
    """Both were away for hours; the first webhook that arrives does not hide what lies before it."""
    world.tally.relay.drain()
    at, secret = destination(world, "http://127.0.0.1:9/")
    reject(world, 1)
    world.sandbox.advance(4 * 86_400)  # longer than Stripe tries again
    world.clock.advance(timedelta(days=4))
    served = serve(secret)
    world.client.v2.core.event_destinations.update(at, {"webhook_endpoint": {"url": served.url}})
    reject(world, 1)
    world.sandbox.drain()
    assert world.tally.finding_counts["report_unmatched"] == 1, "the webhook's"
    world.advance(301)
    assert world.tally.finding_counts["report_unmatched"] == 2


def test_a_report_of_another_shape_keeps_no_other_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told of; what came after it is taken all the same."""
    world.tally.relay.drain()
    reject(world, 3)
    read, seen = reports._report, iter(range(9))

    def strange_at_first(event: Any, names: Any) -> Any:
        if next(seen) == 0:
            raise ProviderError("not an error report")
        return read(event, names)

    monkeypatch.setattr(reports, "_report", strange_at_first)
    world.advance(301)
    assert world.tally.finding_counts["reports_unreadable"] == 1
    assert world.tally.finding_counts["report_unmatched"] == 2


@pytest.mark.parametrize("key", ["identifier", "idempotency_key"])
@pytest.mark.parametrize("identifier", ["free", "taken"])
def test_whatever_a_sample_names(world: World, key: str, identifier: str) -> None:
    """Both readings of two open questions: what a sample names, and whether a lost identifier is taken."""
    world.sandbox.switch(sample_key=key, swallowed_identifier=identifier)
    world.sandbox.fault("reject_later code=timestamp_in_future times=1 route=/v1/billing/meter_events")
    world.record(7)
    world.settle()
    assert world.total() == 7


def test_nothing_is_concluded_while_something_is_under_way() -> None:
    """A lost reply and a later rejection: the total lacks nothing that we know to be accepted, yet."""
    assert conclude([], {"named"}, 0, None) is None
    assert conclude([], {"named"}, 0, 0) == (Verdict.COUNTED, [])


def test_a_total_that_can_be_right_by_chance_is_not_believed_at_once(world: World) -> None:
    """One is lost, and what takes one back is counted late: the total of both is nothing, too."""
    world.record(1)
    [one] = world.tally.ledger.read(accepted(world))
    both = [one, msgspec.structs.replace(one, identifier="another", quantity=-1)]
    assert conclude(both, set(), 0, HOUR - 1) is None
    assert conclude(both, set(), 0, HOUR) == (Verdict.COUNTED, [])
    sums = Sums.of(both)
    early, late = (Reading(0, 0, 0, one.due_at + after) for after in (HOUR - 1, HOUR))
    assert rules.judge(sums, early, None).verdict is rules.Verdict.WAIT
    assert rules.judge(sums, late, None).verdict is rules.Verdict.CONFIRMED


def test_a_total_that_shows_nothing_is_for_a_person(world: World) -> None:
    """However long it stays so: that nothing of the minute is counted can also be a total that is late."""
    world.record(1)
    world.record(2)
    sent = world.tally.ledger.read(accepted(world))
    assert conclude(sent, set(), 3, 10**18) == (Verdict.UNCLEAR, [])
    assert conclude(sent, {d.identifier for d in sent}, 3, 10**18) == (Verdict.LOST, sent)


def test_what_was_answered_late_is_doubted_too(world: World) -> None:
    """Its reply was lost, the report names another one, and its window is over when the repeat is answered."""
    world.sandbox.switch(asynchronous=["archived_meter"], report_samples=1)
    [meter] = [m for m in world.client.v1.billing.meters.list().data if m.event_name == "tokens"]
    world.record(1)
    world.client.v1.billing.meters.deactivate(meter.id)
    world.record(2)
    world.sandbox.fault("lose_reply times=1 route=/v1/billing/meter_events")
    world.record(4, "org_b")
    world.client.v1.billing.meters.reactivate(meter.id)
    world.advance(120)
    assert not world.tally.status().parked
    world.settle()
    assert [d.quantity for d in world.tally.status().parked] == [2]
    assert world.doubts() == {"open": 1}


def test_a_late_answer_does_not_bring_back_what_was_superseded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender that stood still writes its yes when the successor has long been counted."""
    written: list[Any] = []
    sender = world.tally.sender
    assert sender is not None
    write = sender.write
    monkeypatch.setattr(sender, "write", lambda answered: (written.append(answered), write(answered)))
    world.sandbox.fault("reject_later code=timestamp_in_future times=1 route=/v1/billing/meter_events")
    world.record(7)
    world.settle()
    assert world.total() == 7
    write(written[0])
    assert [(balance.delivered, balance.difference) for balance in world.tally.tie_out()] == [(7, 0)]


def test_more_errors_than_samples(world: World) -> None:
    """One sample, five losses: the minute's total tells the rest."""
    world.sandbox.switch(report_samples=1)
    world.record(100)
    world.sandbox.fault("reject_later code=timestamp_in_future times=5 route=/v1/billing/meter_events")
    for quantity in (1, 2, 4, 8, 16):
        world.record(quantity)
    assert world.total() == 100
    for _ in range(8):
        world.advance(601)
    assert world.total() == 131
    assert world.doubts() == {}


def test_every_minute_that_may_be_meant_is_doubted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read two at a time, and the same two at a time when they were sent in one instant: none is left out."""
    monkeypatch.setattr(doubts, "PAGE", 2)
    world.sandbox.switch(report_samples=0)
    for customer in ("org_a", "org_b") * 3:
        world.tally.record("tokens", 1, customer=customer)
    world.record(2)
    world.record(4, "org_b")
    world.sandbox.fault("reject_later code=archived_meter times=1 route=/v1/billing/meter_events")
    world.record(8, "org_c")
    world.record(16, "org_c")
    world.sandbox.advance(10)
    assert world.tally.rejections is not None
    assert world.tally.rejections.poll() == 1
    assert world.doubts() == {"open": 3}, "a minute of three customers"
    for _ in range(8):
        world.advance(601)
    assert [d.quantity for d in world.tally.status().parked] == [8]


def test_an_archived_meter_waits_for_a_person(world: World) -> None:
    """Parked with the fix, visible, then driven again: nothing lost, nothing twice."""
    world.sandbox.switch(asynchronous=["archived_meter"])
    [meter] = [m for m in world.client.v1.billing.meters.list().data if m.event_name == "tokens"]
    world.record(3)
    world.client.v1.billing.meters.deactivate(meter.id)
    world.record(5)
    world.settle()
    [parked] = world.tally.status().parked
    assert "archived" in parked.reason
    assert "tallystick redrive" in parked.reason
    world.client.v1.billing.meters.reactivate(meter.id)
    assert world.tally.redrive() == 1
    world.settle()
    assert world.total() == 8
    assert world.tally.status().parked == []


@pytest.mark.parametrize("when", ["refused", "asynchronous"])
def test_a_wrong_customer_is_linked_anew(world: World, when: str) -> None:
    """Refused at once or later: after the right link, redrive sends it there, under a new identity."""
    world.sandbox.switch(unknown_customer=when)
    world.tally.link_customer("org_x", "cus_gone")
    world.record(5, "org_x")
    world.record(6, "org_a")
    world.settle()
    assert len(world.tally.status().parked) == 1
    assert world.tally.redrive() == 1
    world.settle()
    assert len(world.tally.status().parked) == 1
    world.tally.link_customer("org_x", world.links["org_b"])
    assert world.tally.redrive() == 1
    world.settle()
    assert world.tally.status().parked == []
    assert (world.total("org_b"), world.total("org_a")) == (5, 6)
    assert [b.difference for b in world.tally.tie_out()] == [0, 0]


def test_a_false_alarm_changes_nothing(world: World) -> None:
    """A report about another program's event in the same window: ours is counted, so nothing is sent again."""
    world.sandbox.switch(unknown_customer="asynchronous")
    world.record(5)
    world.client.v1.billing.meter_events.create(
        {"event_name": "tokens", "payload": {"stripe_customer_id": "cus_nobody", "value": "5"}}
    )
    world.settle()
    assert world.total() == 5
    assert world.doubts() == {}
    assert world.tally.finding_counts["rejected_later"] == 0


@pytest.mark.parametrize("lag", [900, 7200, 100_000])
@pytest.mark.parametrize("samples", [0, 1])
def test_late_summaries_are_no_proof_of_loss(world: World, lag: int, samples: int) -> None:
    """However late the totals are, nothing is sent twice; what is proven lost is sent again."""
    world.sandbox.switch(summary_lag_seconds=lag, report_samples=samples)
    world.sandbox.fault("reject_later code=timestamp_in_future times=1 route=/v1/billing/meter_events")
    world.record(5)
    world.record(9)
    for _ in range(16):
        world.advance(600)
        assert world.total() in (9, 14)
    for _ in range(24):
        world.advance(2 * 3600)
    seen_in_time = lag < 86400  # else a person decides, and sees that it is so
    assert (world.total(), world.doubts()) == ((14, {}) if seen_in_time else (9, {"unclear": 1}))


def test_what_cannot_be_told_apart_is_for_a_person(world: World) -> None:
    """Two equal dispatches, one lost, none named: a finding, and no guess."""
    world.sandbox.switch(report_samples=0)
    world.record(5)
    world.sandbox.fault("reject_later code=archived_meter times=1 route=/v1/billing/meter_events")
    world.record(5)
    for _ in range(8):
        world.advance(601)
    assert world.total() == 5
    assert world.doubts() == {"unclear": 1}
    assert world.tally.finding_counts["rejection_unclear"] == 1

    assert world.tally.rejections is not None
    [doubt] = world.tally.rejections.unclear()
    second = max(world.tally.ledger.read(accepted(world)), key=lambda d: d.happened_at)
    for wrong in ([doubt.report, ["ts-nothing"]], ["evt_other", []]):
        with pytest.raises(ActionError):
            world.tally.rejections.decide(*wrong, reason="seen at Stripe", by="ada")
    with pytest.raises(ActionError, match="--by"):
        world.tally.rejections.decide(doubt.report, [second.identifier], reason="seen at Stripe", by="")
    [made] = world.tally.rejections.decide(
        doubt.report, [second.identifier], reason="seen at Stripe", by="ada"
    )
    assert (made.state, made.identifier) == ("parked", f"{second.identifier}-1")
    assert world.doubts() == {}
    world.tally.redrive(made.identifier)
    world.settle()
    assert world.total() == 10
    assert [balance.difference for balance in world.tally.tie_out()] == [0]


def test_what_something_else_stands_for_by_now_is_not_sent_again(world: World) -> None:
    """A person says which one is lost; meanwhile the minute lacks nothing any more."""
    world.sandbox.switch(report_samples=0)
    world.record(5)
    world.sandbox.fault("reject_later code=archived_meter times=1 route=/v1/billing/meter_events")
    world.record(5)
    for _ in range(8):
        world.advance(601)
    assert world.doubts() == {"unclear": 1}
    assert world.tally.rejections is not None
    [doubt] = world.tally.rejections.unclear()
    first, second = world.tally.rejections.in_doubt(doubt.report)
    event: Any = {
        "event_name": first.provider_meter,
        "timestamp": first.happened_at,
        "payload": {"stripe_customer_id": first.provider_customer, "value": "5"},
    }
    client = stripe.StripeClient("sk_test_elsewhere", base_addresses={"api": world.sandbox.url})
    client.v1.billing.meter_events.create(event)
    assert not world.tally.rejections.decide(
        doubt.report, [second.identifier], reason="seen at Stripe", by="ada"
    )
    world.settle()
    assert (world.doubts(), world.total()) == ({}, 10)
    assert [balance.difference for balance in world.tally.tie_out()] == [0]


def test_a_webhook_brings_the_report(world: World, serve: Serve) -> None:
    """Pushed, verified, fetched, decided; a second copy and the poller change nothing."""
    world.sandbox.switch(webhook_duplicate=100)
    world.tally.relay.drain()  # the poll of these five minutes is over
    at, secret = destination(world, "http://127.0.0.1:9/")
    served = serve("whsec_old", secret)
    world.client.v2.core.event_destinations.update(at, {"webhook_endpoint": {"url": served.url}})
    world.sandbox.fault("reject_later code=timestamp_in_future times=1 route=/v1/billing/meter_events")
    world.record(7)
    world.sandbox.advance(10)
    deliveries = world.sandbox.drain()
    assert {status for delivery in deliveries for _, status in delivery["answers"]} == {200}
    assert world.doubts() == {"open": 1}
    world.settle()
    assert world.total() == 7
    assert world.tally.finding_counts["rejected_later"] == 1


def test_two_secrets_while_one_is_rolled(world: World, serve: Serve) -> None:
    """Before, between and after the roll: an endpoint that holds both always takes it."""
    at, old = destination(world, "http://127.0.0.1:9/")
    new = world.sandbox.roll_secret(at, expire_seconds=3600)
    both, only_old = serve(old, new), serve(old)
    answers = {}
    for name, url in (("both", both.url), ("old", only_old.url)):
        world.client.v2.core.event_destinations.update(at, {"webhook_endpoint": {"url": url}})
        for when, wait in (("between", 0), ("after", 3600)):
            if wait and name == "both":
                continue
            world.sandbox.advance(wait)
            before = len(world.sandbox.drain())
            world.client.v2.core.event_destinations.ping(at)
            [delivery] = world.sandbox.drain()[before:]
            answers[name, when] = delivery["answers"][-1][1]
    assert answers == {("both", "between"): 200, ("old", "between"): 200, ("old", "after"): 400}


def signed(secret: str, body: str) -> str:
    """A good signature."""
    return stripe.WebhookSignature.generate_signature_header(body, secret)


@pytest.mark.parametrize("what", ["forged", "live", "snapshot", "garbage", "unknown event"])
def test_nothing_pushed_is_believed(world: World, what: str) -> None:
    """Wrong secret, wrong mode, wrong style: refused in one line; an invented event is not there to fetch."""
    thin = (
        '{"id":"evt_x","object":"v2.core.event","type":"%s","created":"2026-01-01T00:00:00Z","livemode":%s}'
    )
    body = thin.replace("}", ',"related_object":{"id":"mtr_x","type":"billing.meter","url":"/x"}}') % (
        REPORT,
        "true" if what == "live" else "false",
    )
    if what == "snapshot":
        body = '{"id":"evt_x","object":"event","type":"invoice.created","livemode":false}'
    if what == "garbage":
        body = "[1]"
    secret = "whsec_other" if what == "forged" else "whsec_ours"
    assert world.tally.rejections is not None
    kind = ProviderError if what == "unknown event" else NoticeError
    with pytest.raises(kind) as caught:
        world.tally.rejections.notice(body.encode(), signed(secret, body), ["whsec_ours"])
    assert "\n" not in str(caught.value)
    assert world.doubts() == {}


def test_an_endpoint_without_secrets_does_not_start(world: World) -> None:
    with pytest.raises(ConfigError, match="STRIPE_WEBHOOK_SECRET"):
        Webhooks(world.tally)


def test_every_code_has_a_remedy_and_unknown_ones_wait_for_a_person() -> None:
    """The official client's list of codes is covered; the list is open."""
    from typing import get_args, get_type_hints

    from stripe.events import V1BillingMeterErrorReportTriggeredEvent as Event

    kind = Event.V1BillingMeterErrorReportTriggeredEventData.Reason.ErrorType
    codes = {code for part in get_args(get_type_hints(kind)["code"]) for code in get_args(part)}
    assert len(codes) >= 10
    assert codes <= REMEDIES.keys()
    assert remedy("something_new").disposition == "mend"


def test_the_page_lists_every_code() -> None:
    """docs/errors.md and the table in the code say the same."""
    page = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()
    for code, about in REMEDIES.items():
        [row] = [line for line in page.splitlines() if line.startswith(f"| `{code}` |")]
        assert f"| {about.meaning} | {about.disposition} | {about.fix.replace('|', 'or')} |" in row


def accepted(world: World) -> Flow[list[Dispatch]]:
    """Every accepted dispatch."""
    where = world.tally.ledger.where
    params = {
        "tenant": where.tenant,
        "mode": where.mode,
        "since": 0,
        "until": 2**62,
        "meter": "",
        "limit": 99,
        "sent": 0,
        "lane": -1,
        "identity": b"",
        "part": 0,
    }
    rows = yield Statement("accepted_between", params)
    return [to_dispatch(row) for row in rows]


def test_judge_never_guesses(world: World) -> None:
    """Against brute force: a set is named only when no other explains the gap."""
    world.record(1)
    world.record(2)
    world.record(3)
    world.record(3)
    sent = world.tally.ledger.read(accepted(world))
    rows = sorted(sent, key=lambda d: d.happened_at)
    for missing in range(10):
        verdict, lost = judge(rows, set(), missing)
        fits = [
            c for n in range(1, 5) for c in combinations(rows, n) if sum(d.quantity for d in c) == missing
        ]
        if missing == 0:
            assert verdict is Verdict.COUNTED
        elif len(fits) == 1:
            assert (verdict, lost) == (Verdict.LOST, list(fits[0]))
        else:
            assert verdict is Verdict.UNCLEAR
    assert stood_still(0, rows, 10**18) == 10**18 - max(d.due_at for d in rows)  # the last was accepted then
    assert stood_still(10**17, rows, 10**18) == 10**18 - 10**17
    for d in rows:
        assert place_of(d.identifier, d.identifier.split("-")[0]) == (d.lane, d.dispatch, 0)
        assert place_of(d.identifier, "tsffffffff") is None
