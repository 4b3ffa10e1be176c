"""What reconciliation has to say."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """Something a person should know: a value that is kept and shown, not only a log line."""

    code: str
    subject: str
    message: str


class Balance(msgspec.Struct, frozen=True):
    """One customer and meter, side by side; quantities in units of the meter.

    recorded = excluded + delivered + undelivered, and delivered = the provider's total. Excluded is what was
    recorded in shadow or before the meter's `report_from` (in shadow it is compared with the provider's total,
    which somebody else's reporting made), and what a person said was billed otherwise (`tallystick proposals`).
    `opening` is what others had told the provider in the running period before `report_from`: the period's
    invoice bills it beside what we delivered.
    """

    customer: str
    meter: str
    entries: int
    recorded: Decimal
    delivered: Decimal
    undelivered: Decimal
    provider: Decimal | None
    excluded: Decimal = Decimal(0)
    shadow: bool = False
    opening: Decimal = Decimal(0)

    @property
    def difference(self) -> Decimal:
        """What should be at the provider minus its total (what is undelivered counts as missing)."""
        return self.recorded - (Decimal(0) if self.shadow else self.excluded) - (self.provider or Decimal(0))
