"""A stand-in for OpenMeter: events, meters, queries, customers.

Written from its OpenAPI description and configuration reference. What is accepted, what is stored and
what is counted are three things here, as they are there: an event is answered with 204 as soon as its
form is right, is stored some time later, and counts where a meter can read it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
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

DAY = 86400
_REQUIRED = ("id", "source", "specversion", "type", "subject")
_WINDOWS = {"MINUTE": 60, "HOUR": 3600, "DAY": DAY}
_KINDS = ("application/json", "application/cloudevents+json", "application/cloudevents-batch+json")


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    """How this OpenMeter is configured, and what it does wrong.

    `key`: the token it wants ("" wants none). `deduplicate_seconds`: 0 is its default, off.
    `stored_after_seconds`: the way through its queue. `decimal_precision`: add up exactly (the result
    is a double either way). `swallow`: so many of the next events are answered with 204 and lost.
    `claims_first`: an id is remembered before its event is queued, so that a failure in between eats it.
    """

    key: str = ""
    deduplicate_seconds: int = 0
    stored_after_seconds: int = 0
    decimal_precision: bool = False
    swallow: int = 0
    claims_first: bool = False


class Stored(msgspec.Struct):
    """An event that was taken in."""

    about: Object
    time: int
    received_at: int


class OpenMeter:
    """One namespace."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.settings = Settings()
        self._events: list[Stored] = []
        self._claimed: dict[tuple[str, str], int] = {}
        self._meters: dict[str, Object] = {}
        self._customers: list[Object] = []
        self._ids = 0
        self._routes: tuple[Route, ...] = (
            ("POST", "/api/v1/events", self._ingest),
            ("GET", "/api/v1/events", self._list_events),
            ("GET", "/api/v1/meters", lambda request, _: (200, list(self._meters.values()))),
            ("POST", "/api/v1/meters", self._create_meter),
            ("GET", "/api/v1/meters/*", lambda request, name: (200, self._meter(name))),
            ("GET", "/api/v1/meters/*/query", self._query),
            ("GET", "/api/v1/customers", self._list_customers),
        )

    def handle(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """Answer one request."""
        if self.settings.key and bearer(headers) != self.settings.key:
            return _problem_reply(401, "Unauthorized", "invalid or missing token")
        return answer(
            taken_apart(method, target, headers, body),
            self._routes,
            _problem(404, "Not Found", "the sandbox does not know this path"),
        )

    def limited(self) -> Reply:
        """Too many requests."""
        reply = _problem_reply(429, "Too Many Requests", "rate limit exceeded")
        reply.headers["retry-after"] = "1"
        return reply

    def failed(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """Nothing is queued; with `claims_first` the ids are remembered all the same."""
        if self.settings.claims_first and method == "POST" and target.startswith("/api/v1/events"):
            with suppress(Denied):
                for about in self._read(taken_apart(method, target, headers, body)):
                    self._claimed.setdefault((about["source"], about["id"]), self._clock.now())
        return _problem_reply(500, "Internal Server Error", "could not be queued")

    def command(self, body: Object) -> Any:
        """Change settings, make meters and customers (by subject or key: the plan, or null); raw totals."""
        if "settings" in body:
            now = msgspec.structs.asdict(self.settings)
            self.settings = msgspec.convert({**now, **body["settings"]}, Settings)
        for name in body.get("meters", ()):
            self._add_meter(
                {"slug": name, "eventType": name, "aggregation": "SUM", "valueProperty": "$.value"}
            )
        for subject, plan in body.get("customers", {}).items():
            self._add_customer(plan, {"name": subject, "usageAttribution": {"subjectKeys": [subject]}})
        for key, plan in body.get("keys", {}).items():
            self._add_customer(plan, {"name": key, "key": key})
        return {"totals": self._totals(), "events": len(self._events)}

    # Events

    def _ingest(self, request: Request, _: str) -> tuple[int, Any]:
        now = self._clock.now()
        for about in self._read(request):
            name = (about["source"], about["id"])
            before = self._claimed.get(name)
            window = self.settings.deduplicate_seconds
            if window and before is not None and now - before < window:
                continue  # a repeat: answered like the first
            self._claimed[name] = now
            if self.settings.swallow:
                self.settings.swallow -= 1
                continue
            time = seconds_of(about["time"]) if about.get("time") else now
            self._events.append(Stored(about, time, now))
        return 204, None

    def _read(self, request: Request) -> list[Object]:
        kind = request.headers.get("content-type", "")
        if kind not in _KINDS:
            raise _bad(f"invalid content type: {kind}")
        try:
            found = exact_json(request.body)
        except ValueError as error:
            raise _bad(f"invalid event: {error}") from None
        many = isinstance(found, list)
        events: list[Object] = found if many else [found]
        if kind != _KINDS[0] and many != (kind == _KINDS[2]):
            raise _bad(f"invalid event: not the form of {kind}")
        if not events:
            raise _bad("no events found")
        for about in events:
            _check(about)
        return events

    def _visible(self) -> Iterable[Stored]:
        by = self._clock.now() - self.settings.stored_after_seconds
        return (event for event in self._events if event.received_at <= by)

    def _list_events(self, request: Request, _: str) -> tuple[int, Any]:
        now = self._clock.now()
        since = _instant(request, "from", now - 3 * DAY)
        until = _instant(request, "to", now + DAY)
        limit = int(request.one("limit", "100"))
        if since < now - 32 * DAY:
            raise _bad("from must not be more than 32 days ago")
        if not 1 <= limit <= 100:
            raise _bad("limit must be between 1 and 100")
        identity, subject = request.one("id"), request.one("subject")
        found = [
            event
            for event in self._visible()
            if since <= event.time < until
            and identity in event.about["id"]
            and subject in event.about["subject"]
        ]
        return 200, [self._listed(event) for event in found[::-1][:limit]]

    def _listed(self, event: Stored) -> Object:
        shown = {
            "event": {**event.about, "time": iso(event.time)},
            "ingestedAt": iso(event.received_at),
            "storedAt": iso(event.received_at + self.settings.stored_after_seconds),
        }
        if not any(m["eventType"] == event.about["type"] for m in self._meters.values()):
            shown["validationError"] = f"no meter found for event type: {event.about['type']}"
        return shown

    # Meters

    def _create_meter(self, request: Request, _: str) -> tuple[int, Any]:
        body = exact_json(request.body)
        if any(not body.get(name) for name in ("slug", "aggregation", "eventType")):
            raise _bad("slug, aggregation and eventType are required")
        if body["slug"] in self._meters:
            raise Denied(409, _problem(409, "Conflict", f"meter {body['slug']} exists"))
        return 201, self._add_meter(body)

    def _add_meter(self, body: Object) -> Object:
        if body["aggregation"] not in _AGGREGATES:
            raise _bad(f"the sandbox does not aggregate {body['aggregation']}")
        now = iso(self._clock.now())
        made = {"name": body["slug"], "groupBy": {}, **body, "createdAt": now, "updatedAt": now}
        self._meters[body["slug"]] = {"id": self._new_id(), **made}
        return self._meters[body["slug"]]

    def _meter(self, name: str) -> Object:
        for meter in self._meters.values():
            if name in (meter["slug"], meter["id"]):
                return meter
        raise Denied(404, _problem(404, "Not Found", f"meter not found: {name}"))

    def _query(self, request: Request, name: str) -> tuple[int, Any]:
        meter = self._meter(name)
        since, until = _instant(request, "from", 0), _instant(request, "to", self._clock.now() + 1)
        size = request.one("windowSize")
        if size and size not in _WINDOWS:
            raise _bad(f"the sandbox knows no windowSize {size}")
        subjects = request.query.get("subject", [])
        rows: dict[tuple[int, str], list[Stored]] = {}
        for event in self._visible():
            about = event.about
            wanted = about["type"] == meter["eventType"] and (not subjects or about["subject"] in subjects)
            if wanted and since <= event.time < until:
                start = event.time // _WINDOWS[size] * _WINDOWS[size] if size else 0
                rows.setdefault((start, about["subject"] if subjects else ""), []).append(event)
        data = [self._row(meter, subject, size, events) for (_, subject), events in sorted(rows.items())]
        found = {"from": iso(since), "to": iso(until), "data": [row for row in data if row]}
        return 200, {**found, "windowSize": size} if size else found

    def _row(self, meter: Object, subject: str, size: str, events: list[Stored]) -> Object | None:
        read = [_value(event.about, meter["valueProperty"]) for event in events]
        values = [value for value in read if value is not None]
        if not values and meter["aggregation"] != "COUNT":
            return None
        width = _WINDOWS.get(size, 60)  # without a window the ends are rounded to the minute
        times = [event.time for event in events]
        doubles = values if self.settings.decimal_precision else [float(value) for value in values]
        return {
            "value": float(_AGGREGATES[meter["aggregation"]](doubles)),
            "windowStart": iso(min(times) // width * width),
            "windowEnd": iso((max(times) // width + 1) * width),
            "subject": subject or None,
            "groupBy": {},
        }

    # Customers

    def _list_customers(self, request: Request, _: str) -> tuple[int, Any]:
        subject, key = request.one("subject").lower(), request.one("key").lower()
        page, size = int(request.one("page", "1")), int(request.one("pageSize", "100"))
        found = [
            customer
            for customer in self._customers
            if (not subject or any(subject in each.lower() for each in _subjects(customer)))
            and key in customer.get("key", "").lower()
        ]
        shown = found[(page - 1) * size : page * size]
        return 200, {"items": shown, "page": page, "pageSize": size, "totalCount": len(found)}

    def _add_customer(self, plan: str | None, about: Object) -> None:
        now = iso(self._clock.now())
        made = {"id": self._new_id(), "createdAt": now, "updatedAt": now, **about}
        if plan:
            made["currentSubscriptionId"] = self._new_id()
        self._customers.append(made)

    def _new_id(self) -> str:
        self._ids += 1
        return f"01JSANDB0X{self._ids:016d}"

    def _totals(self) -> list[Object]:
        """Every stored event's value added up exactly, whoever may read it."""
        sums: dict[tuple[str, str], Decimal] = {}
        counts: dict[tuple[str, str], int] = {}
        for event in self._events:
            name = (event.about["subject"], event.about["type"])
            sums[name] = sums.get(name, Decimal(0)) + (_value(event.about, "$.value") or 0)
            counts[name] = counts.get(name, 0) + 1
        return [
            {"customer": customer, "meter": meter, "events": counts[customer, meter], "total": f"{total:f}"}
            for (customer, meter), total in sorted(sums.items())
        ]


def _subjects(customer: Object) -> list[str]:
    found: list[str] = customer.get("usageAttribution", {}).get("subjectKeys", [])
    return found


def _latest(values: list[Any]) -> Any:
    return values[-1]


_AGGREGATES: dict[str, Callable[[list[Any]], Any]] = {
    "SUM": sum,
    "COUNT": len,
    "MIN": min,
    "MAX": max,
    "LATEST": _latest,
}


def _value(about: Object, path: str) -> Decimal | None:
    found = (about.get("data") or {}).get(path.removeprefix("$."))
    try:
        value = Decimal(str(found))
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def _check(about: Any) -> None:
    if not isinstance(about, dict):
        raise _bad("invalid event: an event is an object")
    for name in _REQUIRED:
        if not isinstance(about.get(name), str) or not about[name]:
            raise _bad(f"invalid event: {name} is required")
    if about["specversion"] != "1.0":
        raise _bad(f"invalid event: specversion {about['specversion']}")
    if about.get("data") is not None and not isinstance(about["data"], dict):
        raise _bad("invalid event: data is an object")
    if about.get("time") is not None:
        try:
            seconds_of(about["time"])
        except ValueError as error:
            raise _bad(f"invalid event: time: {error}") from None


def _instant(request: Request, name: str, default: int) -> int:
    text = request.one(name)
    try:
        return seconds_of(text) if text else default
    except ValueError as error:
        raise _bad(f"{name}: {error}") from None


def _problem(status: int, title: str, detail: str) -> Object:
    instance = "urn:request:sandbox"
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, "instance": instance}


def _problem_reply(status: int, title: str, detail: str) -> Reply:
    return Reply(status, encode(_problem(status, title, detail)), {})


def _bad(detail: str) -> Denied:
    return Denied(400, _problem(400, "Bad Request", detail))
