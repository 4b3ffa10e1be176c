"""Quantities are exact, finite, non-negative and bounded (T10)."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.errors import QuantityError
from tallystick.values.quantity import MAX_STEPS, from_steps, to_steps, to_text


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (1.5, "float"),
        (True, "bool"),
        ("3", "str"),
        (None, "NoneType"),
        (Decimal("NaN"), "not finite"),
        (Decimal("Infinity"), "not finite"),
        (-1, "negative"),
        (Decimal("-0.5"), "negative"),
        (Decimal("0.001"), "more than 2 decimals"),
        (10**18, "exceeds"),
        (Decimal("1e999"), "exceeds"),
        (Decimal("1e-3000000"), "more than 2 decimals"),
        pytest.param(10**5000, "exceeds", id="5001 digits"),
    ],
)
def test_refused_with_meter_and_value_named(value: object, word: str) -> None:
    """A quantity that is not exact, finite, non-negative and in bounds names meter, value and trouble."""
    with pytest.raises(QuantityError) as caught:
        to_steps(value, 2, meter="storage")
    assert "'storage'" in str(caught.value)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.integers(0, MAX_STEPS), st.integers(0, 12))
def test_steps_come_back_as_they_went_in(steps: int, decimals: int) -> None:
    """Steps, Decimal and text are three forms of one exact number."""
    exact = from_steps(steps, decimals)
    assert to_steps(exact, decimals, meter="m") == steps
    assert to_steps(Decimal(to_text(steps, decimals)), decimals, meter="m") == steps


@given(st.decimals(min_value=0, max_value=10**9, places=4))
def test_decimals_are_taken_digit_by_digit(value: Decimal) -> None:
    """No digit is lost or invented on the way."""
    assert from_steps(to_steps(value, 4, meter="m"), 4) == value


def test_text_is_canonical() -> None:
    """One number has one text: no exponent, no trailing zeros, no negative zero."""
    assert [to_text(n, 3) for n in (0, 1, 1000, 1500, -1500, 10**15)] == [
        "0", "0.001", "1", "1.5", "-1.5", "1000000000000",
    ]  # fmt: skip
