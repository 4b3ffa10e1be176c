"""Customers, products and prices."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

from tallystick.sandbox.forms import as_list
from tallystick.sandbox.notices import events
from tallystick.sandbox.refusal import Refusal, exact, mapping, one_of, required, text, whole
from tallystick.sandbox.usage import legacy
from tallystick.sandbox.world import Object, World

_INTERVALS = ("day", "week", "month", "year")
_AGGREGATES = ("sum", "last_during_period", "last_ever", "max")


def create_customer(world: World, params: Object) -> Object:
    """POST /v1/customers, on a test clock if one is named."""
    fields = {name: params.get(name) for name in ("email", "name", "description", "test_clock")}
    if fields["test_clock"]:
        world.get("test_helpers.test_clock", fields["test_clock"])
    made = world.add("customer", "cus", {**fields, "metadata": params.get("metadata") or {}})
    events.emit(world, "customer.created", made)
    return made


def create_product(world: World, params: Object) -> Object:
    """POST /v1/products."""
    required(params, "name")
    fields: Object = {"name": params["name"], "active": True, "images": [], "marketing_features": []}
    given = {"id": params["id"]} if params.get("id") else {}
    if given and given["id"] in world.objects.get("product", {}):
        raise Refusal(f"Product already exists: {given['id']}", code="resource_already_exists", param="id")
    if params.get("metadata"):
        fields["metadata"] = dict(mapping(params, "metadata"))
    if "active" in params:
        fields["active"] = params["active"] in (True, "true")
    return world.add("product", "prod", {**fields, **given, "updated": world.clock.now()})


def update_product(world: World, identity: str, params: Object) -> Object:
    """POST /v1/products/{id}: keys of the metadata are merged, an empty value takes one away."""
    product = world.get("product", identity)
    if "name" in params:
        product["name"] = params["name"]
    merged = {**product["metadata"], **mapping(params, "metadata")}
    product["metadata"] = {key: value for key, value in merged.items() if value != ""}
    product["updated"] = world.clock.now()
    return product


def create_price(world: World, params: Object) -> Object:
    """POST /v1/prices: metered prices need a meter; amounts may have 12 decimals."""
    required(params, "currency")
    product = text(params, "product") or None
    if product is None and params.get("product_data"):
        product = create_product(world, mapping(params, "product_data"))["id"]
    world.get("product", product or "")
    recurring = _recurring(world, mapping(params, "recurring"))
    scheme = params.get("billing_scheme") or "per_unit"
    fields: Object = {
        "active": True,
        "billing_scheme": scheme,
        "currency": params["currency"],
        "product": product,
        "type": "recurring" if recurring else "one_time",
        "recurring": recurring,
        "nickname": params.get("nickname"),
        "lookup_key": params.get("lookup_key"),
        "metadata": params.get("metadata") or {},
        "tax_behavior": "unspecified",
        "tiers_mode": params.get("tiers_mode"),
        "transform_quantity": _transform(mapping(params, "transform_quantity")),
        "unit_amount": None,
        "unit_amount_decimal": None,
    }
    if scheme == "tiered":
        fields["tiers"] = [_tier(mapping({"tiers": tier}, "tiers")) for tier in as_list(params.get("tiers"))]
        _check_tiers(fields)
    else:
        fields.update(_unit(params))
    made = world.add("price", "price", fields)
    events.emit(world, "price.created", made)
    return made


def _check_tiers(price: Object) -> None:
    if not price["tiers"] or price["tiers_mode"] not in ("graduated", "volume"):
        raise Refusal("Tiered prices need tiers and tiers_mode=graduated|volume.", param="tiers")
    *bounds, last = [tier["up_to"] for tier in price["tiers"]]
    rising = None not in bounds and all(a < b for a, b in pairwise([0, *bounds]))
    if last is not None or not rising:
        raise Refusal("The up_to of tiers must rise, and the last one must be inf.", param="tiers")
    if price["transform_quantity"]:
        raise Refusal("transform_quantity cannot be combined with tiers.", param="transform_quantity")


def _recurring(world: World, given: Object | None) -> Object | None:
    if not given:
        return None
    usage_type = given.get("usage_type") or "licensed"
    meter = given.get("meter")
    if usage_type == "metered":
        if not meter and not legacy.is_old(world.call.version):
            raise Refusal(
                "Metered prices must be backed by meters. Set recurring[meter].", param="recurring[meter]"
            )
        if meter and world.get("billing.meter", meter)["status"] != "active":
            raise Refusal(
                "The meter is inactive and cannot be attached to a price.", param="recurring[meter]"
            )
    elif meter:
        raise Refusal("Only metered prices have a meter.", param="recurring[meter]")
    made = {
        "interval": one_of({"interval": given.get("interval") or "month"}, "interval", *_INTERVALS),
        "interval_count": max(1, whole(given, "interval_count", 1)),
        "usage_type": usage_type,
        "meter": meter,
        "trial_period_days": None,
    }
    if usage_type == "metered" and not meter:
        how = {"aggregate_usage": given.get("aggregate_usage") or "sum"}
        made.update(aggregate_usage=one_of(how, "aggregate_usage", *_AGGREGATES))
    return made


def _unit(params: Object) -> Object:
    amount = _amount(params, "unit_amount")
    if not amount:
        raise Refusal("Missing required param: unit_amount or unit_amount_decimal.", param="unit_amount")
    return amount


def _amount(params: Object, name: str) -> Object:
    """An amount in whole units or as a decimal, not both; empty without one."""
    both = [None if params.get(field) == "" else params.get(field) for field in (name, f"{name}_decimal")]
    if None not in both:
        raise Refusal(f"Give {name} or {name}_decimal, not both.", param=name)
    if both == [None, None]:
        return {}
    value = exact(params, f"{name}_decimal") if both[0] is None else Decimal(whole(params, name))
    unit = int(value) if value == value.to_integral_value() else None
    return {name: unit, f"{name}_decimal": f"{value.normalize():f}"}


def _transform(given: Object | None) -> Object | None:
    if not given:
        return None
    required(given, "divide_by", "round")
    return {"divide_by": max(1, whole(given, "divide_by")), "round": one_of(given, "round", "up", "down")}


def _tier(given: Object) -> Object:
    up_to = given.get("up_to")
    empty = {
        "unit_amount": None,
        "unit_amount_decimal": None,
        "flat_amount": None,
        "flat_amount_decimal": None,
    }
    tier: Object = {**empty, "up_to": None if up_to in (None, "inf") else whole(given, "up_to")}
    return {**tier, **_amount(given, "unit_amount"), **_amount(given, "flat_amount")}
