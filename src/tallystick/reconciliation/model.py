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

    recorded = delivered + undelivered + parked, and delivered = the provider's total.
    """

    customer: str
    meter: str
    entries: int
    recorded: Decimal
    delivered: Decimal
    undelivered: Decimal
    provider: Decimal | None

    @property
    def difference(self) -> Decimal:
        """Recorded minus the provider's total (what is undelivered counts as missing)."""
        return self.recorded - (self.provider or Decimal(0))
