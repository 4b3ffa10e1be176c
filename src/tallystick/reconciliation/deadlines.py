"""Deadlines: what is undelivered, until when the provider still bills it, and what came too late.

Alarms are findings at 50, 75 and 90 % of the time. What can no longer be reported is proposed as an
invoice item; it is never silently left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from tallystick.cycles import Level, cutoff, deadline, level
from tallystick.delivery.links import Links
from tallystick.errors import ProviderError
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.sequencer import LIMB
from tallystick.meters import Catalogue
from tallystick.providers import Provider
from tallystick.storage import Flow, Statement
from tallystick.values.instant import HOUR, MINUTE, SECOND, to_datetime
from tallystick.values.quantity import from_steps

FRESH = HOUR  # how long what the provider said about a period is believed
AT_ONCE = 1000

Row = tuple[Any, ...]
Place = tuple[str, str]  # provider customer, provider meter
Period = tuple[int, int, int]  # [start, end) in seconds since 1970 UTC, and the microsecond it was asked for


class Pressing(msgspec.Struct, frozen=True):
    """Undelivered usage of one customer and meter; instants in microseconds since 1970 UTC."""

    customer: str
    meter: str
    provider_customer: str
    entries: int
    quantity: Decimal
    oldest: int
    due_at: int
    level: Level


class Deadlines:
    """The deadlines of one tenant and mode."""

    def __init__(
        self,
        ledger: Ledger,
        catalogue: Catalogue,
        provider: Provider,
        links: Links,
        find: Callable[[str, str, str], None],
    ) -> None:
        self._ledger = ledger
        self._catalogue = catalogue
        self._provider = provider
        self._links = links
        self._find = find
        self._where = {"tenant": ledger.where.tenant, "mode": ledger.where.mode}
        self._next = 0
        self._told: dict[tuple[str, str], Level] = {}

    def chore(self) -> int:
        """The relay's piece of upkeep: one look a minute; how many alarms were raised."""
        now = self._ledger.clock.now()
        if now < self._next <= now + MINUTE:
            return 0
        self._next = now + MINUTE
        rows, periods = self._ledger.read(self._undelivered())
        periods |= self._learn(rows, periods, now)
        return sum(self._alarm(one) for one in self._sorted(rows, periods, now))

    def pressing(self) -> list[Pressing]:
        """All undelivered usage with its deadline, the most pressing first; from what is known, without asking."""
        rows, periods = self._ledger.read(self._undelivered())
        return self._sorted(rows, periods, self._ledger.clock.now())

    def missed(self) -> list[Pressing]:
        """What can no longer be reported, and only that: to be billed as invoice items."""
        now = self._ledger.clock.now()
        rows, periods = self._ledger.read(self._undelivered())
        late = [one for one in self._sorted(rows, periods, now) if one.level is Level.MISSED]
        return [self._ledger.read(self._late_part(one, periods.get(self._place(one)), now)) for one in late]

    def _late_part(self, one: Pressing, period: Period | None, now: int) -> Flow[Pressing]:
        late = cutoff(period[:2] if period else None, self._provider.profile, now)
        about = {**self._ledger.where.of(one.customer), "meter": one.meter, "cutoff": late}
        [(entries, high, low)] = yield Statement("undelivered_before", about)
        quantity = self._units(one.meter, high, low)
        return msgspec.structs.replace(one, entries=entries, quantity=quantity)

    def _sorted(self, rows: Sequence[Row], periods: Mapping[Place, Period], now: int) -> list[Pressing]:
        links = self._links.linked({row[1] for row in rows})
        found = [self._pressing(row, links.get(row[1], ""), periods, now) for row in rows]
        return sorted(found, key=lambda one: one.due_at)

    def _pressing(self, row: Row, link: str, periods: Mapping[Place, Period], now: int) -> Pressing:
        _, customer, meter, oldest, entries, high, low = row
        closes_at = _closing(periods.get((link, self._provider_name(meter))), oldest)
        due_at = deadline(oldest, closes_at, self._provider.profile)
        quantity = self._units(meter, high, low)
        return Pressing(customer, meter, link, entries, quantity, oldest, due_at, level(oldest, due_at, now))

    def _provider_name(self, meter: str) -> str:
        """A meter's name at the provider; the ledger may hold meters that are not declared any more."""
        return self._catalogue[meter].provider_name if meter in self._catalogue else meter

    def _place(self, one: Pressing) -> Place:
        return (one.provider_customer, self._provider_name(one.meter))

    def _units(self, meter: str, high: Any, low: Any) -> Decimal:
        decimals = self._catalogue[meter].decimals if meter in self._catalogue else 0
        return from_steps(int(high) * LIMB + int(low), decimals)

    def _alarm(self, one: Pressing) -> int:
        place = (one.customer, one.meter)
        if one.level <= self._told.get(place, Level.CALM):
            if one.level is Level.CALM:
                self._told.pop(place, None)
            return 0
        self._told[place] = one.level
        when = f"{to_datetime(one.due_at):%Y-%m-%d %H:%M} UTC"
        what = f"{one.quantity} of {one.meter} of customer {one.customer!r} ({one.entries} entries)"
        if one.level is Level.MISSED:
            told = f"of {what} undelivered, some can no longer be reported since {when}; see: tallystick proposals"
            self._find("deadline_missed", f"{one.customer} {one.meter}", told)
        else:
            told = f"{what} is undelivered, {one.level.value} % of the time is used; the provider bills it until {when}"
            self._find("deadline_near", f"{one.customer} {one.meter}", told)
        return 1

    def _learn(self, rows: Sequence[Row], periods: Mapping[Place, Period], now: int) -> dict[Place, Period]:
        """Ask for the periods of those whose usage waits, and whose period is not known afresh."""
        links = self._links.linked({row[1] for row in rows})
        learned: dict[Place, Period] = {}
        for row in rows:
            link = links.get(row[1])
            if link is None or row[2] not in self._catalogue or now - row[3] < MINUTE:
                continue
            place = (link, self._provider_name(row[2]))
            if place in learned or now - periods.get(place, (0, 0, 0))[2] < FRESH:
                continue
            try:
                period = self._provider.period(*place)
            except ProviderError:
                break  # what is known stands; a provider that is away is told of elsewhere
            if period is not None:
                learned[place] = (*period, now)
        if learned:
            kept: list[Row] = sorted((*self._where.values(), *place, *p) for place, p in learned.items())
            self._ledger.commit.run(errand=lambda: _keeping(kept))
        return learned

    def _undelivered(self) -> Flow[tuple[list[Row], dict[Place, Period]]]:
        rows = yield Statement("oldest_undelivered", {**self._where, "limit": AT_ONCE})
        known = yield Statement("find_periods", self._where)
        return list(rows), {(row[0], row[1]): (row[2], row[3], row[4]) for row in known}


def _closing(period: Period | None, recorded_at: int) -> int | None:
    """When the period that usage lies in closes, in seconds: this one, or the one before it."""
    if period is None:
        return None
    since, until, _ = period
    at = recorded_at // SECOND
    if at < since:
        return since
    return until if at < until else None


def _keeping(rows: list[Row]) -> Flow[None]:
    yield Statement("keep_periods", rows=rows)
