"""Pure rules of the meters that do not add up: where last, max and unique stand after some usage.

What counts is the usage as its corrections leave it, in the order of recording. Source: the formulas that
providers bill by (Stripe: `default_aggregation` of a meter); max and unique are computed here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import msgspec

from tallystick.meters import Formula, Meter


class Used(msgspec.Struct, frozen=True, gc=False):
    """A usage as its corrections leave it, in steps; `recorded_at` in microseconds since 1970 UTC."""

    entry: bytes
    recorded_at: int
    quantity: int
    attributes: str = ""


class Standing:
    """Where one absolute meter stands after the usages it was shown, oldest first."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._value = 0
        self._seen: set[str] = set()
        self.entries = 0

    def take(self, used: Iterable[Used]) -> Standing:
        """Go on with these."""
        for one in used:
            self.entries += 1
            if self._meter.formula is Formula.UNIQUE:
                if one.quantity > 0 and one.attributes:
                    self._seen.add(json.dumps(json.loads(one.attributes).get(self._meter.unique_of)))
            elif self._meter.formula is Formula.MAX:
                self._value = max(self._value, one.quantity)
            else:
                self._value = one.quantity
        return self

    @property
    def steps(self) -> int:
        """The value, in steps."""
        return len(self._seen) if self._meter.formula is Formula.UNIQUE else self._value
