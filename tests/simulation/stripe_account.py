"""The simulated provider: meter events as Stripe describes them, written without tallystick's code.

Sources: Stripe's API reference (Meter Event, Meter Event Summary, Errors) and its pages "Idempotent
requests", "Rate limits" and "Recording usage". It keeps every event it counted, so that its totals are its
own. Where Stripe promises little ("at least 24 hours") it does the worst that the promise allows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any, Protocol
from urllib.parse import parse_qsl

from tests.simulation.afterthoughts import Afterthoughts
from tests.simulation.plan import ABSOLUTES
from tests.simulation.wire import Faults, Reply, Sent

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
LATE = 10 * SECOND  # the sender's own timeout: a call that is older stood still on the way


class Running(Protocol):
    """A customer's billing cycle."""

    def running(self, second: int) -> tuple[int, int] | None:
        """The period [start, end) of an instant, in seconds."""
        ...


@dataclass(frozen=True)
class Event:
    """A usage that was counted."""

    identifier: str
    customer: str
    meter: str
    value: Decimal
    timestamp: int  # seconds
    received_at: int  # microseconds
    seen_at: int = 0  # microseconds: when the totals show it


@dataclass
class Call:
    """A request under way at the provider."""

    params: dict[str, str]
    key: str
    fault: str
    reply: Reply | None = None
    place: tuple[str, str] | None = None


def refusal(status: int, message: str, kind: str = "invalid_request_error", code: str = "") -> Reply:
    """An error in Stripe's form."""
    error = {"type": kind, "message": message, **({"code": code} if code else {})}
    return Reply(status, json.dumps({"error": error}), {"stripe-should-retry": "false"})


