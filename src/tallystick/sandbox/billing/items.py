"""Items of a subscription: added, priced anew, removed, in the middle of a period too.

Source: Stripe's "Manage your usage-based billing setup": flexible billing invoices the usage so far at the old price,
classic billing bills only usage after the change, at the new one.
"""

from __future__ import annotations

from typing import Any

from tallystick.sandbox.billing import lines
from tallystick.sandbox.billing.periods import begin
from tallystick.sandbox.forms import plain
from tallystick.sandbox.notices import events
from tallystick.sandbox.refusal import Refusal, required, text, whole
from tallystick.sandbox.world import Object, World


def checked(world: World, params: Object) -> tuple[Object, int]:
    """Price and quantity of an item that is to be made."""
    price = world.get("price", text(params, "price"))
    if price["recurring"] is None:
        raise Refusal("The price is not recurring.", param="items[price]")
    metered = price["recurring"]["usage_type"] == "metered"
    if params.get("quantity") is not None and metered:
        raise Refusal("Quantity is not allowed for metered prices.", param="items[quantity]")
    meter = price["recurring"]["meter"]
    if meter and world.get("billing.meter", meter)["status"] != "active":
        raise Refusal("The meter of this price is inactive.", param="items[price]")
    return price, whole(params, "quantity", 1)


def add(world: World, subscription: Object, price: Object, quantity: int) -> Object:
    """Make an item; its period is set by the subscription."""
    fields = {"price": price, "subscription": subscription["id"], "discounts": [], "tax_rates": []}
    item = world.add("subscription_item", "si", fields)
    item.pop("livemode")
    if price["recurring"]["usage_type"] == "licensed":
        item["quantity"] = quantity
    return item


def create(world: World, params: Object) -> Object:
    """POST /v1/subscription_items."""
    required(params, "subscription", "price")
    subscription = world.get("subscription", params["subscription"])
    item = _join(world, subscription, params)
    events.emit(world, "customer.subscription.updated", subscription)
    return item


def _join(world: World, subscription: Object, params: Object) -> Object:
    price, quantity = checked(world, params)
    item = add(world, subscription, price, quantity)
    begin(subscription, item, world.now_of(subscription["customer"]))
    subscription["items"]["data"].append(item)
    world.touch()
    return item


def change(world: World, subscription: Object, params: Object) -> None:
    """One entry of `items` in a subscription update: with an id a change or removal, else a new item."""
    if not params.get("id"):
        _join(world, subscription, params)
    elif plain(params.get("deleted", "false")):
        remove(world, params["id"], params)
    else:
        update(world, params["id"], params)


def update(world: World, identity: str, params: Object) -> Object:
    """POST /v1/subscription_items/{id}: another price, another quantity."""
    item = world.get("subscription_item", identity)
    subscription = world.get("subscription", item["subscription"])
    if "metadata" in params:
        item["metadata"] = params["metadata"]
    if params.get("price") and params["price"] != item["price"]["id"]:
        _reprice(world, subscription, item, params)
    elif params.get("quantity") is not None:
        if lines.is_metered(item):
            raise Refusal("Quantity is not allowed for metered prices.", param="quantity")
        item["quantity"] = whole(params, "quantity")
    events.emit(world, "customer.subscription.updated", subscription)
    return item


def _reprice(world: World, subscription: Object, item: Object, params: Object) -> None:
    price, quantity = checked(world, params)
    now = world.now_of(subscription["customer"])
    rhythm = _rhythm(item["price"])
    _close(subscription, item, now)
    item["price"] = price
    item["_since"] = now
    if _rhythm(price) != rhythm:
        begin(subscription, item, now)
    if price["recurring"]["usage_type"] == "licensed":
        item["quantity"] = quantity
    world.touch()


def _rhythm(price: Object) -> tuple[Any, Any]:
    return price["recurring"]["interval"], price["recurring"]["interval_count"]


def _close(subscription: Object, item: Object, now: int) -> None:
    """Keep the usage so far for the next invoice, where the billing mode does that."""
    if lines.is_metered(item) and subscription["billing_mode"]["type"] == "flexible":
        subscription["_closed"].append(lines.usage_of(item, now))


def remove(world: World, identity: str, params: Object) -> Object:
    """DELETE /v1/subscription_items/{id}; `clear_usage` throws its usage away."""
    item = world.get("subscription_item", identity)
    subscription = world.get("subscription", item["subscription"])
    rows = subscription["items"]["data"]
    if len(rows) == 1:
        raise Refusal("A subscription must have at least one item.")
    if not plain(params.get("clear_usage", "false")):
        _close(subscription, item, world.now_of(subscription["customer"]))
    rows.remove(item)
    trace = world.remove("subscription_item", identity)
    events.emit(world, "customer.subscription.updated", subscription)
    return trace
