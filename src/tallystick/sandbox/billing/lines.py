"""The lines of an invoice: metered usage of a period that ended, fixed amounts of the next, single items.

Source: Stripe's API reference (Invoice Line Item). A line of usage is computed again while its invoice is a draft.
"""

from __future__ import annotations

from decimal import Decimal

from tallystick.sandbox.billing.pricing import amount, rounded
from tallystick.sandbox.usage import legacy
from tallystick.sandbox.world import Object, World

# What a line is made of: the item as it was, and the time it covers. `single` is an invoice item instead.
Spec = Object


def usage_of(item: Object, until: int) -> Spec:
    """The usage of an item's running period up to an instant."""
    return {"item": dict(item), "start": max(item["current_period_start"], item["_since"]), "end": until}


def fixed_of(item: Object, start: int, end: int, share: Decimal = Decimal(1)) -> Spec:
    """A licensed item's amount for a period, or for a share of one."""
    return {"item": dict(item), "start": start, "end": end, "share": share}


def is_metered(item: Object) -> bool:
    """Whether an item is billed by usage."""
    return bool(item["price"]["recurring"]["usage_type"] == "metered")


def build(world: World, invoice: Object, received_by: int | None) -> list[Object]:
    """All lines, with the newest usage, or with what Stripe had by an instant."""
    return [
        _single(world, invoice, spec["single"])
        if "single" in spec
        else _line(world, invoice, spec, received_by)
        for spec in invoice["_lines"]
    ]


def _quantity(world: World, invoice: Object, spec: Spec, received_by: int | None) -> Decimal:
    item = spec["item"]
    meter = item["price"]["recurring"]["meter"]
    if not is_metered(item):
        return Decimal(item.get("quantity", 1))
    if spec.get("zero"):
        return Decimal(0)
    if meter is None:
        return legacy.quantity(world, item, spec["start"], spec["end"])
    events = world.events_of(meter, invoice["customer"], spec["start"], spec["end"])
    if received_by is not None:
        events = [event for event in events if event.received_on <= received_by]
    return max(world.aggregate(world.get("billing.meter", meter), events), Decimal(0))


def _line(world: World, invoice: Object, spec: Spec, received_by: int | None) -> Object:
    item = spec["item"]
    price = item["price"]
    quantity = _quantity(world, invoice, spec, received_by)
    share = spec.get("share", Decimal(1))
    cost = amount(world, price, quantity)
    if share != 1:
        cost = rounded(world, cost * share)
    parent = {
        "type": "subscription_item_details",
        "invoice_item_details": None,
        "subscription_item_details": {
            "invoice_item": None,
            "proration": share != 1,
            "proration_details": None,
            "subscription": item["subscription"],
            "subscription_item": item["id"],
        },
    }
    pricing = {
        "type": "price_details",
        "price_details": {"price": price["id"], "product": price["product"]},
        "unit_amount_decimal": price["unit_amount_decimal"],
    }
    period = {"start": spec["start"], "end": spec["end"]}
    name = f"il_{invoice['id']}_{item['id']}_{spec['start']}"
    return _described(world, invoice, name, cost, quantity, period, pricing, parent)


def _single(world: World, invoice: Object, item: Object) -> Object:
    parent = {
        "type": "invoice_item_details",
        "subscription_item_details": None,
        "invoice_item_details": {
            "invoice_item": item["id"],
            "proration": False,
            "proration_details": None,
            "subscription": None,
        },
    }
    quantity = Decimal(item["quantity_decimal"])
    line = _described(
        world,
        invoice,
        f"il_{item['id']}",
        item["amount"],
        quantity,
        item["period"],
        item["pricing"],
        parent,
    )
    return {**line, "description": item["description"], "metadata": item["metadata"]}


def _described(
    world: World,
    invoice: Object,
    name: str,
    cost: int,
    quantity: Decimal,
    period: Object,
    pricing: Object | None,
    parent: Object,
) -> Object:
    return {
        "id": name,
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
        "period": period,
        "quantity": int(quantity),
        "quantity_decimal": f"{quantity:f}",
        "pricing": pricing,
        "parent": parent,
    }
