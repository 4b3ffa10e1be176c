"""Which handler answers which call."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tallystick.sandbox.billing import catalogue, invoiceitems, invoices, items, subscriptions, testclocks
from tallystick.sandbox.forms import plain
from tallystick.sandbox.notices import destinations, events
from tallystick.sandbox.paging import page, page_v2
from tallystick.sandbox.refusal import Refusal
from tallystick.sandbox.settlement import settle
from tallystick.sandbox.usage import legacy, meters, record, stream, summaries
from tallystick.sandbox.world import Object, World

Handler = Callable[[World, Object, tuple[str, ...]], Any]


def find(method: str, path: str) -> tuple[Handler, tuple[str, ...]]:
    """The handler of a call and the ids in its path; Stripe's 404 when there is none."""
    for verb, pattern, handler in ROUTES:
        match = pattern.fullmatch(path)
        if verb == method and match:
            return handler, match.groups()
    raise Refusal(f"Unrecognized request URL ({method}: {path}).", status=404)


def _listing(kind: str, path: str, *filters: str) -> Handler:
    def listing(world: World, params: Object, _: tuple[str, ...]) -> Object:
        settle(world)
        rows = world.all(kind)[::-1]
        if kind == "subscription" and params.get("status") is None:
            rows = [row for row in rows if row["status"] != "canceled"]
        for name in filters:
            if params.get(name) is not None and (name, params[name]) != ("status", "all"):
                rows = [row for row in rows if _matches(_field(row, name), params[name])]
        found = page(rows, params, path)
        for row in found["data"]:
            _freshen(world, row)
        return found

    return listing


def _field(row: Object, name: str) -> Any:
    if name == "subscription" and row["object"] == "invoice":
        return ((row["parent"] or {}).get("subscription_details") or {}).get("subscription")
    return row.get(name)


def _matches(value: Any, wanted: str) -> bool:
    return str(value).lower() == wanted.lower() if isinstance(value, bool) else value == wanted


def _freshen(world: World, found: Object) -> None:
    """A draft is shown with the newest usage."""
    if found["object"] == "invoice" and found["status"] == "draft":
        invoices.refresh(world, found)


def _reading(kind: str, word: str | None = None) -> Handler:
    def reading(world: World, _: Object, ids: tuple[str, ...]) -> Object:
        settle(world)
        trace: Object | None = world.objects.get(f"deleted_{kind}", {}).get(ids[0])
        if trace is not None and kind == "customer":
            return trace  # Stripe goes on answering for these
        found = world.get(kind, ids[0], word)
        _freshen(world, found)
        return found

    return reading


def _items_of(world: World, params: Object, _: tuple[str, ...]) -> Object:
    settle(world)
    subscription = world.get("subscription", params.get("subscription", ""))
    return page(subscription["items"]["data"], params, "/v1/subscription_items")


def _lines_of(world: World, params: Object, ids: tuple[str, ...]) -> Object:
    settle(world)
    invoice = world.get("invoice", ids[0])
    _freshen(world, invoice)
    return page(invoice["lines"]["data"], params, f"/v1/invoices/{ids[0]}/lines")


def _update(kind: str, *names: str) -> Handler:
    def update(world: World, params: Object, ids: tuple[str, ...]) -> Object:
        found = world.get(kind, ids[0])
        for name in names:
            if name in params:
                found[name] = plain(params[name])
        return found

    return update


def _settled(handler: Handler) -> Handler:
    def settled(world: World, params: Object, ids: tuple[str, ...]) -> Any:
        settle(world)
        return handler(world, params, ids)

    return settled


def _route(verb: str, path: str, handler: Handler) -> tuple[str, re.Pattern[str], Handler]:
    return verb, re.compile(path.replace("{id}", "([^/]+)")), handler


