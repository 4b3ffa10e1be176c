"""Deadlines: what is undelivered, until when the provider still bills it, and what came too late.

Alarms are findings at 50, 75 and 90 % of the time. What can no longer be reported is proposed as an
invoice item; it is never silently left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from tallystick.cycles import (
    NOTHING_KNOWN,
    Level,
    Period,
    Periods,
    Place,
    ask,
    cutoff,
    deadline,
    level,
    periods_of,
)
from tallystick.delivery.absolutes import newest_billed
from tallystick.delivery.links import Links
from tallystick.delivery.model import Slot
from tallystick.delivery.rules import prefix_of
from tallystick.errors import ActionError, ProviderError
from tallystick.ledger.absolutes import standing
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.sequencer import LIMB
from tallystick.meters import Catalogue, Meter
from tallystick.providers import Provider
from tallystick.reconciliation.exclusions import Late, Settled, Word, exclude, settled_before
from tallystick.storage import Flow, Statement
from tallystick.values.instant import DAY, MINUTE, SECOND, to_datetime
from tallystick.values.quantity import from_steps

FRESH = 10 * MINUTE  # how long what the provider said about a period is not asked for again
AT_ONCE = 1000  # customers and meters looked at by one chore, the oldest first
MOST = 100_000  # and by a person
ASKED_AT_ONCE = 50

Row = tuple[Any, ...]
Known = Mapping[Place, Periods]
# What an alarm is about: customer, meter, missed or not, day of the deadline.
Subject = tuple[str, str, bool, int]


class Pressing(msgspec.Struct, frozen=True):
    """Undelivered usage of one customer and meter; instants in microseconds since 1970 UTC."""

    customer: str
    meter: str
    provider_customer: str
    entries: int
    quantity: Decimal
    oldest: int
    due_at: int  # of the oldest, and of the newest that can no longer be reported
    last_due_at: int
    level: Level
    before: int = 0  # of what can no longer be reported: all of it was recorded before this instant


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
        self._told: dict[Subject, Level] = {}

    def chore(self) -> int:
        """The relay's piece of upkeep: one look a minute; how many alarms were raised."""
        now = self._ledger.clock.now()
        if now < self._next <= now + MINUTE:
            return 0
        self._next = now + MINUTE
        rows, known = self._ledger.read(self._undelivered(AT_ONCE))
        known = {**known, **self._learn(rows, known, now)}
        found = self._sorted(rows, known, now)
        higher = [one for one in found if one.level > self._told.get(_subject(one), Level.CALM)]
        for one in higher:
            self._alarm(one)
        self._told = {_subject(one): one.level for one in found}
        return len(higher)

    def pressing(self) -> list[Pressing]:
        """All undelivered usage with its deadline, the most pressing first; from what is known, without asking.

        What can no longer be reported stands apart from what was recorded later.
        """
        rows, known = self._ledger.read(self._undelivered(MOST))
        return self._sorted(rows, known, self._ledger.clock.now())

    def missed(self) -> list[Pressing]:
        """What can no longer be reported, and only that: to be billed as invoice items."""
        return [one for one in self.pressing() if one.level is Level.MISSED]

    def settle(
        self, customer: str, meter: str, quantity: Decimal, *, reason: str, by: str, before: int | None = None
    ) -> Settled:
        """A person's word that a proposal was billed otherwise, by an invoice item: it is excluded, and never sent.

        `quantity` is what was billed. More of it may have come too late since it was listed: `before` is what the
        list said then. ActionError when the proposal is another by now, some of it is under way, or reason or name
        is missing; by the same word a second time nothing happens.
        """
        if not reason.strip() or not by.strip():
            raise ActionError("say why and who: --reason and --by are kept with the exclusion")
        word = Word(reason, by, self._ledger.clock.now())
        one = next(iter(self._missed_of(customer, meter)), None)
        if one is not None and before is not None:
            one = _as_listed(one, before, quantity)
        settled: Settled = self._ledger.commit.run(
            errand=lambda: self._settling(customer, meter, one, quantity, word)
        )
        if not self._missed_of(customer, meter):
            told = {"code": "deadline_missed", "subject": f"{customer} {meter}", "by": by, "now": word.at}
            self._ledger.commit.run(errand=lambda: _closing({**self._where, **told}))
        return settled

    def _missed_of(self, customer: str, meter: str) -> list[Pressing]:
        return [one for one in self.missed() if (one.customer, one.meter) == (customer, meter)]

    def levels(self) -> dict[str, int]:
        """Of how many customers and meters undelivered usage has reached each level of alarm."""
        found = Counter(one.level for one in self.pressing())
        return {level.name.lower(): found[level] for level in Level if level is not Level.CALM}

    def _settling(
        self, customer: str, meter: str, one: Pressing | None, quantity: Decimal, word: Word
    ) -> Flow[Settled]:
        place = self._place(
            self._ledger.where.of(customer)["lane"], one.provider_customer if one else "", meter
        )
        periods = (yield from periods_of([place])).get(place, NOTHING_KNOWN)
        declared = self._catalogue[meter] if meter in self._catalogue else Meter(meter)
        late = Late(place, customer, declared, periods, one.before if one else 0)
        shown = one.quantity if one else None
        if one is not None and declared.formula.is_absolute:
            period = periods.at(one.oldest // SECOND)
            shown = yield from self._difference(one, period, one.oldest, one.before)
        if shown != quantity:
            settled = yield from settled_before(late, quantity, word)
            if settled is None:
                raise ActionError(_no_proposal(customer, meter, shown, quantity))
            return settled
        if declared.formula.is_absolute and not place[3]:
            raise ActionError(
                f"customer {customer!r} is not linked: its value could not be carried on; link it first"
            )
        prefix, new_id = prefix_of(self._ledger.identity), self._ledger.ids.next
        return (yield from exclude(late, quantity, word, prefix, self._provider.profile, new_id))

    def _parts(self, one: Pressing, periods: Periods, now: int) -> Flow[list[Pressing]]:
        """Undelivered usage whose oldest is too late: that which is, and that which is not.

        Absolutes do not add up over periods: of theirs the oldest period stands apart, too.
        """
        profile, newest = self._provider.profile, periods.newest
        late = until = cutoff((newest.since, newest.until) if newest else None, profile, now)
        period = periods.at(one.oldest // SECOND)
        if period is not None and self._is_absolute(one.meter):
            until = min(late, period.until * SECOND)
        about = {**self._ledger.where.of(one.customer), "meter": one.meter, "cutoff": until}
        found = []
        for is_late, oldest, last, entries, high, low in (yield Statement("undelivered_around", about)):
            due_at, last_due_at = (
                deadline(at, periods.closing(at // SECOND), profile) for at in (oldest, last)
            )
            quantity = self._units(one.meter, high, low)
            reached = Level.MISSED if is_late else level(oldest, due_at, now)
            if reached is Level.MISSED and self._is_absolute(one.meter):
                quantity = yield from self._difference(one, periods.at(oldest // SECOND), oldest, late)
            changes = {"oldest": oldest, "due_at": due_at, "last_due_at": last_due_at, "level": reached}
            changes["before"] = until if is_late else 0
            found.append(msgspec.structs.replace(one, entries=entries, quantity=quantity, **changes))
        return found

    def _is_absolute(self, meter: str) -> bool:
        return meter in self._catalogue and self._catalogue[meter].formula.is_absolute

    def _difference(self, one: Pressing, period: Period | None, oldest: int, until: int) -> Flow[Decimal]:
        """What an absolute meter stood at by what is late, beyond what of that period was told, or billed otherwise."""
        meter = self._catalogue[one.meter]
        span = period or Period(oldest // SECOND, until // SECOND)
        steps = yield from standing(
            self._ledger.where, one.customer, meter, span.since * SECOND, min(until, span.until * SECOND)
        )
        place = self._place(self._ledger.where.of(one.customer)["lane"], one.provider_customer, one.meter)
        told = yield from newest_billed(Slot(place, 0, 0), span)
        return from_steps(steps - (told.quantity if told else 0), meter.decimals)

    def _sorted(self, rows: Sequence[Row], known: Known, now: int) -> list[Pressing]:
        links = self._links.linked({row[1] for row in rows})
        found: list[Pressing] = []
        for row in rows:
            one = self._pressing(row, links.get(row[1], ""), known, now)
            if one.level is Level.MISSED:
                found += self._ledger.read(self._parts(one, self._periods(one, known), now))
            else:
                found.append(one)
        return sorted(found, key=lambda one: one.due_at)

    def _pressing(self, row: Row, link: str, known: Known, now: int) -> Pressing:
        lane, customer, meter, oldest, entries, high, low = row
        periods = known.get(self._place(lane, link, meter), NOTHING_KNOWN)
        due_at = deadline(oldest, periods.closing(oldest // SECOND), self._provider.profile)
        quantity = self._units(meter, high, low)
        reached = level(oldest, due_at, now)
        return Pressing(customer, meter, link, entries, quantity, oldest, due_at, due_at, reached)

    def _place(self, lane: int, link: str, meter: str) -> Place:
        name = self._catalogue[meter].provider_name if meter in self._catalogue else meter
        return (lane, self._where["tenant"], self._where["mode"], link, name)

    def _periods(self, one: Pressing, known: Known) -> Periods:
        lane = self._ledger.where.of(one.customer)["lane"]
        return known.get(self._place(lane, one.provider_customer, one.meter), NOTHING_KNOWN)

    def _units(self, meter: str, high: Any, low: Any) -> Decimal:
        decimals = self._catalogue[meter].decimals if meter in self._catalogue else 0
        return from_steps(int(high) * LIMB + int(low), decimals)

    def _alarm(self, one: Pressing) -> None:
        when = f"{to_datetime(one.due_at):%Y-%m-%d %H:%M} UTC"
        amount = "usage" if self._is_absolute(one.meter) else one.quantity  # absolutes do not add up
        what = f"{amount} of {one.meter} of customer {one.customer!r} ({one.entries} entries)"
        if one.level is Level.MISSED:
            told = f"{what} can no longer be reported, the oldest since {when}; see: tallystick proposals"
            self._find("deadline_missed", f"{one.customer} {one.meter}", told)
        else:
            told = f"{what} is undelivered, {one.level.value} % of the time is used; the provider bills it until {when}"
            self._find("deadline_near", f"{one.customer} {one.meter}", told)

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

    def _undelivered(self, limit: int) -> Flow[tuple[list[Row], dict[Place, Periods]]]:
        rows = list((yield Statement("oldest_undelivered", {**self._where, "limit": limit})))
        where = list(self._where.values())
        customers = sorted({(row[0], *where, row[1], self._links.provider) for row in rows})
        links = dict((yield Statement("find_links", rows=customers))) if customers else {}
        places = [self._place(row[0], links[row[1]], row[2]) for row in rows if row[1] in links]
        return rows, (yield from periods_of(places))


def _subject(one: Pressing) -> Subject:
    return (one.customer, one.meter, one.level is Level.MISSED, one.last_due_at // DAY)


def _closing(told: dict[str, Any]) -> Flow[None]:
    yield Statement("close_findings", told)


def _no_proposal(customer: str, meter: str, shown: Decimal | None, quantity: Decimal) -> str:
    about = f"{meter} of customer {customer!r}"
    if shown is None:
        return f"no proposal about {about}; `tallystick proposals` lists them"
    return f"the proposal about {about} is {shown}, not {quantity}; look again: tallystick proposals"


def _as_listed(one: Pressing, before: int, quantity: Decimal) -> Pressing | None:
    """A proposal as it was when it was listed; None: what it was then is settled."""
    if before > one.before:
        raise ActionError(
            "what was recorded then is not all too late; give --before as tallystick proposals says it"
        )
    return msgspec.structs.replace(one, before=before, quantity=quantity) if one.oldest < before else None
