"""Subscriptions: anchors, a period per item, what happens when one ends, cancelling.

Sources: Stripe's "How subscriptions work", "Billing cycle", "Mixed interval subscriptions", "Cancel subscriptions".
A start in the past brings the periods since then, each with its invoice (a rule of the sandbox).
"""

from __future__ import annotations

from tallystick.sandbox.billing import invoices, items, lines, periods
from tallystick.sandbox.forms import maps, plain
from tallystick.sandbox.notices import events
from tallystick.sandbox.refusal import mapping, required, second, text
from tallystick.sandbox.world import Object, World


def subscribe(world: World, params: Object) -> Object:
    """POST /v1/subscriptions."""
    required(params, "customer", "items")
    customer = world.get("customer", params["customer"])
    now = world.now_of(customer["id"])
    start = second(params, "backdate_start_date", now)
    anchor = second(params, "billing_cycle_anchor", start)
    given = [items.checked(world, each) for each in maps(params, "items")]
    fields = _fields(params, anchor, start)
    subscription = world.add("subscription", "sub", {**fields, "test_clock": customer.get("test_clock")})
    rows = [items.add(world, subscription, price, quantity) for price, quantity in given]
    subscription["currency"] = rows[0]["price"]["currency"]
    subscription["items"] = {
        "object": "list",
        "data": rows,
        "has_more": False,
        "url": f"/v1/subscription_items?subscription={subscription['id']}",
    }
    for row in rows:
        periods.begin(subscription, row, start)
    events.emit(world, "customer.subscription.created", subscription)
    _first_invoice(world, subscription, now)
    return subscription


def _fields(params: Object, anchor: int, start: int) -> Object:
    mode = text(mapping(params, "billing_mode"), "type", "flexible")
    return {
        "customer": params["customer"],
        "billing_cycle_anchor": anchor,
        "start_date": start,
        "status": "active",
        "cancel_at": second(params, "cancel_at") or None,
        "cancel_at_period_end": bool(plain(params.get("cancel_at_period_end", "false"))),
        "canceled_at": None,
        "ended_at": None,
        "collection_method": params.get("collection_method") or "charge_automatically",
        "automatic_tax": {"enabled": False, "disabled_reason": None, "liability": None},
        "billing_mode": {"type": mode},
        "billing_schedules": [],
        "discounts": [],
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "latest_invoice": None,
        "metadata": params.get("metadata") or {},
        "pause_collection": None,
        "_closed": [],  # usage at an earlier price, for the next invoice
    }


def _first_invoice(world: World, subscription: Object, now: int) -> None:
    """Licensed items are paid ahead; classic billing shows metered ones with a zero line. Final at once."""
    rows = subscription["items"]["data"]
    classic = subscription["billing_mode"]["type"] == "classic"
    specs = []
    for row in rows:
        start, end = row["current_period_start"], row["current_period_end"]
        if not lines.is_metered(row):
            specs.append(lines.fixed_of(row, start, end, periods.share(subscription, row)))
        elif classic:
            specs.append({**lines.usage_of(row, end), "zero": True})
    if not specs:
        return
    start = subscription["start_date"]
    invoice = invoices.draft(world, subscription, now, specs, "subscription_create", start, now)
    if subscription["collection_method"] == "charge_automatically":
        invoices.finalize(world, invoice, now)


def roll(world: World, subscription: Object) -> int | None:
    """Do what is due on a subscription; when the next thing is."""
    now = world.now_of(subscription["customer"])
    while subscription["status"] == "active":
        rows = subscription["items"]["data"]
        end: int = min((row["current_period_end"] for row in rows), default=2**62)
        ending: int | None = subscription["cancel_at"]
        if ending is not None and ending <= min(now, end):
            _end(world, subscription, ending)
            return None
        if end > now:
            return min([end, *([ending] if ending else []), *_announce(world, subscription, end, now)])
        if subscription["cancel_at_period_end"]:
            _end(world, subscription, end)
            return None
        _renew(world, subscription, [row for row in rows if row["current_period_end"] == end], end)
    return None


def _renew(world: World, subscription: Object, rows: list[Object], end: int) -> None:
    """Draft the invoice of a boundary: usage of the periods that end, fixed amounts of those that begin."""
    specs = subscription["_closed"] + [lines.usage_of(row, end) for row in rows if lines.is_metered(row)]
    start = min(row["current_period_start"] for row in rows)
    for row in rows:
        periods.advance(subscription, row)
        if not lines.is_metered(row):
            specs.append(lines.fixed_of(row, row["current_period_start"], row["current_period_end"]))
    subscription["_closed"] = []
    invoices.draft(world, subscription, end, specs, "subscription_cycle", start, end)
    events.emit(world, "customer.subscription.updated", subscription)


