"""Stripe's routes: from a request to an answer, with authentication and idempotency."""

from __future__ import annotations

import hashlib
import re
import traceback
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from tallystick.sandbox import billing, catalogue, meters
from tallystick.sandbox.clock import Clock
from tallystick.sandbox.refusal import Refusal, missing, whole
from tallystick.sandbox.world import Object, World

Handler = Callable[[World, Object, tuple[str, ...]], Any]

_KEYS = ("[", "]")
_PART = re.compile(r"[^\[\]]+")


def parse_form(text: str) -> Object:
    """Stripe's bracketed form encoding as nested dictionaries; `items[0][price]=x` keeps "0" as a key."""
    params: Object = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        *path, last = _PART.findall(name) or [name]
        at = params
        for part in path:
            at = at.setdefault(part, {})
        at[last] = value
    return params


def encode(answer: Any) -> bytes:
    """JSON with exact numbers: a Decimal is written as the digits it has."""
    return msgspec.json.encode(_public(answer))


def _public(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {name: _public(value) for name, value in answer.items() if not name.startswith("_")}
    if isinstance(answer, list):
        return [_public(value) for value in answer]
    return msgspec.Raw(f"{answer:f}".encode()) if isinstance(answer, Decimal) else answer


class Reply(msgspec.Struct):
    """An answer on its way out."""

    status: int
    body: bytes
    headers: dict[str, str] = {}


class Api:
    """One account: a world per mode, and what was answered under each idempotency key."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.worlds = {"test": World("test", clock), "live": World("live", clock)}
        self._stored: dict[tuple[str, str], tuple[bytes, int, Reply]] = {}
        self._requests = 0
        self.meter_events = 0  # calls of that route, accepted or not

    def handle(
        self, method: str, target: str, headers: dict[str, str], body: bytes, *, fail: bool = False
    ) -> Reply:
        """Answer one request; `fail` makes it a 500 that is stored like any answer."""
        self._requests += 1
        path, _, query = target.partition("?")
        try:
            world = self._authenticate(headers)
            key = headers.get("idempotency-key") if method == "POST" else None
            print_ = hashlib.sha256(path.encode() + b"\0" + body).digest()
            stored = self._replayed(world, key, print_)
            if stored is not None:
                return stored
            reply = self._answer(world, method, path, query, body, fail=fail)
            if key is not None:
                self._stored[world.mode, key] = (print_, self.clock.now(), reply)
        except Refusal as refusal:
            reply = Reply(refusal.status, encode(refusal.body), {"stripe-should-retry": "false"})
        except Exception as error:  # a mistake of the sandbox: say so instead of hanging up
            traceback.print_exc()
            mistake = Refusal(f"sandbox: {type(error).__name__}: {error}", status=500, kind="api_error")
            reply = Reply(500, encode(mistake.body))
        reply.headers.setdefault("request-id", f"req_sandbox{self._requests:08d}")
        return reply

    def _authenticate(self, headers: dict[str, str]) -> World:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        for mode, world in self.worlds.items():
            if scheme == "Bearer" and key.startswith((f"sk_{mode}_", f"rk_{mode}_")) and len(key) >= 12:
                return world
        raise Refusal(f"Invalid API Key provided: {key[:8]}***", status=401, kind="invalid_request_error")

    def _replayed(self, world: World, key: str | None, print_: bytes) -> Reply | None:
        if key is None or (world.mode, key) not in self._stored:
            return None
        before, at, reply = self._stored[world.mode, key]
        if self.clock.now() - at >= 24 * 3600:
            return None
        if before != print_:
            raise Refusal(
                "Keys for idempotent requests can only be used with the same parameters they were first used with.",
                kind="idempotency_error",
            )
        return Reply(reply.status, reply.body, {**reply.headers, "idempotent-replayed": "true"})

    def _answer(self, world: World, method: str, path: str, query: str, body: bytes, *, fail: bool) -> Reply:
        if fail:
            error = Refusal("An unknown error occurred.", status=500, kind="api_error")
            return Reply(500, encode(error.body))
        if path == "/v1/billing/meter_events" and method == "POST":  # the one hot route
            self.meter_events += 1
            return Reply(200, encode(meters.record(world, parse_form(body.decode()))))
        for verb, pattern, handler in ROUTES:
            match = pattern.fullmatch(path)
            if verb == method and match:
                params = parse_form(query if method in ("GET", "DELETE") and query else body.decode())
                return Reply(200, encode(handler(world, params, match.groups())))
        raise Refusal(f"Unrecognized request URL ({method}: {path}).", status=404)


def page(rows: list[Object], params: Object, path: str) -> Object:
    """One page of a list, newest first as Stripe has it."""
    limit = whole(params, "limit") if params.get("limit") else 10
    if not 1 <= limit <= 100:
        raise Refusal("This value must be between 1 and 100.", param="limit")
    ids = [row["id"] for row in rows]
    start, end = 0, len(rows)
    if params.get("starting_after"):
        if params["starting_after"] not in ids:
            raise missing("object", params["starting_after"])
        start = ids.index(params["starting_after"]) + 1
    if params.get("ending_before") in ids:
        end = ids.index(params["ending_before"])
        start = max(0, end - limit)
    return {
        "object": "list",
        "data": rows[start : min(end, start + limit)],
        "has_more": start + limit < end,
        "url": path,
    }


def _listing(kind: str, path: str, *filters: str) -> Handler:
    def listing(world: World, params: Object, _: tuple[str, ...]) -> Object:
        billing.settle(world)
        rows = world.all(kind)[::-1]
        for name in filters:
            if params.get(name) is not None:
                rows = [row for row in rows if _matches(row.get(name), params[name])]
        return page(rows, params, path)

    return listing


def _matches(value: Any, wanted: str) -> bool:
    return str(value).lower() == wanted.lower() if isinstance(value, bool) else value == wanted


def _reading(kind: str, word: str | None = None) -> Handler:
    def reading(world: World, _: Object, ids: tuple[str, ...]) -> Object:
        billing.settle(world)
        found = world.get(kind, ids[0], word)
        if kind == "invoice" and found["status"] == "draft":
            billing.refresh(world, found)
        return found

    return reading


def _items_of(world: World, params: Object, _: tuple[str, ...]) -> Object:
    subscription = world.get("subscription", params.get("subscription", ""))
    return page(subscription["items"]["data"], params, "/v1/subscription_items")


def _update(kind: str, *names: str) -> Handler:
    def update(world: World, params: Object, ids: tuple[str, ...]) -> Object:
        found = world.get(kind, ids[0])
        for name in names:
            if name in params:
                found[name] = {"true": True, "false": False}.get(params[name], params[name])
        return found

    return update


def _route(verb: str, path: str, handler: Handler) -> tuple[str, re.Pattern[str], Handler]:
    return verb, re.compile(path.replace("{id}", "([^/]+)")), handler


ROUTES = [
    _route("POST", "/v1/customers", lambda w, p, i: catalogue.create_customer(w, p)),
    _route("GET", "/v1/customers", _listing("customer", "/v1/customers", "email")),
    _route("GET", "/v1/customers/{id}", _reading("customer")),
    _route("POST", "/v1/customers/{id}", _update("customer", "email", "name", "metadata")),
    _route("DELETE", "/v1/customers/{id}", lambda w, p, i: catalogue.delete_customer(w, i[0])),
    _route("POST", "/v1/products", lambda w, p, i: catalogue.create_product(w, p)),
    _route("GET", "/v1/products", _listing("product", "/v1/products", "active")),
    _route("GET", "/v1/products/{id}", _reading("product")),
    _route("POST", "/v1/prices", lambda w, p, i: catalogue.create_price(w, p)),
    _route("GET", "/v1/prices", _listing("price", "/v1/prices", "product", "lookup_key", "active")),
    _route("GET", "/v1/prices/{id}", _reading("price")),
    _route("POST", "/v1/prices/{id}", _update("price", "active", "nickname", "metadata")),
    _route("POST", "/v1/billing/meters", lambda w, p, i: meters.create(w, p)),
    _route("GET", "/v1/billing/meters", _listing("billing.meter", "/v1/billing/meters", "status")),
    _route("GET", "/v1/billing/meters/{id}", _reading("billing.meter")),
    _route("POST", "/v1/billing/meters/{id}", lambda w, p, i: meters.update(w, i[0], p)),
    _route(
        "POST", "/v1/billing/meters/{id}/deactivate", lambda w, p, i: meters.set_status(w, i[0], "inactive")
    ),
    _route(
        "POST", "/v1/billing/meters/{id}/reactivate", lambda w, p, i: meters.set_status(w, i[0], "active")
    ),
    _route(
        "GET",
        "/v1/billing/meters/{id}/event_summaries",
        lambda w, p, i: page(meters.summaries(w, i[0], p), p, f"/v1/billing/meters/{i[0]}/event_summaries"),
    ),
    _route("POST", "/v1/billing/meter_event_adjustments", lambda w, p, i: meters.adjust(w, p)),
    _route("POST", "/v1/subscriptions", lambda w, p, i: billing.subscribe(w, p)),
    _route("GET", "/v1/subscriptions", _listing("subscription", "/v1/subscriptions", "customer", "status")),
    _route("GET", "/v1/subscriptions/{id}", _reading("subscription")),
    _route("POST", "/v1/subscriptions/{id}", _update("subscription", "cancel_at_period_end", "metadata")),
    _route("DELETE", "/v1/subscriptions/{id}", lambda w, p, i: billing.cancel(w, i[0], p)),
    _route("GET", "/v1/subscription_items", _items_of),
    _route("GET", "/v1/subscription_items/{id}", _reading("subscription_item")),
    _route("GET", "/v1/invoices", _listing("invoice", "/v1/invoices", "customer", "status")),
    _route("POST", "/v1/invoices/create_preview", lambda w, p, i: billing.preview(w, p)),
    _route("GET", "/v1/invoices/{id}", _reading("invoice")),
    _route("POST", "/v1/invoices/{id}", lambda w, p, i: billing.update_invoice(w, i[0], p)),
    _route(
        "POST",
        "/v1/invoices/{id}/finalize",
        lambda w, p, i: billing.finalize_now(w, i[0]),
    ),
]
