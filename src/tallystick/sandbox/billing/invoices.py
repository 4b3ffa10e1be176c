"""Subscriptions, their periods, and invoices: draft at period end, final after the draft window.

Sources: Stripe's "How subscriptions work", "Configure grace period", "Invoicing workflow transitions".
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tallystick.sandbox.billing.pricing import amount
from tallystick.sandbox.notices import events as notices
from tallystick.sandbox.refusal import Refusal, required
from tallystick.sandbox.world import Object, World

_SECONDS = {"day": 86400, "week": 7 * 86400}


def boundary(anchor: int, interval: str, count: int, number: int) -> int:
    """The start of the period with that number; anchors on day 29 to 31 fall on short months' last day."""
    if interval in _SECONDS:
        return anchor + number * count * _SECONDS[interval]
    moment = datetime.fromtimestamp(anchor, UTC)
    months = moment.month - 1 + number * count * (12 if interval == "year" else 1)
    year, month = moment.year + months // 12, months % 12 + 1
    day = min(moment.day, monthrange(year, month)[1])
    return int(moment.replace(year=year, month=month, day=day).timestamp())


def subscribe(world: World, params: Object) -> Object:
    """POST /v1/subscriptions."""
    required(params, "customer", "items")
    world.get("customer", params["customer"])
    now = world.clock.now()
    start = int(params.get("backdate_start_date") or now)
    anchor = int(params.get("billing_cycle_anchor") or start)
    given = params["items"]
    items = [given[key] for key in sorted(given, key=int)] if isinstance(given, dict) else given
    subscription = world.add("subscription", "sub", _subscription_fields(params, anchor, start))
    rows = [_item(world, subscription, item) for item in items]
    subscription["currency"] = rows[0]["price"]["currency"]
    subscription["items"] = {
        "object": "list",
        "data": rows,
        "has_more": False,
        "url": f"/v1/subscription_items?subscription={subscription['id']}",
    }
    subscription["_number"] = 0
    _set_period(subscription)
    settle(world)
    return subscription


def _subscription_fields(params: Object, anchor: int, start: int) -> Object:
    return {
        "customer": params["customer"],
        "billing_cycle_anchor": anchor,
        "start_date": start,
        "status": "active",
        "cancel_at_period_end": _plain(params.get("cancel_at_period_end", "false")),
        "canceled_at": None,
        "ended_at": None,
        "collection_method": "charge_automatically",
        "automatic_tax": {"enabled": False, "disabled_reason": None, "liability": None},
        "billing_mode": {"type": "flexible"},
        "billing_schedules": [],
        "discounts": [],
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "latest_invoice": None,
        "metadata": params.get("metadata") or {},
    }


def _item(world: World, subscription: Object, params: Object) -> Object:
    price = world.get("price", params.get("price", ""))
    if price["recurring"] is None:
        raise Refusal("The price is not recurring.", param="items[price]")
    if params.get("quantity") is not None and price["recurring"]["usage_type"] == "metered":
        raise Refusal("Quantity is not allowed for metered prices.", param="items[quantity]")
    item = world.add(
        "subscription_item",
        "si",
        {"price": price, "subscription": subscription["id"], "discounts": [], "tax_rates": []},
    )
    item.pop("livemode")
    if price["recurring"]["usage_type"] == "licensed":
        item["quantity"] = int(params.get("quantity") or 1)
    return item


def _set_period(subscription: Object) -> None:
    recurring = subscription["items"]["data"][0]["price"]["recurring"]
    anchor, number = subscription["billing_cycle_anchor"], subscription["_number"]
    for item in subscription["items"]["data"]:
        rhythm = (recurring["interval"], recurring["interval_count"])
        item["current_period_start"] = boundary(anchor, *rhythm, number)
        item["current_period_end"] = boundary(anchor, *rhythm, number + 1)


def cancel(world: World, identity: str, params: Object) -> Object:
    """DELETE /v1/subscriptions/{id}: without invoice_now un-invoiced usage is dropped."""
    settle(world)
    subscription = world.get("subscription", identity)
    now = world.clock.now()
    if _plain(params.get("invoice_now", "false")):
        _draft(world, subscription, now, reason="subscription_update")
    subscription.update(status="canceled", canceled_at=now, ended_at=now)
    return subscription


def settle(world: World) -> int | None:
    """Do what time has brought: roll periods, draft invoices, finalise those whose window is over."""
    now = world.clock.now()
    for subscription in world.all("subscription"):
        while subscription["status"] == "active":
            end = subscription["items"]["data"][0]["current_period_end"]
            if end > now:
                break
            _draft(world, subscription, end, reason="subscription_cycle")
            if subscription["cancel_at_period_end"]:
                subscription.update(status="canceled", canceled_at=end, ended_at=end)
                break
            subscription["_number"] += 1
            _set_period(subscription)
    for invoice in world.all("invoice"):
        due = invoice["automatically_finalizes_at"]
        if invoice["status"] == "draft" and invoice["auto_advance"] and due is not None and due <= now:
            finalize(world, invoice, due)
    return 0


def _draft(world: World, subscription: Object, at: int, *, reason: str) -> Object:
    first = subscription["items"]["data"][0]
    start, end = first["current_period_start"], min(at, first["current_period_end"])
    invoice = world.add(
        "invoice", "in", _invoice_fields(subscription, start, end, at, world.switches.draft_seconds)
    )
    invoice.update(billing_reason=reason, created=at, _items=[dict(i) for i in subscription["items"]["data"]])
    refresh(world, invoice)
    subscription["latest_invoice"] = invoice["id"]
    notices.emit(world, "invoice.created", invoice)
    return invoice


