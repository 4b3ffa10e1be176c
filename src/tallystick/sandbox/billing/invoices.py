"""Invoices: draft at a period's end, up to date until final, final after the draft window or when told.

Sources: Stripe's "Configure grace period", "Invoicing workflow transitions", "Scheduled finalization", "Use
webhooks with subscriptions" (an unanswered `invoice.created` puts finalising off, at most 72 hours).
"""

from __future__ import annotations

from tallystick.sandbox.billing import lines
from tallystick.sandbox.forms import plain
from tallystick.sandbox.notices import events
from tallystick.sandbox.refusal import Refusal, one_of, required, second
from tallystick.sandbox.world import Object, World

_LONGEST_WAIT = 72 * 3600
_HOUR = 3600  # of a subscription's first invoice, whatever the setting says
_TOTALS = (
    "amount_overpaid",
    "amount_paid",
    "amount_paid_off_stripe",
    "amount_shipping",
    "post_payment_credit_notes_amount",
    "pre_payment_credit_notes_amount",
)


def draft(
    world: World, subscription: Object, at: int, specs: list[lines.Spec], reason: str, start: int, end: int
) -> Object:
    """An invoice of a subscription, with what waits for the customer's next invoice."""
    fields = _fields(world, subscription["customer"], subscription["currency"], at, start, end)
    fields["collection_method"] = subscription["collection_method"]
    fields["parent"] = _of_subscription(subscription)
    if reason == "subscription_create":
        fields.update(_window=_HOUR, automatically_finalizes_at=at + _HOUR)
    invoice = world.add("invoice", "in", {**fields, "billing_reason": reason, "created": at})
    invoice["_lines"] = specs + take_pending(world, invoice)
    paused = subscription.get("pause_collection")
    if paused:
        invoice["_paused"] = paused["behavior"]
        if paused["behavior"] == "keep_as_draft":
            invoice.update(auto_advance=False, automatically_finalizes_at=None)
    subscription["latest_invoice"] = invoice["id"]
    announce(world, invoice)
    return invoice


def announce(world: World, invoice: Object) -> None:
    """Fire `invoice.created`; remember which endpoints have to answer first."""
    refresh(world, invoice)
    event = events.emit(world, "invoice.created", invoice)
    invoice["_waits"] = [delivery.id for delivery in world.outbox if delivery.event == event["id"]]


def _fields(world: World, customer: str, currency: str, at: int, start: int, end: int) -> Object:
    transitions = ("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")
    tax = dict.fromkeys(("disabled_reason", "liability", "provider", "status"))
    settings = dict.fromkeys(("default_mandate", "payment_method_options", "payment_method_types"))
    about = world.objects.get("customer", {}).get(customer, {})
    return {
        "customer": customer,
        "currency": currency,
        "status": "draft",
        "auto_advance": True,
        "automatically_finalizes_at": at + world.switches.draft_seconds,
        "period_start": start,
        "period_end": end,
        "collection_method": "charge_automatically",
        "attempt_count": 0,
        "attempted": False,
        "automatic_tax": {"enabled": False, **tax},
        "default_tax_rates": [],
        "discounts": [],
        "issuer": {"type": "self"},
        "payment_settings": settings,
        "status_transitions": dict.fromkeys(transitions),
        "starting_balance": 0,
        "number": None,
        "parent": None,
        "test_clock": about.get("test_clock"),
        "_window": world.switches.draft_seconds,
        "_waits": [],
        "_lines": [],
    }


def create(world: World, params: Object) -> Object:
    """POST /v1/invoices: a single invoice, which does not advance by itself unless told so."""
    required(params, "customer")
    world.get("customer", params["customer"])
    now = world.now_of(params["customer"])
    fields = _fields(world, params["customer"], params.get("currency") or "usd", now, now, now)
    advance = bool(plain(params.get("auto_advance", "false")))
    fields.update(auto_advance=advance, billing_reason="manual", metadata=params.get("metadata") or {})
    if not advance:
        fields["automatically_finalizes_at"] = None
    invoice = world.add("invoice", "in", {**fields, "created": now})
    if params.get("pending_invoice_items_behavior") == "include":
        invoice["_lines"] = take_pending(world, invoice)
    announce(world, invoice)
    return invoice


def ahead(world: World, subscription: Object, specs: list[lines.Spec], start: int, end: int) -> Object:
    """An invoice that is only shown: what a boundary would bring."""
    now = world.now_of(subscription["customer"])
    fields = _fields(world, subscription["customer"], subscription["currency"], now, start, end)
    invoice: Object = {
        "id": f"upcoming_{subscription['id']}",
        "object": "invoice",
        "created": now,
        "livemode": world.livemode,
        "metadata": {},
        **fields,
        "billing_reason": "upcoming",
        "parent": _of_subscription(subscription),
    }
    pending = [i for i in world.of_customer("invoiceitem", invoice["customer"]) if i["invoice"] is None]
    invoice["_lines"] = specs + [{"single": item} for item in pending]
    refresh(world, invoice)
    return invoice


def _of_subscription(subscription: Object) -> Object:
    return {
        "type": "subscription_details",
        "quote_details": None,
        "subscription_details": {"metadata": {}, "subscription": subscription["id"]},
    }


def take_pending(world: World, invoice: Object) -> list[lines.Spec]:
    """The customer's invoice items that wait for an invoice, now on this one."""
    waiting = [
        item
        for item in world.of_customer("invoiceitem", invoice["customer"])
        if item["invoice"] is None and item["currency"] == invoice["currency"]
    ]
    for item in waiting:
        item["invoice"] = invoice["id"]
    return [{"single": item} for item in waiting]


