"""Exact quantities: integers of 10^-decimals of a unit, never floats.

A meter fixes `decimals` (0 to 12) for ever. A quantity given by the application is an `int` or a
`Decimal`; it is kept as an integer number of the smallest step and comes back as it went in.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from tallystick.errors import QuantityError

MAX_DECIMALS = 12
# Fits BIGINT and SQLite's INTEGER with room for a sum of a few entries; totals use wider forms.
MAX_STEPS = 10**18 - 1


def to_steps(value: Any, decimals: int, *, meter: str) -> int:
    """Turn an application's quantity into whole steps of 10^-decimals.

    Raises QuantityError, naming meter and value, for anything but an exact, finite, non-negative
    int or Decimal with at most `decimals` digits after the point and within bounds.
    """
    if type(value) is int:
        if value.bit_length() > 64:
            raise QuantityError(
                f"meter {meter!r}: quantity of {value.bit_length()} bits exceeds what one entry can hold"
            )
        steps = value * 10**decimals if decimals else value
    else:
        steps = _decimal_steps(value, decimals, meter)
    if steps < 0:
        raise QuantityError(
            f"meter {meter!r}: quantity {value} is negative; record what was used, correct with tally.correct"
        )
    if steps > MAX_STEPS:
        raise QuantityError(f"meter {meter!r}: quantity {value} exceeds {from_steps(MAX_STEPS, decimals)}")
    return steps


def from_text(text: str, *, what: str) -> Decimal:
    """The number that a person or a file wrote as plain digits; QuantityError naming `what` otherwise."""
    try:
        return Decimal(text)
    except InvalidOperation:
        raise QuantityError(f"{what}: {text!r} is not a number; write digits, such as 12.5") from None


def _decimal_steps(value: Any, decimals: int, meter: str) -> int:
    if not isinstance(value, Decimal):
        kind = type(value).__name__
        raise QuantityError(
            f"meter {meter!r}: quantity {value!r} is a {kind}; give an int or a Decimal, which are exact"
        )
    if not value.is_finite():
        raise QuantityError(f"meter {meter!r}: quantity {value} is not finite")
    if value and value.adjusted() < -40:
        raise QuantityError(
            f"meter {meter!r}: quantity {value} has more than {decimals} decimals; round it where it is measured"
        )
    if value.adjusted() > 40:
        raise QuantityError(f"meter {meter!r}: quantity {value} exceeds {from_steps(MAX_STEPS, decimals)}")
    sign, digits, exponent = value.as_tuple()
    shift = int(exponent) + decimals
    number: int = int("".join(map(str, digits)) or "0")
    if shift < 0:
        number, rest = divmod(number, 10**-shift)
        if rest:
            raise QuantityError(
                f"meter {meter!r}: quantity {value} has more than {decimals} decimals; "
                "round it where it is measured"
            )
    else:
        number *= 10**shift
    return -number if sign else number


def from_steps(steps: int, decimals: int) -> Decimal:
    """The exact Decimal of a number of steps, with `decimals` digits after the point."""
    sign = 1 if steps < 0 else 0
    return Decimal((sign, tuple(map(int, str(abs(steps)))), -decimals))


def to_text(steps: int, decimals: int) -> str:
    """The one canonical text of a quantity: plain digits, no exponent, no trailing zeros."""
    text = f"{from_steps(steps, decimals):f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
