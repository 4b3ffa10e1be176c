"""Deadlines: what is undelivered, until when the provider still bills it, and what came too late.

Alarms are findings at 50, 75 and 90 % of the time. What can no longer be reported is proposed as an
invoice item; it is never silently left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
        self._refresh(now)
        return sum(self._alarm(one) for one in self.pressing())

    def pressing(self) -> list[Pressing]:
        """All undelivered usage with its deadline, the most pressing first; from what is known, without asking."""
        now = self._ledger.clock.now()
        rows, periods = self._ledger.read(self._undelivered())
        links = self._links.linked({row[1] for row in rows})
        found = [self._pressing(row, links.get(row[1], ""), periods, now) for row in rows]
        return sorted(found, key=lambda one: one.due_at)

    def missed(self) -> list[Pressing]:
        """What can no longer be reported, and only that: to be billed as invoice items."""
        now = self._ledger.clock.now()
        late = [one for one in self.pressing() if one.level is Level.MISSED]
        periods = self._ledger.read(self._undelivered())[1]
        return [self._ledger.read(self._late_part(one, periods, now)) for one in late]

    def _late_part(
        self, one: Pressing, periods: dict[tuple[str, str], tuple[int, int, int]], now: int
    ) -> Flow[Pressing]:
        known = one.meter in self._catalogue
        name = self._catalogue[one.meter].provider_name if known else one.meter
        period = periods.get((one.provider_customer, name))
        late = cutoff(period[:2] if period else None, self._provider.profile, now)
        about = {**self._ledger.where.of(one.customer), "meter": one.meter, "cutoff": late}
        [(entries, high, low)] = yield Statement("undelivered_before", about)
        decimals = self._catalogue[one.meter].decimals if known else 0
        quantity = from_steps(int(high) * LIMB + int(low), decimals)
        return msgspec.structs.replace(one, entries=entries, quantity=quantity)

    def _pressing(
        self, row: Sequence[Any], link: str, periods: dict[tuple[str, str], tuple[int, int, int]], now: int
    ) -> Pressing:
        _, customer, meter, oldest, entries, high, low = row
        known = meter in self._catalogue
        name = self._catalogue[meter].provider_name if known else meter
        closes_at = _closing(periods.get((link, name)), oldest)
        due_at = deadline(oldest, closes_at, self._provider.profile)
        steps = int(high) * LIMB + int(low)
        quantity = from_steps(steps, self._catalogue[meter].decimals if known else 0)
        return Pressing(customer, meter, link, entries, quantity, oldest, due_at, level(oldest, due_at, now))

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

    def _refresh(self, now: int) -> None:
        """Ask for the periods of those whose usage waits, and whose period is not known afresh."""
        rows, periods = self._ledger.read(self._undelivered())
        links = self._links.linked({row[1] for row in rows})
        learned: list[tuple[Any, ...]] = []
        for row in rows:
            link = links.get(row[1])
            if link is None or row[2] not in self._catalogue or now - row[3] < MINUTE:
                continue
            name = self._catalogue[row[2]].provider_name
            if now - periods.get((link, name), (0, 0, 0))[2] < FRESH:
                continue
            try:
                period = self._provider.period(link, name)
            except ProviderError:
                break  # what is known stands; a provider that is away is told of elsewhere
            if period is not None:
                learned.append((*self._where.values(), link, name, *period, now))
        if learned:
            self._ledger.commit.run(errand=lambda: _keeping(sorted(set(learned))))

    def _undelivered(self) -> Flow[tuple[list[Any], dict[tuple[str, str], tuple[int, int, int]]]]:
        rows = yield Statement("oldest_undelivered", {**self._where, "limit": AT_ONCE})
        known = yield Statement("find_periods", self._where)
        return list(rows), {(row[0], row[1]): (row[2], row[3], row[4]) for row in known}


def _closing(period: tuple[int, int, int] | None, recorded_at: int) -> int | None:
    """When the period that usage lies in closes, in seconds: this one, or the one before it."""
    if period is None:
        return None
    since, until, _ = period
    at = recorded_at // SECOND
    if at < since:
        return since
    return until if at < until else None


def _keeping(rows: list[tuple[Any, ...]]) -> Flow[None]:
    yield Statement("keep_periods", rows=rows)
