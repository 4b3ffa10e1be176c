"""Usage records, as accounts under API versions before 2025-03-31.basil still send them.

Source: the official Python client 11.6.0. There is no identifier: a repeated increment counts twice.
"""

from __future__ import annotations

from decimal import Decimal

from tallystick.sandbox.refusal import Refusal, one_of, required, whole
from tallystick.sandbox.world import BASIL, Object, World


def is_old(version: str) -> bool:
    """Whether an API version still has usage records and metered prices without a meter."""
    return bool(version) and version[:10] < BASIL


def record(world: World, identity: str, params: Object) -> Object:
    """POST /v1/subscription_items/{id}/usage_records: add to a second, or set it."""
    item = _item(world, identity, "POST", "usage_records")
    required(params, "quantity")
    quantity = whole(params, "quantity")
    if quantity < 0:
        raise Refusal("Invalid non-negative integer", param="quantity")
    action = one_of({"action": params.get("action") or "increment"}, "action", "increment", "set")
    now = world.now_of(world.get("subscription", item["subscription"])["customer"])
    given = params.get("timestamp") or "now"
    timestamp = now if given == "now" else whole(params, "timestamp")
    if timestamp > now:
        raise Refusal("Cannot create the usage record with a timestamp in the future.", param="timestamp")
    if not item["current_period_start"] <= timestamp <= item["current_period_end"]:
        words = "Cannot create the usage record because the timestamp is outside the current period."
        raise Refusal(words, param="timestamp")
    records: dict[int, int] = item.setdefault("_usage", {})
    records[timestamp] = quantity + (records.get(timestamp, 0) if action == "increment" else 0)
    return {
        "id": world.new_id("mbur"),
        "object": "usage_record",
        "livemode": world.livemode,
        "quantity": quantity,
        "subscription_item": identity,
        "timestamp": timestamp,
    }


def summaries(world: World, identity: str, params: Object) -> list[Object]:
    """GET …/usage_record_summaries: the running period first, then one per invoice."""
    item = _item(world, identity, "GET", "usage_record_summaries")
    start, end = item["current_period_start"], item["current_period_end"]
    rows = [_summary(world, item, None, start, end)]
    for invoice in world.all("invoice")[::-1]:
        for spec in invoice["_lines"]:
            if spec.get("item", {}).get("id") == identity:
                rows.append(_summary(world, item, invoice["id"], spec["start"], spec["end"]))
    return rows


def _summary(world: World, item: Object, invoice: str | None, start: int, end: int) -> Object:
    return {
        "id": f"sis_{item['id']}_{start}",
        "object": "usage_record_summary",
        "invoice": invoice,
        "livemode": world.livemode,
        "period": {"start": start, "end": end},
        "subscription_item": item["id"],
        "total_usage": int(quantity(world, item, start, end)),
    }


def quantity(world: World, item: Object, start: int, end: int) -> Decimal:
    """What the price's aggregate makes of a period's records."""
    records: dict[int, int] = world.get("subscription_item", item["id"]).get("_usage", {})
    within = {second: count for second, count in records.items() if start <= second < end}
    how = item["price"]["recurring"].get("aggregate_usage") or "sum"
    if how == "max":
        return Decimal(max(within.values(), default=0))
    if how == "last_during_period":
        return Decimal(within[max(within)] if within else 0)
    if how == "last_ever":
        before = [second for second in records if second < end]
        return Decimal(records[max(before)] if before else 0)
    return Decimal(sum(within.values()))


def _item(world: World, identity: str, verb: str, word: str) -> Object:
    if not is_old(world.call.version):
        path = f"/v1/subscription_items/{identity}/{word}"
        raise Refusal(f"Unrecognized request URL ({verb}: {path}).", status=404)
    item = world.get("subscription_item", identity)
    if world.get("subscription", item["subscription"])["status"] == "canceled":
        raise Refusal(f"No such subscription_item: '{identity}'", status=404, code="resource_missing")
    recurring = item["price"]["recurring"]
    if recurring["usage_type"] != "metered":
        raise Refusal("The subscription item's price is not metered.")
    if recurring["meter"]:
        raise Refusal(
            "The subscription item is not on the legacy metered billing system; "
            "call /v1/billing/meter_events to report its usage."
        )
    return item