CATALOGUE = [
    _route("POST", "/v1/customers", lambda w, p, i: catalogue.create_customer(w, p)),
    _route("GET", "/v1/customers", _listing("customer", "/v1/customers", "email", "test_clock")),
    _route("GET", "/v1/customers/{id}", _reading("customer")),
    _route("POST", "/v1/customers/{id}", _update("customer", "email", "name", "metadata")),
    _route("DELETE", "/v1/customers/{id}", lambda w, p, i: testclocks.remove_customer(w, i[0])),
    _route("POST", "/v1/products", lambda w, p, i: catalogue.create_product(w, p)),
    _route("GET", "/v1/products", _listing("product", "/v1/products", "active")),
    _route("GET", "/v1/products/{id}", _reading("product")),
    _route("POST", "/v1/products/{id}", lambda w, p, i: catalogue.update_product(w, i[0], p)),
    _route("POST", "/v1/prices", lambda w, p, i: catalogue.create_price(w, p)),
    _route("GET", "/v1/prices", _listing("price", "/v1/prices", "product", "lookup_key", "active")),
    _route("GET", "/v1/prices/{id}", _reading("price")),
    _route("POST", "/v1/prices/{id}", _update("price", "active", "nickname", "metadata")),
]
_METERS = "/v1/billing/meters"
USAGE = [
    _route("POST", _METERS, lambda w, p, i: meters.create(w, p)),
    _route("GET", _METERS, _listing("billing.meter", _METERS, "status")),
    _route("GET", _METERS + "/{id}", _reading("billing.meter")),
    _route("POST", _METERS + "/{id}", lambda w, p, i: meters.update(w, i[0], p)),
    _route("POST", _METERS + "/{id}/deactivate", lambda w, p, i: meters.set_status(w, i[0], "inactive")),
    _route("POST", _METERS + "/{id}/reactivate", lambda w, p, i: meters.set_status(w, i[0], "active")),
    _route(
        "GET",
        _METERS + "/{id}/event_summaries",
        lambda w, p, i: page(summaries.summaries(w, i[0], p), p, f"{_METERS}/{i[0]}/event_summaries"),
    ),
    _route("POST", "/v1/billing/meter_event_adjustments", lambda w, p, i: record.adjust(w, p)),
    _route("POST", "/v2/billing/meter_events", lambda w, p, i: record.record_v2(w, p)),
    _route("POST", "/v2/billing/meter_event_adjustments", lambda w, p, i: record.adjust_v2(w, p)),
    _route("POST", "/v2/billing/meter_event_session", lambda w, p, i: stream.open_session(w, p)),
]
_ENDPOINTS, _DESTINATIONS = "/v1/webhook_endpoints", "/v2/core/event_destinations"
NOTICES = [
    _route("GET", "/v1/events", _settled(lambda w, p, i: page(events.snapshot_rows(w, p), p, "/v1/events"))),
    _route("GET", "/v1/events/{id}", _reading("event")),
    _route(
        "GET",
        "/v2/core/events",
        _settled(lambda w, p, i: page_v2(events.thin_rows(w, p), p, "/v2/core/events")),
    ),
    _route("GET", "/v2/core/events/{id}", _settled(lambda w, p, i: events.read_thin(w, i[0]))),
    _route("POST", _ENDPOINTS, lambda w, p, i: destinations.create_endpoint(w, p)),
    _route("GET", _ENDPOINTS, _listing("webhook_endpoint", _ENDPOINTS)),
    _route("GET", _ENDPOINTS + "/{id}", _reading("webhook_endpoint", "webhook endpoint")),
    _route("POST", _ENDPOINTS + "/{id}", lambda w, p, i: destinations.update_endpoint(w, i[0], p)),
    _route("DELETE", _ENDPOINTS + "/{id}", lambda w, p, i: w.remove("webhook_endpoint", i[0])),
    _route("POST", _DESTINATIONS, lambda w, p, i: destinations.create_destination(w, p)),
    _route(
        "GET",
        _DESTINATIONS,
        lambda w, p, i: page_v2(
            [destinations.shown(d, p) for d in w.all(destinations.V2)[::-1]], p, _DESTINATIONS
        ),
    ),
    _route("GET", _DESTINATIONS + "/{id}", lambda w, p, i: destinations.read_destination(w, i[0], p)),
    _route("POST", _DESTINATIONS + "/{id}", lambda w, p, i: destinations.update_destination(w, i[0], p)),
    _route("DELETE", _DESTINATIONS + "/{id}", lambda w, p, i: destinations.delete_destination(w, i[0])),
    _route(
        "POST",
        _DESTINATIONS + "/{id}/enable",
        lambda w, p, i: destinations.switch_destination(w, i[0], "enabled"),
    ),
    _route(
        "POST",
        _DESTINATIONS + "/{id}/disable",
        lambda w, p, i: destinations.switch_destination(w, i[0], "disabled"),
    ),
    _route("POST", _DESTINATIONS + "/{id}/ping", lambda w, p, i: destinations.ping(w, i[0])),
]
_SUBSCRIPTIONS, _ITEMS = "/v1/subscriptions", "/v1/subscription_items"
SUBSCRIPTIONS = [
    _route("POST", _SUBSCRIPTIONS, _settled(lambda w, p, i: subscriptions.subscribe(w, p))),
    _route(
        "GET", _SUBSCRIPTIONS, _listing("subscription", _SUBSCRIPTIONS, "customer", "status", "test_clock")
    ),
    _route("GET", _SUBSCRIPTIONS + "/{id}", _reading("subscription")),
    _route("POST", _SUBSCRIPTIONS + "/{id}", _settled(lambda w, p, i: subscriptions.update(w, i[0], p))),
    _route("DELETE", _SUBSCRIPTIONS + "/{id}", _settled(lambda w, p, i: subscriptions.cancel(w, i[0], p))),
    _route("GET", _ITEMS, _items_of),
    _route("POST", _ITEMS, _settled(lambda w, p, i: items.create(w, p))),
    _route("GET", _ITEMS + "/{id}", _reading("subscription_item")),
    _route("POST", _ITEMS + "/{id}", _settled(lambda w, p, i: items.update(w, i[0], p))),
    _route("DELETE", _ITEMS + "/{id}", _settled(lambda w, p, i: items.remove(w, i[0], p))),
    _route("POST", _ITEMS + "/{id}/usage_records", _settled(lambda w, p, i: legacy.record(w, i[0], p))),
    _route(
        "GET",
        _ITEMS + "/{id}/usage_record_summaries",
        _settled(
            lambda w, p, i: page(legacy.summaries(w, i[0], p), p, f"{_ITEMS}/{i[0]}/usage_record_summaries")
        ),
    ),
]
_INVOICES, _SINGLE = "/v1/invoices", "/v1/invoiceitems"
INVOICES = [
    _route("GET", _INVOICES, _listing("invoice", _INVOICES, "customer", "status", "subscription")),
    _route("POST", _INVOICES, _settled(lambda w, p, i: invoices.create(w, p))),
    _route("POST", _INVOICES + "/create_preview", _settled(lambda w, p, i: subscriptions.preview(w, p))),
    _route("GET", _INVOICES + "/{id}", _reading("invoice")),
    _route("POST", _INVOICES + "/{id}", _settled(lambda w, p, i: invoices.update(w, i[0], p))),
    _route("DELETE", _INVOICES + "/{id}", _settled(lambda w, p, i: invoices.delete(w, i[0]))),
    _route("GET", _INVOICES + "/{id}/lines", _lines_of),
    _route("POST", _INVOICES + "/{id}/finalize", _settled(lambda w, p, i: invoices.finalize_now(w, i[0]))),
    _route("POST", _INVOICES + "/{id}/pay", _settled(lambda w, p, i: invoices.finish(w, i[0], "paid"))),
    _route("POST", _INVOICES + "/{id}/void", _settled(lambda w, p, i: invoices.finish(w, i[0], "void"))),
    _route(
        "POST",
        _INVOICES + "/{id}/mark_uncollectible",
        _settled(lambda w, p, i: invoices.finish(w, i[0], "uncollectible")),
    ),
    _route("POST", _SINGLE, _settled(lambda w, p, i: invoiceitems.create(w, p))),
    _route("GET", _SINGLE, _listing("invoiceitem", _SINGLE, "customer", "invoice")),
    _route("GET", _SINGLE + "/{id}", _reading("invoiceitem")),
    _route("POST", _SINGLE + "/{id}", _settled(lambda w, p, i: invoiceitems.update(w, i[0], p))),
    _route("DELETE", _SINGLE + "/{id}", _settled(lambda w, p, i: invoiceitems.delete(w, i[0]))),
]
_CLOCKS = "/v1/test_helpers/test_clocks"
CLOCKS = [
    _route("POST", _CLOCKS, lambda w, p, i: testclocks.create(w, p)),
    _route("GET", _CLOCKS, _listing(testclocks.KIND, _CLOCKS)),
    _route("GET", _CLOCKS + "/{id}", _reading(testclocks.KIND)),
    _route("POST", _CLOCKS + "/{id}/advance", lambda w, p, i: testclocks.advance(w, i[0], p)),
    _route("DELETE", _CLOCKS + "/{id}", lambda w, p, i: testclocks.delete(w, i[0])),
]
ROUTES = [*CATALOGUE, *USAGE, *NOTICES, *SUBSCRIPTIONS, *INVOICES, *CLOCKS]
