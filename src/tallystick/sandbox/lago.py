"""A stand-in for Lago: events, billable metrics, subscriptions.

Written from its OpenAPI description and documentation. Two ways of keeping events: in PostgreSQL, where
a repeated transaction of a subscription is refused, or in ClickHouse, where one with the same timestamp
takes the place of the first.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from tallystick.sandbox.api import Reply, encode
from tallystick.sandbox.clock import Clock
from tallystick.sandbox.neighbours import (
    Denied,
    Request,
    Route,
    answer,
    bearer,
    exact_json,
    iso,
    seconds_of,
    taken_apart,
)
from tallystick.sandbox.world import Object

_AGGREGATIONS = (
    "count_agg",
    "sum_agg",
    "max_agg",
    "unique_count_agg",
    "weighted_sum_agg",
    "latest_agg",
)
_NOTHING = (  # fields of a subscription that are null here
    "name",
    "canceled_at",
    "terminated_at",
    "ending_at",
    "trial_ended_at",
    "previous_plan_code",
    "next_plan_code",
    "downgrade_plan_date",
    "current_billing_period_started_at",
    "current_billing_period_ending_at",
)


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    """How this Lago is set up, and what it does wrong.

    `key`: the API key it wants ("" takes any). `clickhouse`: where it keeps events. `swallow`: so many
    of the next events are answered with 200 and lost, which a queue in memory can do.
    """

    key: str = ""
    clickhouse: bool = False
    swallow: int = 0


class Event(msgspec.Struct):
    """An event as it was taken in."""

    identity: str
    transaction: str
    subscription: str
    code: str
    timestamp: Decimal
    properties: Object
    created_at: int


class Lago:
    """One organisation."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.settings = Settings()
        self._events: dict[tuple[Any, ...], Event] = {}
        self._metrics: dict[str, Object] = {}
        self._subscriptions: dict[str, Object] = {}
        self._ids = 0
        self._routes: tuple[Route, ...] = (
            ("POST", "/api/v1/events", self._create),
            ("POST", "/api/v1/events/batch", self._create_batch),
            ("GET", "/api/v1/events", self._list),
            ("GET", "/api/v1/events/*", self._find),
            ("POST", "/api/v1/billable_metrics", self._create_metric),
            ("GET", "/api/v1/billable_metrics/*", self._find_metric),
            ("GET", "/api/v1/subscriptions/*", self._find_subscription),
        )

    def handle(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """Answer one request."""
        key = bearer(headers)
        if not key or (self.settings.key and key != self.settings.key):
            return Reply(401, encode({"status": 401, "error": "Unauthorized"}))
        request = taken_apart(method, target, headers, body)
        return answer(request, self._routes, {"status": 404, "error": "Not Found"})

    def limited(self) -> Reply:
        """Too many requests in this second."""
        body = encode({"status": 429, "error": "Too Many Requests", "code": "too_many_requests"})
        limits = {"x-ratelimit-limit": "500", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}
        return Reply(429, body, limits)

    def failed(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """Nothing is done."""
        return Reply(500, encode({"status": 500, "error": "Internal Server Error"}))

    def command(self, body: Object) -> Any:
        """Change settings, make metrics and subscriptions (on a plan that charges all metrics, or not)."""
        if "settings" in body:
            now = msgspec.structs.asdict(self.settings)
            self.settings = msgspec.convert({**now, **body["settings"]}, Settings)
        for code in body.get("meters", ()):
            self._add_metric(
                {"name": code, "code": code, "aggregation_type": "sum_agg", "field_name": "value"}
            )
        for identity, plan in body.get("customers", {}).items():
            since = iso(self._clock.now())
            about = {"plan": plan or "empty", "charged": bool(plan), "since": since, "id": self._new_id()}
            self._subscriptions[identity] = about
        for identity in body.get("terminated", ()):
            del self._subscriptions[identity]
        return {"totals": self._totals(), "events": len(self._events)}

    # Events

    def _create(self, request: Request, _: str) -> tuple[int, Any]:
        event, errors = self._read((exact_json(request.body) or {}).get("event") or {}, set())
        if errors or event is None:
            raise _invalid(errors)
        self._keep(event)
        return 200, {"event": _shown(event)}

    def _create_batch(self, request: Request, _: str) -> tuple[int, Any]:
        given = (exact_json(request.body) or {}).get("events") or []
        if not given:
            raise _invalid({"events": ["no_events"]})
        if len(given) > 100:
            raise _invalid({"events": ["too_many_events"]})
        events, errors, seen = [], {}, set[tuple[str, str]]()
        for index, about in enumerate(given):
            event, wrong = self._read(about, seen)
            if wrong or event is None:
                errors[str(index)] = wrong
            else:
                events.append(event)
                seen.add((event.subscription, event.transaction))
        if errors:
            raise _invalid(errors)  # all or nothing
        for event in events:
            self._keep(event)
        return 200, {"events": [_shown(event) for event in events]}

    def _read(self, about: Object, seen: set[tuple[str, str]]) -> tuple[Event | None, Object]:
        names = ("transaction_id", "external_subscription_id", "code")
        errors: Object = {name: ["value_is_mandatory"] for name in names if not about.get(name)}
        try:
            timestamp = Decimal(str(about.get("timestamp") or self._clock.now()))
        except InvalidOperation:
            errors["timestamp"] = ["invalid_format"]
            return None, errors
        if errors:
            return None, errors
        name = (about["external_subscription_id"], about["transaction_id"])
        if not self.settings.clickhouse and (name in self._events or name in seen):
            return None, {"transaction_id": ["value_already_exist"]}
        properties = about.get("properties") or {}
        event = Event(
            self._new_id(), name[1], name[0], about["code"], timestamp, properties, self._clock.now()
        )
        return event, {}

    def _keep(self, event: Event) -> None:
        if self.settings.swallow:
            self.settings.swallow -= 1
            return
        name: tuple[Any, ...] = (event.subscription, event.transaction)
        self._events[(*name, event.timestamp) if self.settings.clickhouse else name] = event

    def _find(self, request: Request, transaction: str) -> tuple[int, Any]:
        for event in self._events.values():
            if event.transaction == transaction:
                return 200, {"event": _shown(event)}
        raise _missing("event")

    def _list(self, request: Request, _: str) -> tuple[int, Any]:
        identity, code = request.one("external_subscription_id"), request.one("code")
        since, until = _instant(request, "timestamp_from"), _instant(request, "timestamp_to")
        page, size = int(request.one("page", "1")), int(request.one("per_page", "20"))
        found = [
            event
            for event in sorted(self._events.values(), key=lambda each: (-each.timestamp, each.transaction))
            if identity in ("", event.subscription)
            and code in ("", event.code)
            and (since is None or event.timestamp >= since)
            and (until is None or event.timestamp <= until)
        ]
        pages = -(-len(found) // size)
        shown = [_shown(event) for event in found[(page - 1) * size : page * size]]
        meta = {
            "current_page": page,
            "next_page": page + 1 if page < pages else None,
            "prev_page": page - 1 if page > 1 else None,
            "total_pages": pages,
            "total_count": len(found),
        }
        return 200, {"events": shown, "meta": meta}

    # Metrics and subscriptions

    def _create_metric(self, request: Request, _: str) -> tuple[int, Any]:
        about = (exact_json(request.body) or {}).get("billable_metric") or {}
        errors = {
            name: ["value_is_mandatory"]
            for name in ("name", "code", "aggregation_type")
            if not about.get(name)
        }
        if about.get("code") in self._metrics:
            errors["code"] = ["value_already_exist"]
        if not errors and about["aggregation_type"] not in _AGGREGATIONS:
            errors["aggregation_type"] = ["value_is_invalid"]
        if errors:
            raise _invalid(errors)
        return 200, {"billable_metric": self._add_metric(about)}

    def _add_metric(self, about: Object) -> Object:
        made = {
            "lago_id": self._new_id(),
            "recurring": False,
            "rounding_function": None,
            "filters": [],
            **about,
            "created_at": iso(self._clock.now()),
        }
        self._metrics[about["code"]] = made
        return made

    def _find_metric(self, request: Request, code: str) -> tuple[int, Any]:
        if code not in self._metrics:
            raise _missing("billable_metric")
        return 200, {"billable_metric": self._metrics[code]}

    def _find_subscription(self, request: Request, identity: str) -> tuple[int, Any]:
        about = self._subscriptions.get(identity)
        if about is None:
            raise _missing("subscription")
        metrics = self._metrics.values() if about["charged"] else ()
        return 200, {"subscription": _subscription(identity, about, [_charge(each) for each in metrics])}

    def _new_id(self) -> str:
        self._ids += 1
        return f"1a901a90-1a90-1a90-1a90-{self._ids:012d}"

    def _totals(self) -> list[Object]:
        """Every kept event's value added up exactly."""
        sums: dict[tuple[str, str], Decimal] = {}
        counts: dict[tuple[str, str], int] = {}
        for event in self._events.values():
            name = (event.subscription, event.code)
            sums[name] = sums.get(name, Decimal(0)) + Decimal(str(event.properties.get("value", 0)))
            counts[name] = counts.get(name, 0) + 1
        return [
            {"customer": customer, "meter": meter, "events": counts[customer, meter], "total": f"{total:f}"}
            for (customer, meter), total in sorted(sums.items())
        ]


def _shown(event: Event) -> Object:
    return {
        "lago_id": event.identity,
        "transaction_id": event.transaction,
        "lago_customer_id": None,
        "code": event.code,
        "timestamp": iso(int(event.timestamp), milliseconds=True),
        "precise_total_amount_cents": None,
        "properties": event.properties,
        "lago_subscription_id": None,
        "external_subscription_id": event.subscription,
        "created_at": iso(event.created_at),
    }


def _subscription(identity: str, about: Object, charges: list[Object]) -> Object:
    nothing = dict.fromkeys(_NOTHING)
    return {
        **nothing,
        "lago_id": about["id"],
        "external_id": identity,
        "lago_customer_id": "1a901a90-1a90-1a90-1a93-000000000001",
        "external_customer_id": f"customer-of-{identity}",
        "billing_time": "calendar",
        "plan_code": about["plan"],
        "status": "active",
        "on_termination_credit_note": "credit",
        "on_termination_invoice": "generate",
        "created_at": about["since"],
        "started_at": about["since"],
        "subscription_at": about["since"],
        "plan": {
            "lago_id": "1a901a90-1a90-1a90-1a94-000000000001",
            "name": about["plan"],
            "code": about["plan"],
            "created_at": about["since"],
            "interval": "monthly",
            "amount_cents": 0,
            "amount_currency": "USD",
            "charges": charges,
        },
    }


def _charge(metric: Object) -> Object:
    return {
        "lago_id": metric["lago_id"].replace("1a901a90", "1a901a91", 1),
        "lago_billable_metric_id": metric["lago_id"],
        "billable_metric_code": metric["code"],
        "created_at": metric["created_at"],
        "charge_model": "standard",
        "invoiceable": True,
        "regroup_paid_fees": None,
        "pay_in_advance": False,
        "prorated": False,
        "min_amount_cents": 0,
        "properties": {"amount": "1"},
        "filters": [],
    }


def _instant(request: Request, name: str) -> int | None:
    text = request.one(name)
    try:
        return seconds_of(text) if text else None
    except ValueError:
        raise _invalid({name: ["invalid_date"]}) from None


def _invalid(details: Object) -> Denied:
    about = {"status": 422, "error": "Unprocessable Entity", "code": "validation_errors"}
    return Denied(422, {**about, "error_details": details})


def _missing(thing: str) -> Denied:
    return Denied(404, {"status": 404, "error": "Not Found", "code": f"{thing}_not_found"})
