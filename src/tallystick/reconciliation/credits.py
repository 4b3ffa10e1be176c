"""Totals below zero: the provider bills them as nothing, and what the customer should get back vanishes.

Only a correction can bring a total there, so one is looked at when it is posted: it stands, and is told of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tallystick.cycles import NOTHING_KNOWN, Period, periods_of
from tallystick.delivery.links import Links
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.model import Entry
from tallystick.ledger.reading import FOREVER
from tallystick.meters import Catalogue, Meter
from tallystick.values.instant import SECOND, to_datetime
from tallystick.values.quantity import from_steps


class Credits:
    """Looks at corrections of one tenant and mode; `find` takes findings (code, subject, message)."""

    def __init__(
        self, ledger: Ledger, catalogue: Catalogue, links: Links, find: Callable[[str, str, str], None]
    ) -> None:
        self._ledger = ledger
        self._catalogue = catalogue
        self._links = links
        self._find = find

    def look_at(self, posted: Iterable[Entry]) -> None:
        """Tell of those that brought their customer's total below zero: of the running period, where it is known."""
        for entry in posted:
            meter = self._catalogue[entry.meter]
            if entry.quantity < 0 and not meter.formula.is_absolute:
                self._look_at(entry, meter)

    def _look_at(self, entry: Entry, meter: Meter) -> None:
        period = self._running(entry, meter)
        since = 0 if period is None else period.since * SECOND
        [total] = self._ledger.usage(entry.customer, meter, since, FOREVER)
        if total.quantity >= 0:
            return
        when = "" if period is None else f" since {to_datetime(since):%Y-%m-%d %H:%M} UTC"
        self._find(
            "negative_total",
            f"{entry.customer} {meter.name}",
            f"customer {entry.customer!r} has {total.quantity} of {meter.name}{when}, after a correction by "
            f"{from_steps(entry.quantity, meter.decimals)}; below zero is billed as 0: credit the rest yourself",
        )

    def _running(self, entry: Entry, meter: Meter) -> Period | None:
        linked = self._links.linked({entry.customer}).get(entry.customer)
        if linked is None:
            return None
        place = (entry.lane, entry.tenant, entry.mode, linked, meter.provider_name)
        known = self._ledger.read(periods_of([place])).get(place, NOTHING_KNOWN)
        return known.at(self._ledger.clock.now() // SECOND)