def refresh(world: World, invoice: Object, received_by: int | None = None) -> None:
    """Bring a draft's lines and amounts up to the newest usage."""
    if received_by is None and invoice.get("test_clock") and not world.switches.late_usage_on_test_clocks:
        received_by = invoice["created"]
    built = lines.build(world, invoice, received_by)
    total = sum(line["amount"] for line in built)
    url = f"/v1/invoices/{invoice['id']}/lines"
    invoice["lines"] = {"object": "list", "data": built, "has_more": False, "url": url}
    invoice.update(
        dict.fromkeys(_TOTALS, 0), amount_due=total, amount_remaining=total, subtotal=total, total=total
    )


def due_at(world: World, invoice: Object) -> int | None:
    """When a draft becomes final by itself; None when it waits to be told."""
    due: int | None = invoice["automatically_finalizes_at"]
    if invoice["status"] != "draft" or not invoice["auto_advance"] or due is None:
        return None
    waits = invoice["_waits"] and world.switches.drafts_wait_for_webhooks and not invoice.get("_scheduled")
    return max(due, invoice["created"] + _LONGEST_WAIT) if waits else due


def finalize(world: World, invoice: Object, at: int) -> Object:
    """Fix number and amounts; usage that Stripe gets later is billed by nothing."""
    if invoice["status"] != "draft":
        raise Refusal("This invoice is already finalized, you can't re-finalize a non-draft invoice.")
    on_clock = invoice.get("test_clock") and not world.switches.late_usage_on_test_clocks
    refresh(world, invoice, received_by=invoice["created"] if on_clock else at)
    invoice.update(status="open", number=f"SANDBOX-{invoice['id'][-6:]}", auto_advance=False)
    invoice["status_transitions"]["finalized_at"] = at
    invoice["automatically_finalizes_at"] = None
    events.emit(world, "invoice.finalized", invoice)
    behaviors = {"void": "void", "mark_uncollectible": "uncollectible"}
    if invoice.get("_paused") in behaviors:
        end(world, invoice, behaviors[invoice["_paused"]], at)
    return invoice


def end(world: World, invoice: Object, status: str, at: int) -> Object:
    """Paid, void or uncollectible: the last state of an invoice."""
    if invoice["status"] not in ("open", "uncollectible"):
        raise Refusal(f"You can only do this to an open invoice; this one is {invoice['status']}.")
    words = {"paid": "paid", "void": "voided", "uncollectible": "marked_uncollectible"}
    invoice["status"] = status
    invoice["status_transitions"][f"{words[status]}_at"] = at
    if status == "paid":
        invoice.update(amount_paid=invoice["amount_due"], amount_remaining=0, attempted=True)
    events.emit(world, f"invoice.{words[status]}", invoice)
    return invoice


def finish(world: World, identity: str, status: str) -> Object:
    """POST …/pay, …/void and …/mark_uncollectible; `pay` finalises a draft first."""
    invoice = world.get("invoice", identity)
    now = world.now_of(invoice["customer"])
    if status == "paid" and invoice["status"] == "draft":
        finalize(world, invoice, now)
    return end(world, invoice, status, now)


def finalize_now(world: World, identity: str) -> Object:
    """POST /v1/invoices/{id}/finalize; a draft whose window is over was finalised when it was."""
    invoice = world.get("invoice", identity)
    return finalize(world, invoice, world.now_of(invoice["customer"]))


def update(world: World, identity: str, params: Object) -> Object:
    """POST /v1/invoices/{id}: hold or let go a draft, or set when it becomes final."""
    invoice = world.get("invoice", identity)
    if invoice["status"] != "draft" and set(params) - {"metadata", "expand"}:
        raise Refusal("Finalized invoices can't be updated in this way.")
    for name in ("metadata", "description"):
        invoice[name] = params.get(name, invoice.get(name))
    now = world.now_of(invoice["customer"])
    if "automatically_finalizes_at" in params:
        at = second(params, "automatically_finalizes_at")
        if not now <= at <= now + 5 * 366 * 86400:
            raise Refusal("automatically_finalizes_at must lie within the next five years.")
        invoice.update(auto_advance=True, automatically_finalizes_at=at, _scheduled=True)
    elif "auto_advance" in params:
        advance = plain(params["auto_advance"]) is True
        later = max(now, invoice["created"] + invoice["_window"])
        invoice.update(auto_advance=advance, automatically_finalizes_at=later if advance else None)
    world.touch()
    events.emit(world, "invoice.updated", invoice)
    return invoice


def delete(world: World, identity: str) -> Object:
    """DELETE /v1/invoices/{id}: single drafts only."""
    invoice = world.get("invoice", identity)
    if invoice["status"] != "draft" or invoice["parent"] is not None:
        raise Refusal("You can only delete draft invoices that are not of a subscription.")
    for item in world.all("invoiceitem"):
        if item["invoice"] == identity:
            item["invoice"] = None
    return world.remove("invoice", identity)


def check_behavior(params: Object) -> Object | None:
    """The `pause_collection` of a subscription; empty text ends the pause."""
    if not params:
        return None
    behavior = one_of(params, "behavior", "keep_as_draft", "mark_uncollectible", "void")
    return {"behavior": behavior, "resumes_at": None}
