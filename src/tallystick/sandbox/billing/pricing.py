"""What a quantity costs: per unit, graduated, volume, packages; rounded once per line.

Sources: Stripe's "Decimal amounts", "Tiered pricing" and "Transform quantity" pages. Half a cent goes up; what that
means below zero is a switch.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

from tallystick.sandbox.world import Object, World


def amount(world: World, price: Object, quantity: Decimal) -> int:
    """The amount of one line in the smallest unit of the currency."""
    exact = _tiered(price, quantity) if price["billing_scheme"] == "tiered" else _per_unit(price, quantity)
    return rounded(world, exact)


def rounded(world: World, exact: Decimal) -> int:
    """A whole amount: half up, and below zero as the switch `negative_half` says."""
    below_zero = {"up": ROUND_HALF_DOWN, "away": ROUND_HALF_UP, "even": ROUND_HALF_EVEN}
    rounding = ROUND_HALF_UP if exact >= 0 else below_zero[world.switches.negative_half]
    return int(exact.to_integral_value(rounding=rounding))


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
