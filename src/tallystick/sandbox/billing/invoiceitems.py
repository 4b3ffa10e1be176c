"""Invoice items: single amounts on a draft or on the next invoice, below zero too (a credit).

Source: Stripe's API reference (Invoice Item). After an invoice is final they are the way to make up for usage.
"""

from __future__ import annotations

from tallystick.sandbox.billing import invoices
from tallystick.sandbox.billing.pricing import amount, rounded
from tallystick.sandbox.notices import events
from tallystick.sandbox.refusal import Refusal, exact, mapping, required, second, text, whole
from tallystick.sandbox.world import Object, World


def create(world: World, params: Object) -> Object:
    """POST /v1/invoiceitems: `amount`, or a quantity at `unit_amount_decimal` or at a price."""
    required(params, "customer")
    world.get("customer", params["customer"])
    quantity = exact(params, "quantity_decimal" if params.get("quantity_decimal") else "quantity", "1")
    price = text(mapping(params, "pricing"), "price")
    priced = None
    if price:
        found = world.get("price", price)
        priced = {
            "type": "price_details",
            "price_details": {"price": price, "product": found["product"]},
            "unit_amount_decimal": found["unit_amount_decimal"],
        }
        cost = amount(world, found, quantity)
    elif params.get("unit_amount_decimal") is not None:
        cost = rounded(world, quantity * exact(params, "unit_amount_decimal"))
    else:
        required(params, "amount")
        cost = whole(params, "amount")
    return _make(world, params, priced, cost, f"{quantity:f}")


def _make(world: World, params: Object, priced: Object | None, amount: int, quantity: str) -> Object:
    """An invoice item: on a draft that is named, else on the customer's next invoice."""
    customer = params["customer"]
    now = world.now_of(customer)
    period = _period(params)
    if params.get("invoice"):
        invoice = world.get("invoice", params["invoice"])
        if invoice["status"] != "draft":
            raise Refusal("You can't add an item to an invoice that is not a draft.", param="invoice")
    item = world.add(
        "invoiceitem",
        "ii",
        {
            "customer": customer,
            "currency": params.get("currency") or "usd",
            "amount": amount,
            "net_amount": amount,
            "date": now,
            "period": period or {"start": now, "end": now},
            "description": params.get("description"),
            "metadata": params.get("metadata") or {},
            "discountable": True,
            "discounts": [],
            "tax_rates": [],
            "invoice": params.get("invoice"),
            "parent": None,
            "pricing": priced,
            "proration": False,
            "quantity": int(quantity.partition(".")[0]),
            "quantity_decimal": quantity,
            "test_clock": world.get("customer", customer).get("test_clock"),
        },
    )
    item.pop("created")
    if params.get("invoice"):
        invoice["_lines"].append({"single": item})
        invoices.refresh(world, invoice)
    events.emit(world, "invoiceitem.created", item)
    return item


def _period(params: Object) -> Object:
    given = mapping(params, "period")
    if not given:
        return {}
    required(given, "start", "end")
    return {"start": second(given, "start"), "end": second(given, "end")}


def update(world: World, identity: str, params: Object) -> Object:
    """POST /v1/invoiceitems/{id}, while its invoice is not final."""
    item = _open(world, identity)
    for name in ("description", "metadata"):
        item[name] = params.get(name, item[name])
    if "amount" in params:
        item["amount"] = item["net_amount"] = whole(params, "amount")
    return item


def delete(world: World, identity: str) -> Object:
    """DELETE /v1/invoiceitems/{id}, while its invoice is not final."""
    item = _open(world, identity)
    if item["invoice"]:
        invoice = world.get("invoice", item["invoice"])
        invoice["_lines"] = [spec for spec in invoice["_lines"] if spec.get("single") is not item]
        invoices.refresh(world, invoice)
    return world.remove("invoiceitem", identity)


def _open(world: World, identity: str) -> Object:
    item = world.get("invoiceitem", identity)
    if item["invoice"] and world.get("invoice", item["invoice"])["status"] != "draft":
        raise Refusal("This invoice item is on an invoice that is final.")
    return item
