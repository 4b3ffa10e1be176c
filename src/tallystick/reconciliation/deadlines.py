"""Deadlines: what is undelivered, until when the provider still bills it, and what came too late.

Alarms are findings at 50, 75 and 90 % of the time. What can no longer be reported is proposed as an
invoice item; it is never silently left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from tallystick.cycles import NOTHING_KNOWN, Level, Periods, Place, ask, cutoff, deadline, level, periods_of
from tallystick.delivery.links import Links
from tallystick.errors import ProviderError
from tallystick.ledger.absolutes import standing
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.sequencer import LIMB
from tallystick.meters import Catalogue
from tallystick.providers import Provider
from tallystick.storage import Flow, Statement
from tallystick.values.instant import MINUTE, SECOND, to_datetime
from tallystick.values.quantity import from_steps

FRESH = 10 * MINUTE  # how long what the provider said about a period is not asked for again
AT_ONCE = 1000
ASKED_AT_ONCE = 50

Row = tuple[Any, ...]
Known = Mapping[Place, Periods]


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
        rows, known = self._ledger.read(self._undelivered())
        known = {**known, **self._learn(rows, known, now)}
        return sum(self._alarm(one) for one in self._sorted(rows, known, now))

    def pressing(self) -> list[Pressing]:
        """All undelivered usage with its deadline, the most pressing first; from what is known, without asking."""
        rows, known = self._ledger.read(self._undelivered())
        return self._sorted(rows, known, self._ledger.clock.now())

    def missed(self) -> list[Pressing]:
        """What can no longer be reported, and only that: to be billed as invoice items."""
        now = self._ledger.clock.now()
        rows, known = self._ledger.read(self._undelivered())
        late = [one for one in self._sorted(rows, known, now) if one.level is Level.MISSED]
        return [self._ledger.read(self._late_part(one, self._periods(one, known), now)) for one in late]

    def _late_part(self, one: Pressing, periods: Periods, now: int) -> Flow[Pressing]:
        newest = periods.newest
        late = cutoff((newest.since, newest.until) if newest else None, self._provider.profile, now)
        about = {**self._ledger.where.of(one.customer), "meter": one.meter, "cutoff": late}
        [(entries, high, low)] = yield Statement("undelivered_before", about)
        if self._is_absolute(one.meter):
            quantity = yield from self._standing(one, late)
        else:
            quantity = self._units(one.meter, high, low)
        return msgspec.structs.replace(one, entries=entries, quantity=quantity)

    def _is_absolute(self, meter: str) -> bool:
        return meter in self._catalogue and self._catalogue[meter].formula.is_absolute

    def _standing(self, one: Pressing, until: int) -> Flow[Decimal]:
        """What an absolute meter stood at by what is late: what that adds up to means nothing."""
        meter = self._catalogue[one.meter]
        steps = yield from standing(self._ledger.where, one.customer, meter, one.oldest, until)
        return from_steps(steps, meter.decimals)

    def _sorted(self, rows: Sequence[Row], known: Known, now: int) -> list[Pressing]:
        links = self._links.linked({row[1] for row in rows})
        found = [self._pressing(row, links.get(row[1], ""), known, now) for row in rows]
        return sorted(found, key=lambda one: one.due_at)

    def _pressing(self, row: Row, link: str, known: Known, now: int) -> Pressing:
        lane, customer, meter, oldest, entries, high, low = row
        periods = known.get(self._place(lane, link, meter), NOTHING_KNOWN)
        due_at = deadline(oldest, _closing(periods, oldest), self._provider.profile)
        quantity = self._units(meter, high, low)
        return Pressing(customer, meter, link, entries, quantity, oldest, due_at, level(oldest, due_at, now))

    def _place(self, lane: int, link: str, meter: str) -> Place:
        name = self._catalogue[meter].provider_name if meter in self._catalogue else meter
        return (lane, self._where["tenant"], self._where["mode"], link, name)

    def _periods(self, one: Pressing, known: Known) -> Periods:
        lane = self._ledger.where.of(one.customer)["lane"]
        return known.get(self._place(lane, one.provider_customer, one.meter), NOTHING_KNOWN)

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
        amount = "usage" if self._is_absolute(one.meter) else one.quantity  # absolutes do not add up
        what = f"{amount} of {one.meter} of customer {one.customer!r} ({one.entries} entries)"
        if one.level is Level.MISSED:
            told = f"of {what} undelivered, some can no longer be reported since {when}; see: tallystick proposals"
            self._find("deadline_missed", f"{one.customer} {one.meter}", told)
        else:
            told = f"{what} is undelivered, {one.level.value} % of the time is used; the provider bills it until {when}"
            self._find("deadline_near", f"{one.customer} {one.meter}", told)
        return 1

    def _learn(self, rows: Sequence[Row], known: Known, now: int) -> dict[Place, Periods]:
        """Ask for the periods of those whose usage waits, and whose period was not asked for lately."""
        links = self._links.linked({row[1] for row in rows})
        places = {
            self._place(row[0], links[row[1]], row[2]): None
            for row in rows
            if row[1] in links and row[2] in self._catalogue and now - row[3] >= MINUTE
        }
        stale = [p for p in places if now - known.get(p, NOTHING_KNOWN).read_at >= FRESH]
        try:
            return ask(self._ledger, self._provider, stale[:ASKED_AT_ONCE])
        except ProviderError:
            return {}  # what is known stands; a provider that is away is told of elsewhere

    def _undelivered(self) -> Flow[tuple[list[Row], dict[Place, Periods]]]:
        rows = list((yield Statement("oldest_undelivered", {**self._where, "limit": AT_ONCE})))
        where = list(self._where.values())
        customers = sorted({(row[0], *where, row[1], self._links.provider) for row in rows})
        links = dict((yield Statement("find_links", rows=customers))) if customers else {}
        places = [self._place(row[0], links[row[1]], row[2]) for row in rows if row[1] in links]
        return rows, (yield from periods_of(places))


def _closing(periods: Periods, recorded_at: int) -> int | None:
    """When the period that usage lies in closes, in seconds; None: not known."""
    second = recorded_at // SECOND
    period = periods.at(second)
    if period is not None:
        return period.until
    first = periods.known[0] if periods.known else None
    return first.since if first is not None and second < first.since else None