def _announce(world: World, subscription: Object, end: int, now: int) -> list[int]:
    """Fire `invoice.upcoming` some days before a renewal; when that is, if it is still to come."""
    at = end - world.switches.upcoming_days * 86400
    if not world.switches.upcoming_days or subscription.get("_upcoming") == end:
        return []
    if at > now:
        return [at]
    subscription["_upcoming"] = end
    if events.wanted(world, "invoice.upcoming"):
        events.emit(world, "invoice.upcoming", invoices_ahead(world, subscription))
    return []


def _end(world: World, subscription: Object, at: int) -> None:
    """The last invoice, with all usage so far, and no later one for stragglers."""
    rows = [row for row in subscription["items"]["data"] if lines.is_metered(row)]
    specs = subscription["_closed"] + [lines.usage_of(row, at) for row in rows]
    subscription["_closed"] = []
    start = min((row["current_period_start"] for row in rows), default=at)
    invoices.draft(world, subscription, at, specs, "subscription_cycle", start, at)
    _canceled(world, subscription, at)


def _canceled(world: World, subscription: Object, at: int) -> None:
    subscription.update(status="canceled", canceled_at=at, ended_at=at)
    events.emit(world, "customer.subscription.deleted", subscription)


def cancel(world: World, identity: str, params: Object) -> Object:
    """DELETE /v1/subscriptions/{id}: without invoice_now un-invoiced usage is dropped."""
    subscription = world.get("subscription", identity)
    drop(world, subscription, invoice_now=bool(plain(params.get("invoice_now", "false"))))
    return subscription


def drop(world: World, subscription: Object, *, invoice_now: bool) -> None:
    """End a subscription at once."""
    now = world.now_of(subscription["customer"])
    if invoice_now:
        rows = [row for row in subscription["items"]["data"] if lines.is_metered(row)]
        specs = subscription["_closed"] + [lines.usage_of(row, now) for row in rows]
        start = min((row["current_period_start"] for row in rows), default=now)
        invoices.draft(world, subscription, now, specs, "subscription_update", start, now)
    _canceled(world, subscription, now)


def update(world: World, identity: str, params: Object) -> Object:
    """POST /v1/subscriptions/{id}: items, cancelling later, pausing collection, a new anchor now."""
    subscription = world.get("subscription", identity)
    for name in ("metadata", "description"):
        subscription[name] = params.get(name, subscription.get(name))
    if "cancel_at" in params:
        subscription["cancel_at"] = second(params, "cancel_at") or None
    if "cancel_at_period_end" in params:
        subscription["cancel_at_period_end"] = plain(params["cancel_at_period_end"]) is True
    if "pause_collection" in params:
        subscription["pause_collection"] = invoices.check_behavior(mapping(params, "pause_collection"))
    for given in maps(params, "items") if "items" in params else ():
        items.change(world, subscription, given)
    if params.get("billing_cycle_anchor") == "now":
        _anchor_now(world, subscription)
    world.touch()
    events.emit(world, "customer.subscription.updated", subscription)
    return subscription


def _anchor_now(world: World, subscription: Object) -> None:
    """Close the running periods now, bill them, and begin new ones."""
    now = world.now_of(subscription["customer"])
    rows = subscription["items"]["data"]
    specs = subscription["_closed"] + [lines.usage_of(row, now) for row in rows if lines.is_metered(row)]
    subscription["_closed"] = []
    start = min(row["current_period_start"] for row in rows)
    subscription["billing_cycle_anchor"] = now
    for row in rows:
        periods.begin(subscription, row, now)
        if not lines.is_metered(row):
            specs.append(lines.fixed_of(row, now, row["current_period_end"]))
    invoices.draft(world, subscription, now, specs, "subscription_update", start, now)


def preview(world: World, params: Object) -> Object:
    """POST /v1/invoices/create_preview: what the running period would cost now."""
    return invoices_ahead(world, world.get("subscription", params.get("subscription", "")))


def invoices_ahead(world: World, subscription: Object) -> Object:
    """The invoice that the next boundary would bring, with the usage so far."""
    rows = subscription["items"]["data"]
    end = min(row["current_period_end"] for row in rows)
    ending = [row for row in rows if row["current_period_end"] == end]
    specs = subscription["_closed"] + [lines.usage_of(row, end) for row in ending if lines.is_metered(row)]
    for row in ending:
        if not lines.is_metered(row):
            ahead = dict(row)
            periods.advance(subscription, ahead)
            specs.append(lines.fixed_of(row, end, ahead["current_period_end"]))
    start = min(row["current_period_start"] for row in ending)
    return invoices.ahead(world, subscription, specs, start, end)
