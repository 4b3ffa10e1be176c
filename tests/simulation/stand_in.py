"""Stripe's other interfaces, OpenMeter and Lago: the sandbox, asked without a network, on the world's clock.

The sandbox counts by itself. What it counted is read from its raw events, and what arrived is watched here:
repeats are identical and in time, and no customer and meter has two calls at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any
from urllib.parse import parse_qsl

from tallystick.sandbox import api
from tallystick.sandbox.clock import Clock
from tallystick.sandbox.lago import Lago
from tallystick.sandbox.neighbours import Neighbour
from tallystick.sandbox.openmeter import OpenMeter
from tallystick.sandbox.settlement import settle
from tallystick.sandbox.switches import Switches
from tallystick.sandbox.usage import meters
from tests.simulation.afterthoughts import Afterthoughts, Lost
from tests.simulation.plan import WINDOWS, Hell, Plan
from tests.simulation.stripe_account import DAY, HOUR, LATE, SECOND, Event
from tests.simulation.wire import Faults, Reply, Sent

OLD = "2025-02-24.acacia"  # an API version with usage records
LAGO = ("lago", "lago_clickhouse")
# How long after it was first worked on a usage may come again without counting twice, in microseconds.
LONGEST = {
    "meter_events_v2": DAY,
    "meter_event_stream": DAY,
    "usage_records": DAY,
    "openmeter": DAY,
    "openmeter_plain": 0,
    "lago": 10**6 * DAY,
    "lago_clickhouse": 10**6 * DAY,
}


@dataclass(frozen=True)
class Told:
    """One usage as a request tells it; `about` is all of it, to compare a repeat with."""

    identifier: str
    customer: str
    meter: str
    about: Any


@dataclass
class Call:
    """A request under way."""

    sent: Sent
    told: list[Told]
    fault: str
    reply: Reply | None = None
    marks: list[tuple[str, str]] = field(default_factory=list)


class StandIn:
    """One account behind one way to tell it usage (`plan.WAYS`)."""

    def __init__(self, mode: str, random: Random, faults: Faults, plan: Plan) -> None:
        self.mode, self.way, self.faults = mode, plan.way, faults
        self.strict_turns = True
        self.violations: list[str] = []
        self.calls = 0
        self.has_reports = plan.way in ("meter_events_v2", "meter_event_stream")
        self.later = Afterthoughts(random)
        self.archived: dict[str, tuple[int, int]] = {}
        self.deleted: dict[str, int] = {}
        self._clock = Clock(frozen_at=plan.start // SECOND)
        self._api = api.Api(self._clock, _switches(plan.hell))
        self._world = self._api.worlds[mode]
        self._neighbour = self._beside(random)
        self._items: dict[str, tuple[str, str]] = {}  # subscription item -> customer, meter
        self._records: list[Event] = []  # usage records have no names: those that were counted
        self._said: dict[str, Any] = {}
        self._worked: dict[str, int] = {}
        self._at_work: dict[tuple[str, str], int] = {}
        self._set_up(list(plan.meters), ["cus_a", "cus_b", "cus_c"])
        if plan.hell is not None:
            self.archived, self.deleted = plan.hell.archived, dict(plan.hell.deleted)

    # Setting up

    def _beside(self, random: Random) -> Neighbour | None:
        if self.way in LAGO:
            lago = Lago(self._clock)
            lago.command({"settings": {"clickhouse": self.way == "lago_clickhouse"}})
            return lago
        if self.way not in WINDOWS:
            return None
        meter = OpenMeter(self._clock)
        settings = {
            "deduplicate_seconds": WINDOWS[self.way],
            "stored_after_seconds": random.choice([0, 20, 500]),
        }
        meter.command({"settings": settings})
        return meter

    def _set_up(self, names: list[str], customers: list[str]) -> None:
        if self._neighbour is not None:
            self._neighbour.command({"meters": names, "customers": dict.fromkeys(customers, "pro")})
            return
        for customer in customers:
            self._world.add("customer", "cus", {"id": customer})
        if self.way != "usage_records":
            for name in names:
                formula = {"formula": "sum"}
                meters.create(
                    self._world, {"display_name": name, "event_name": name, "default_aggregation": formula}
                )
            return
        prices = [self._price(name) for name in names]
        for customer in customers:
            items = {f"items[{i}][price]": price for i, price in enumerate(prices)}
            made = self._make("/v1/subscriptions", customer=customer, **items)
            for item, name in zip(made["items"]["data"], names, strict=True):
                self._items[item["id"]] = (customer, name)

    def _price(self, name: str) -> str:
        product = self._make("/v1/products", name=name)["id"]
        recurring = {"recurring[interval]": "month", "recurring[usage_type]": "metered"}
        made = self._make(
            "/v1/prices", product=product, currency="usd", unit_amount="1", lookup_key=name, **recurring
        )
        return str(made["id"])

    def _make(self, path: str, **params: str) -> Any:
        body = "&".join(f"{name}={value}" for name, value in params.items()).encode()
        headers = {"authorization": f"Bearer sk_{self.mode}_simulation", "stripe-version": OLD}
        reply = self._api.handle(api.Request("POST", path, headers, body))
        assert reply.status == 200, reply.body
        return json.loads(reply.body)

    # A call

    def names(self, sent: Sent) -> list[str]:
        """The identifiers of the usage that a request tells."""
        return [told.identifier for told in self._told(sent)]

    def _told(self, sent: Sent) -> list[Told]:
        if sent.method != "POST":
            return []
        if sent.path.endswith("/usage_records"):
            customer, meter = self._items.get(sent.path.split("/")[3], ("", ""))
            return [Told(sent.headers["idempotency-key"], customer, meter, sent.body)]
        if sent.path in ("/v2/billing/meter_events", "/v2/billing/meter_event_stream"):
            body = json.loads(sent.body)
            return [
                Told(e["identifier"], e["payload"]["stripe_customer_id"], e["event_name"], e)
                for e in body.get("events", [body])
            ]
        if not sent.path.startswith("/api/v1/events"):
            return []
        body = json.loads(sent.body)
        if self.way in LAGO:
            given = body["events"] if sent.path.endswith("/batch") else [body["event"]]
            return [Told(e["transaction_id"], e["external_subscription_id"], e["code"], e) for e in given]
        given = body if isinstance(body, list) else [body]
        return [Told(e["id"], e["subject"], e["type"], e) for e in given]

    def arrive(self, sent: Sent, now: int, *, fault: str, checked_at: int) -> Call:
        """A request has arrived, whose sender last asked at `checked_at` whether it may send."""
        call = Call(sent, self._told(sent), fault)
        self.calls += bool(call.told)
        self._let_it_be(now)
        self._watch(call, now)
        if sent.method == "POST":
            call.reply = self._stopped(call)
        if call.reply is None and sent.method == "POST" and self._neighbour is None:
            marks = self._api.enter(_request(sent))
            if isinstance(marks, api.Reply):
                call.reply = _reply(marks)
            else:
                call.marks = marks
        if call.reply is None:
            self._begin(call, now, checked_at)
        return call

    def _let_it_be(self, now: int) -> None:
        """What time brings: customers are deleted, meters archived and opened again."""
        self._clock.freeze(now // SECOND)
        for name, meter in self._world.by_event_name.items():
            since, until = self.archived.get(name, (0, 0))
            meters.set_status(self._world, meter["id"], "inactive" if since <= now < until else "active")
        for customer, at in self.deleted.items():
            if now >= at and customer in self._world.objects["customer"]:
                self._world.remove("customer", customer)
        settle(self._world)

    def _watch(self, call: Call, now: int) -> None:
        """T9 and T11: repeats are identical and in time, and test keys see no live usage."""
        for told in call.told:
            before = self._said.setdefault(told.identifier, told.about)
            if before != told.about:
                self.violations.append(f"{told.identifier} came again as {told.about}, first as {before}")
            age = now - self._worked.get(told.identifier, now)
            if age > LONGEST[self.way]:
                hours = f"{age / HOUR:.1f} hours"
                self.violations.append(f"{told.identifier} came again {hours} after it was worked on")
        key = call.sent.headers.get("authorization", "")
        if self._neighbour is None and f"_{self.mode}_" not in key:
            self.violations.append(f"a call came with the key of another mode: {key}")

    def _stopped(self, call: Call) -> Reply | None:
        """The faults that come before any work."""
        beside = self._neighbour
        match call.fault:
            case "key" if beside is None:
                return _reply(api.refused(api.unauthorized("rotated")))
            case "key":
                return Reply(401, '{"status": 401, "error": "Unauthorized"}')
            case "limit" if beside is None:
                return _reply(api.rate_limited(self.calls, call.sent.path.startswith("/v2/")))
            case "limit" if beside is not None:
                return _reply(beside.limited())
            case "gateway":
                return _reply(api.by_stranger(502))
        return None

    def _begin(self, call: Call, now: int, checked_at: int) -> None:
        for place in {(told.customer, told.meter): None for told in call.told}:
            busy = self._at_work.get(place)
            if busy is not None and self.strict_turns and now - min(busy, checked_at) <= LATE:
                self.violations.append(f"two calls at once for {place} at {now}")
            self._at_work[place] = checked_at

    def finish(self, call: Call, now: int) -> Reply:
        """Do what was asked, whether or not anybody still waits for the answer."""
        if call.reply is not None:
            return call.reply
        self._let_it_be(now)
        reply = self._work(call, now)
        self._api.leave(call.marks)
        for told in call.told:
            if not 400 <= reply.status < 500:  # what was refused has left nothing
                self._worked.setdefault(told.identifier, now)
            self._at_work.pop((told.customer, told.meter), None)
        if call.fault == "gateway_after" and call.told:
            return _reply(api.by_stranger(504))
        return reply

    def _work(self, call: Call, now: int) -> Reply:
        fault = call.fault if call.told else ""
        if self._neighbour is not None:
            return self._work_beside(self._neighbour, call.sent, fault)
        code = self.later.drawn() if call.told else ""
        mishap = api.Mishap(fail=fault == "error_before", fail_done=fault == "error_after", reject_as=code)
        before = self._record_of(call)
        reply = _reply(self._api.handle(_request(call.sent), mishap))
        self._keep_record(call, before, reply, now)
        self._keep_lost(call, code, now)
        return reply

    def _work_beside(self, beside: Neighbour, sent: Sent, fault: str) -> Reply:
        asked = _request(sent)
        about = (asked.method, asked.target, asked.headers, asked.body)
        reply = beside.failed(*about) if fault == "error_before" else beside.handle(*about)
        return _reply(beside.failed(*about) if fault == "error_after" else reply)

    # What was counted

    def _record_of(self, call: Call) -> int:
        """What stands in the second that a usage record is about."""
        if self.way != "usage_records" or not call.told:
            return 0
        item = self._world.objects["subscription_item"][call.sent.path.split("/")[3]]
        found: int = item.get("_usage", {}).get(_second(call.sent), 0)
        return found

    def _keep_record(self, call: Call, before: int, reply: Reply, now: int) -> None:
        """Note what an increment added; one of nothing shows in a first answer only."""
        if self.way != "usage_records" or not call.told:
            return
        [told] = call.told
        more = self._record_of(call) - before
        if more or (reply.status == 200 and "idempotent-replayed" not in reply.headers):
            second = _second(call.sent)
            self._records.append(
                Event(told.identifier, told.customer, told.meter, Decimal(more), second, now)
            )

    def _keep_lost(self, call: Call, code: str, now: int) -> None:
        """Which events were taken and not counted; one that a repeat brought after all is not lost."""
        if self.later.quiet and not self.later.lost:
            return
        counted = {event.identifier for event in self.events}
        if code:
            self.later.lost += [Lost(t.identifier, t.meter, code, "", now // SECOND) for t in call.told]
        self.later.lost = [lost for lost in self.later.lost if lost.identifier not in counted]

    @property
    def events(self) -> list[Event]:
        """What was counted, as it is kept over there, with repeats that counted again."""
        match self._neighbour:
            case OpenMeter() as beside:
                return [
                    Event(
                        each.about["id"],
                        each.about["subject"],
                        each.about["type"],
                        Decimal(str(each.about["data"]["value"])),
                        each.time,
                        each.received_at * SECOND,
                    )
                    for each in beside._events
                ]
            case Lago() as beside:
                return [
                    Event(
                        each.transaction,
                        each.subscription,
                        each.code,
                        Decimal(str(each.properties["value"])),
                        int(each.timestamp),
                        each.created_at * SECOND,
                    )
                    for each in beside._events.values()
                ]
        names = {meter["id"]: name for name, meter in self._world.by_event_name.items()}
        return self._records + [
            Event(e.identifier, e.customer, names[e.meter], e.value, e.timestamp, e.received_at * SECOND)
            for kept in self._world.events.values()
            for e in kept
        ]

    def mend(self, successors: Mapping[str, str]) -> None:
        """Archived meters are opened again, deleted customers get successors."""
        self.archived = {}
        for gone in self.deleted:
            self._world.add("customer", "cus", {"id": successors[gone]})


def _switches(hell: Hell | None) -> Switches:
    switches = Switches(one_in_flight=True, window_jitter_seconds=20 * 3600)
    if hell is None:
        return switches
    return switches.changed(
        report_samples=hell.samples,
        sample_key="idempotency_key" if hell.by_key else "identifier",
        swallowed_identifier="taken" if hell.keeps_identifier else "free",
        asynchronous=("*",) if hell.answers_later else (),
        summary_jitter_seconds=hell.lag // SECOND,
    )


def _request(sent: Sent) -> api.Request:
    target = f"{sent.path}?{sent.query}" if sent.query else sent.path
    return api.Request(sent.method, target, dict(sent.headers), sent.body.encode())


def _reply(found: api.Reply) -> Reply:
    return Reply(found.status, found.body.decode(), found.headers)


def _second(sent: Sent) -> int:
    return int(dict(parse_qsl(sent.body))["timestamp"])
