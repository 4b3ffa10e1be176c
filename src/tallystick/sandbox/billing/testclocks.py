"""Test clocks: customers in a time of their own.

Sources: Stripe's API reference (Test Clock) and "Test clock API advanced usage". One virtual clock for everything of
its customers; whether the limits on event timestamps read it is a switch.
"""

from __future__ import annotations

from tallystick.sandbox.billing import subscriptions
from tallystick.sandbox.notices import events
from tallystick.sandbox.refusal import Refusal, required, whole
from tallystick.sandbox.world import Object, World

KIND = "test_helpers.test_clock"
_INTERVALS = {"day": 86400, "week": 7 * 86400, "month": 31 * 86400, "year": 366 * 86400}
_KEPT_SECONDS = 30 * 86400


def create(world: World, params: Object) -> Object:
    """POST /v1/test_helpers/test_clocks, for an existing customer too."""
    required(params, "frozen_time")
    if world.livemode:
        raise Refusal("Test clocks are not available in live mode.")
    made = world.add(
        KIND,
        "clock",
        {
            "frozen_time": whole(params, "frozen_time"),
            "name": params.get("name"),
            "status": "ready",
            "status_details": {},
            "deletes_after": world.clock.now() + _KEPT_SECONDS,
        },
    )
    made.pop("metadata")
    if params.get("customer"):
        customer = world.get("customer", params["customer"])
        if any(world.of_customer("subscription", customer["id"])):
            raise Refusal("A customer with subscriptions cannot be put on a test clock.", param="customer")
        customer["test_clock"] = made["id"]
    events.emit(world, "test_helpers.test_clock.created", made)
    return made


def advance(world: World, identity: str, params: Object) -> Object:
    """POST …/advance: answers at once; the clock is ready when everything on the way is done."""
    clock = world.get(KIND, identity)
    required(params, "frozen_time")
    target = whole(params, "frozen_time")
    if clock["status"] != "ready":
        raise Refusal("The test clock is still advancing.", status=429, code="lock_timeout")
    if target <= clock["frozen_time"]:
        raise Refusal("A test clock only goes forward.", param="frozen_time")
    furthest = clock["frozen_time"] + _longest_step(world, identity)
    if target > furthest:
        words = "Cannot advance more than two intervals of the shortest subscription"
        raise Refusal(f"{words} (up to {furthest}).", param="frozen_time")
    clock.update(status="advancing", status_details={"advancing": {"target_frozen_time": target}})
    world.advancing[identity] = target
    events.emit(world, "test_helpers.test_clock.advancing", clock)
    return clock


def _longest_step(world: World, identity: str) -> int:
    rhythms = [
        item["price"]["recurring"]
        for subscription in world.all("subscription")
        if subscription["test_clock"] == identity and subscription["status"] == "active"
        for item in subscription["items"]["data"]
    ]
    lengths = [_INTERVALS[rhythm["interval"]] * rhythm["interval_count"] for rhythm in rhythms]
    return 2 * min(lengths, default=_INTERVALS["year"])


def move(world: World, identity: str, to: int) -> None:
    """Show a later second."""
    clock = world.get(KIND, identity)
    clock["frozen_time"] = max(clock["frozen_time"], to)


def arrive(world: World, identity: str) -> None:
    """Ready again."""
    clock = world.get(KIND, identity)
    clock.update(status="ready", status_details={})
    world.advancing.pop(identity, None)
    events.emit(world, "test_helpers.test_clock.ready", clock)


def delete(world: World, identity: str) -> Object:
    """DELETE …/{id}: its customers and their subscriptions go with it."""
    world.get(KIND, identity)
    for customer in world.all("customer"):
        if customer.get("test_clock") == identity:
            remove_customer(world, customer["id"])
    world.advancing.pop(identity, None)
    events.emit(world, "test_helpers.test_clock.deleted", world.get(KIND, identity))
    clock = world.get(KIND, identity)
    for kind in ("subscription", "invoice", "invoiceitem"):
        for found in world.all(kind):
            if found["test_clock"] == clock["id"]:
                world.remove(kind, found["id"])
    return world.remove(KIND, identity)


def remove_customer(world: World, identity: str) -> Object:
    """DELETE /v1/customers/{id}: subscriptions end at once, un-invoiced usage is dropped."""
    customer = world.get("customer", identity)
    for subscription in world.of_customer("subscription", identity):
        if subscription["status"] == "active":
            subscriptions.drop(world, subscription, invoice_now=False)
    events.emit(world, "customer.deleted", customer)
    return world.remove("customer", identity)


def has_destinations(world: World) -> bool:
    """Whether somebody is to be told what happens on the way."""
    return bool(world.outbox or world.all("webhook_endpoint") or world.all("v2.core.event_destination"))
