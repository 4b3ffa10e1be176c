"""What a quantity costs: per unit, graduated, volume, packages; rounded once per line, half up.

Sources: Stripe's "Decimal amounts", "Tiered pricing" and "Transform quantity" pages.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal

from tallystick.sandbox.world import Object


def amount(price: Object, quantity: Decimal) -> int:
    """The amount of one line in the smallest unit of the currency."""
    exact = _tiered(price, quantity) if price["billing_scheme"] == "tiered" else _per_unit(price, quantity)
    return int(exact.to_integral_value(rounding=ROUND_HALF_UP))


def _per_unit(price: Object, quantity: Decimal) -> Decimal:
    transform = price.get("transform_quantity")
    if transform:
        rounding = ROUND_CEILING if transform["round"] == "up" else ROUND_FLOOR
        quantity = (quantity / Decimal(transform["divide_by"])).to_integral_value(rounding=rounding)
    return quantity * Decimal(price["unit_amount_decimal"])


def _tiered(price: Object, quantity: Decimal) -> Decimal:
    if price["tiers_mode"] == "volume":
        for tier in price["tiers"]:
            if tier["up_to"] is None or quantity <= tier["up_to"]:
                return quantity * Decimal(tier["unit_amount_decimal"] or 0) + Decimal(
                    tier["flat_amount_decimal"] or 0
                )
    total, below = Decimal(0), Decimal(0)
    for tier in price["tiers"]:
        reached = quantity > below or (below == 0 and quantity == 0)
        if not reached:
            break
        top = quantity if tier["up_to"] is None else min(quantity, Decimal(tier["up_to"]))
        total += (top - below) * Decimal(tier["unit_amount_decimal"] or 0) + Decimal(
            tier["flat_amount_decimal"] or 0
        )
        below = top
        if tier["up_to"] is None or quantity <= tier["up_to"]:
            break
    return total