class StripeAccount:
    """One account: its customers, its meters, and what it counted."""

    def __init__(self, mode: str, random: Random, faults: Faults) -> None:
        self.mode = mode
        self.faults = faults
        self.random = random
        self.customers: set[str] = set()
        self.meters: set[str] = set()
        self.archived: dict[str, tuple[int, int]] = {}  # meter -> from when until when
        self.deleted: dict[str, int] = {}  # customer -> since when
        self.later = Afterthoughts(random)
        self.subscriptions: dict[str, Running] = {}  # by customer; none are told of unless they are here
        self.has_reports = False  # whether it has a second word at all
        self.answers_later = False  # whether a bad event is answered 2xx and reported later
        self.events: list[Event] = []
        self.violations: list[str] = []
        self.strict_turns = True  # two calls at once for a customer and meter are our fault
        self.calls = 0
        self._counted: dict[str, int] = {}  # identifier -> until when a repeat is refused
        self._said: dict[str, dict[str, str]] = {}
        self._worked: dict[str, int] = {}  # identifier -> when it may first have been counted
        self._stored: dict[str, tuple[int, dict[str, str], Reply]] = {}
        self._keys_at_work: set[str] = set()
        self._at_work: dict[tuple[str, str], int] = {}

    def names(self, sent: Sent) -> list[str]:
        """The identifier of the meter event that a request tells."""
        return [dict(parse_qsl(sent.body))["identifier"]] if sent.method == "POST" else []

    def mend(self, successors: Mapping[str, str]) -> None:
        """Archived meters are opened again, deleted customers get successors."""
        self.archived = {}
        self.customers |= {successors[gone] for gone in self.deleted}

    # Writing

    def arrive(self, sent: Sent, now: int, *, fault: str, checked_at: int) -> Call:
        """A request has arrived, whose sender last asked at `checked_at` whether it may send."""
        if sent.method == "GET":
            return Call({}, "", fault, self.read(sent.path, dict(parse_qsl(sent.query)), now))
        self.calls += 1
        params = dict(parse_qsl(sent.body))
        call = Call(params, sent.headers.get("idempotency-key", ""), fault)
        self._watch(params, sent.headers, now)
        call.reply = self._before_work(call, now)
        if call.reply is None:
            place = (params.get("payload[stripe_customer_id]", ""), params.get("event_name", ""))
            if place in self._at_work:
                if self.strict_turns and now - min(self._at_work[place], checked_at) <= LATE:
                    self.violations.append(f"two calls at once for {place} at {now}")
                call.reply = refusal(429, "another call for this customer is under way", code="lock_timeout")
            else:
                call.place = place
                self._at_work[place] = checked_at
                self._keys_at_work.add(call.key)
        return call

    def _watch(self, params: dict[str, str], headers: Mapping[str, str], now: int) -> None:
        """T9 and T11: repeats are identical and in time, and test keys see no live usage."""
        identifier = params.get("identifier", "")
        before = self._said.setdefault(identifier, params)
        if before != params:
            self.violations.append(f"{identifier} came again as {params}, first as {before}")
        age = now - self._worked.get(identifier, now)
        if (
            age > DAY and params.get("event_name") not in ABSOLUTES
        ):  # which stand for themselves, however often told
            self.violations.append(f"{identifier} came again {age / HOUR:.1f} hours after it was worked on")
        if not headers.get("authorization", "").startswith(f"Bearer sk_{self.mode}_"):
            self.violations.append(f"{identifier} came with the key of another mode")

    def _before_work(self, call: Call, now: int) -> Reply | None:
        if call.fault == "key":
            return refusal(401, "Invalid API Key provided", "invalid_request_error")
        if call.fault == "limit":
            return refusal(429, "Too many requests", code="rate_limit")
        if call.fault == "gateway":
            return Reply(502, "<html>bad gateway</html>")
        stored = self._stored.get(call.key)
        if stored is not None and now - stored[0] < DAY:
            if stored[1] != call.params:
                return refusal(400, "Keys for idempotent requests can only be used once", "idempotency_error")
            return stored[2]
        if call.key in self._keys_at_work:
            return refusal(409, "a request with this key is under way", code="idempotency_key_in_use")
        refused = self._invalid(call.params, now)
        wrong = self._gone(call.params, now) if refused is None else None
        if wrong is None:
            return refused
        code, words = wrong
        if not self.answers_later:
            return refusal(400, words)
        self.later.reject(call.params, call.key, code, now)
        return self._taken(call.params["identifier"])

    def _gone(self, params: dict[str, str], now: int) -> tuple[str, str] | None:
        """The code and the words for a meter that is archived, or a customer that was deleted."""
        meter, customer = params["event_name"], params["payload[stripe_customer_id]"]
        since, until = self.archived.get(meter, (0, 0))
        if since <= now < until:
            return "archived_meter", f"No active meter found for event name {meter}"
        if self._is_deleted(customer, now):
            return "meter_event_customer_not_found", f"No such customer: '{customer}'"
        return None

    def _is_deleted(self, customer: str, now: int) -> bool:
        return now >= self.deleted.get(customer, now + 1)

    def _taken(self, identifier: str) -> Reply:
        body = {"object": "billing.meter_event", "identifier": identifier, "livemode": self.mode == "live"}
        return Reply(200, json.dumps(body))

    def _invalid(self, params: dict[str, str], now: int) -> Reply | None:
        customer, meter = params.get("payload[stripe_customer_id]"), params.get("event_name")
        if not params.get("identifier") or len(params["identifier"]) > 100 or len(meter or "") > 100:
            return refusal(400, "identifier and event_name take 1 to 100 characters")
        if meter not in self.meters:
            return refusal(400, f"No active meter found for event name {meter}")
        if customer not in self.customers:
            return refusal(400, f"No such customer: '{customer}'")
        timestamp, seconds = int(params["timestamp"]), now // SECOND
        if timestamp < seconds - 35 * 86400:
            return refusal(400, "The event timestamp cannot be more than 35 days in past.")
        if timestamp > seconds + 300:
            return refusal(400, "The event timestamp cannot be more than 5 minutes in the future.")
        digits = params["payload[value]"].lstrip("-").replace(".", "").strip("0")
        if len(digits) > 15:
            return refusal(400, "The value has more than 15 significant digits")
        return None

    def finish(self, call: Call, now: int) -> Reply:
        """Do what was asked, whether or not anybody still waits for the answer."""
        if call.reply is not None:
            return call.reply
        assert call.place is not None
        reply = self._work(call, now)
        del self._at_work[call.place]
        self._keys_at_work.discard(call.key)
        if reply.status != 400:
            self._stored[call.key] = (now, call.params, reply)
        if call.fault == "gateway_after":  # a stranger in between answers for us
            return Reply(504, "upstream timed out")
        return reply

    def _work(self, call: Call, now: int) -> Reply:
        self._worked.setdefault(call.params["identifier"], now)
        if call.fault == "error_before":
            return refusal(500, "Something went wrong on our end", "api_error")
        identifier = call.params["identifier"]
        if self._counted.get(identifier, 0) > now:
            return refusal(400, f"An event already exists with identifier {identifier}.")
        if not self.later.about(call.params, call.key, now):
            self._count(call.params, now)
        elif self.later.keeps_identifier:
            self._counted[identifier] = now + DAY
        if call.fault == "error_after":
            return refusal(500, "Something went wrong on our end", "api_error")
        return self._taken(identifier)

    def _count(self, params: dict[str, str], now: int) -> None:
        event = Event(
            params["identifier"],
            params["payload[stripe_customer_id]"],
            params["event_name"],
            Decimal(params["payload[value]"]),
            int(params["timestamp"]),
            now,
            self.later.seen_at(now),
        )
        self.events.append(event)
        self._counted[event.identifier] = now + DAY + self.random.choice([0, 0, 1, 20]) * HOUR

    # Reading

    def _subscribed(self, customer: str, second: int) -> list[dict[str, Any]]:
        """The customer's subscription, with an item for each meter."""
        cycle = self.subscriptions.get(customer)
        period = cycle.running(second) if cycle is not None else None
        if period is None:
            return []
        start, end = period
        items = [
            {
                "id": f"si_{customer}_{meter}",
                "current_period_start": start,
                "current_period_end": end,
                "price": {"id": f"price_{meter}", "lookup_key": None, "recurring": {"meter": f"mtr_{meter}"}},
            }
            for meter in sorted(self.meters)
        ]
        return [{"id": f"sub_{customer}", "items": {"data": items, "has_more": False}}]

    def read(self, path: str, query: dict[str, Any], now: int) -> Reply:
        """Meters, and event summaries of whole minutes."""
        if path == "/v1/billing/meters":
            data = [
                {"id": f"mtr_{m}", "object": "billing.meter", "event_name": m} for m in sorted(self.meters)
            ]
            return Reply(200, json.dumps({"object": "list", "data": data, "has_more": False, "url": path}))
        if path == "/v2/core/events":
            return Reply(200, json.dumps({"data": self.later.events(now), "next_page_url": None}))
        if not path.startswith("/v1/billing/meters/"):
            data = self._subscribed(query["customer"], now // SECOND) if path == "/v1/subscriptions" else []
            return Reply(200, json.dumps({"object": "list", "data": data, "has_more": False, "url": path}))
        meter = path.split("/")[4].removeprefix("mtr_")
        since, until = int(query["start_time"]), int(query["end_time"])
        if since % 60 or until % 60:
            return refusal(400, "start_time and end_time must be aligned with minute boundaries")
        if self._is_deleted(query["customer"], now):
            return refusal(400, f"No such customer: '{query['customer']}'")
        total = sum(
            (
                event.value
                for event in self.events
                if (event.customer, event.meter) == (query["customer"], meter)
                and since <= event.timestamp < until
                and event.seen_at <= now
            ),
            Decimal(0),
        )
        summary = f'{{"object":"billing.meter_event_summary","aggregated_value":{total}}}'
        return Reply(200, f'{{"object":"list","has_more":false,"url":"{path}","data":[{summary}]}}')