def _invoice_fields(subscription: Object, start: int, end: int, at: int, draft_seconds: int) -> Object:
    transitions = ("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")
    return {
        "customer": subscription["customer"],
        "currency": subscription["currency"],
        "status": "draft",
        "auto_advance": True,
        "automatically_finalizes_at": at + draft_seconds,
        "period_start": start,
        "period_end": end,
        "collection_method": "charge_automatically",
        "attempt_count": 0,
        "attempted": False,
        "automatic_tax": {
            "enabled": False,
            "disabled_reason": None,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "default_tax_rates": [],
        "discounts": [],
        "issuer": {"type": "self"},
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "status_transitions": dict.fromkeys(transitions),
        "starting_balance": 0,
        "number": None,
        "parent": {
            "type": "subscription_details",
            "quote_details": None,
            "subscription_details": {"metadata": {}, "subscription": subscription["id"]},
        },
    }


def refresh(world: World, invoice: Object, received_by: int | None = None) -> None:
    """Bring a draft's lines and amounts up to the newest usage."""
    lines = [_line(world, invoice, item, received_by) for item in invoice["_items"]]
    total = sum(line["amount"] for line in lines)
    invoice["lines"] = {
        "object": "list",
        "data": lines,
        "has_more": False,
        "url": f"/v1/invoices/{invoice['id']}/lines",
    }
    zero = dict.fromkeys(
        (
            "amount_overpaid",
            "amount_paid",
            "amount_paid_off_stripe",
            "amount_shipping",
            "post_payment_credit_notes_amount",
            "pre_payment_credit_notes_amount",
        ),
        0,
    )
    invoice.update(zero, amount_due=total, amount_remaining=total, subtotal=total, total=total)


def _line(world: World, invoice: Object, item: Object, received_by: int | None) -> Object:
    price = item["price"]
    start, end = invoice["period_start"], invoice["period_end"]
    meter = price["recurring"]["meter"]
    if meter is None:
        quantity = Decimal(item.get("quantity", 1))
    else:
        events = world.events_of(meter, invoice["customer"], start, end, received_by)
        quantity = max(world.aggregate(world.get("billing.meter", meter), events), Decimal(0))
    cost = amount(price, quantity)
    return {
        "id": f"il_{invoice['id']}_{item['id']}",
        "object": "line_item",
        "amount": cost,
        "subtotal": cost,
        "currency": invoice["currency"],
        "description": None,
        "discountable": True,
        "discounts": [],
        "invoice": invoice["id"],
        "livemode": world.livemode,
        "metadata": {},
        "period": {"start": start, "end": end},
        "quantity": int(quantity),
        "quantity_decimal": f"{quantity:f}",
        "pricing": {
            "type": "price_details",
            "price_details": {"price": price["id"], "product": price["product"]},
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "parent": {
            "type": "subscription_item_details",
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": False,
                "proration_details": None,
                "subscription": item["subscription"],
                "subscription_item": item["id"],
            },
        },
    }


def finalize(world: World, invoice: Object, at: int) -> Object:
    """Fix number and amounts; usage that Stripe gets later is billed by nothing."""
    if invoice["status"] != "draft":
        raise Refusal("This invoice is already finalized, you can't re-finalize a non-draft invoice.")
    refresh(world, invoice, received_by=at)
    invoice.update(status="open", number=f"SANDBOX-{invoice['id'][-6:]}", auto_advance=False)
    invoice["status_transitions"]["finalized_at"] = at
    invoice["automatically_finalizes_at"] = None
    return invoice


def finalize_now(world: World, identity: str) -> Object:
    """POST /v1/invoices/{id}/finalize; a draft whose window is over was finalised when it was."""
    settle(world)
    return finalize(world, world.get("invoice", identity), world.clock.now())


def update_invoice(world: World, identity: str, params: Object) -> Object:
    """POST /v1/invoices/{id}: hold or let go a draft."""
    settle(world)
    invoice = world.get("invoice", identity)
    if invoice["status"] != "draft":
        raise Refusal("Finalized invoices can't be updated in this way.")
    for name in ("auto_advance", "automatically_finalizes_at", "metadata"):
        if name in params:
            invoice[name] = _plain(params[name])
    settle(world)
    return invoice


def preview(world: World, params: Object) -> Object:
    """POST /v1/invoices/create_preview: what the running period would cost now."""
    settle(world)
    subscription = world.get("subscription", params.get("subscription", ""))
    first = subscription["items"]["data"][0]
    start, end = first["current_period_start"], first["current_period_end"]
    fields = _invoice_fields(subscription, start, end, world.clock.now(), world.switches.draft_seconds)
    invoice: Object = {
        "id": f"upcoming_{subscription['id']}",
        "object": "invoice",
        "created": world.clock.now(),
        "livemode": world.livemode,
        "metadata": {},
        "billing_reason": "upcoming",
        **fields,
        "_items": subscription["items"]["data"],
    }
    refresh(world, invoice)
    return invoice


def _plain(value: Any) -> Any:
    words = {"true": True, "false": False}
    if isinstance(value, str):
        return int(value) if value.isdigit() else words.get(value, value)
    return value
