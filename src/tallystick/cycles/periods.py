"""The periods known from the provider: asked for outside of transactions, kept in the ledger's database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tallystick.ledger.ledger import Ledger
from tallystick.providers import Provider
from tallystick.storage import Flow, Statement
from tallystick.values.instant import HOUR, MINUTE, SECOND

Place = tuple[int, str, str, str, str]  # lane, tenant, mode, provider customer, provider meter
SURE_AFTER = MINUTE  # a period is sure for what was recorded so long before it was asked for
STALE = 6 * HOUR  # a running period is asked for again so long afterwards: a plan switch can have ended it


class Period(msgspec.Struct, frozen=True):
    """A billing cycle [since, until) in seconds since 1970 UTC; `read_at` in microseconds is when it was asked for."""

    since: int
    until: int
    read_at: int = 0

    def holds(self, second: int) -> bool:
        """Whether an instant lies in it."""
        return self.since <= second < self.until

    @property
    def sure_until(self) -> int:
        """The second up to which it has run for sure: a plan switch can have ended it since it was asked for."""
        return min(self.until, _sure_until(self.read_at))

    def followed(self, since: int, read_at: int) -> Period:
        """As it stands by a later word: the next period began (or none ran), which was said at `read_at`.

        Either it ran its time, or it was cut short, by a switch that is not known to be the only one.
        """
        if since < self.until:
            return msgspec.structs.replace(self, until=since)
        return msgspec.structs.replace(self, read_at=max(self.read_at, read_at))


class Periods(msgspec.Struct, frozen=True):
    """The periods of one place, oldest first, as the later ones leave them; `read_at`: when it was last asked."""

    known: tuple[Period, ...] = ()
    read_at: int = 0

    @classmethod
    def of(cls, found: Sequence[Period]) -> Periods:
        """Put in order what the provider has said; (0, 0) says that no period ran."""
        known: list[Period] = []
        for period in sorted((p for p in found if p.since < p.until), key=lambda p: p.since):
            if known:
                known[-1] = known[-1].followed(period.since, period.read_at)
            known.append(period)
        asked = max((p.read_at for p in found), default=0)
        if known and asked // SECOND >= known[-1].until:
            known[-1] = known[-1].followed(known[-1].until, asked)
        return cls(tuple(known), asked)

    @property
    def newest(self) -> Period | None:
        """The one that runs, or ran last."""
        return self.known[-1] if self.known else None

    def at(self, second: int) -> Period | None:
        """The one that an instant lies in; None: not known."""
        return next((p for p in reversed(self.known) if p.holds(second)), None)

    def closing(self, second: int) -> int | None:
        """When the period that an instant lies in ends, by what is known; None: not known."""
        period = self.at(second)
        if period is not None:
            return period.until
        first = self.known[0] if self.known else None
        return first.since if first is not None and second < first.since else None

    def closed(self, second: int) -> int | None:
        """When the period that an instant lies in ended, for sure; None: it runs, or that is not known."""
        closing, sure = self.closing(second), self.sure(second)
        return closing if self.at(second) is None or (sure is not None and sure.until == closing) else None

    def is_asked(self, second: int) -> bool:
        """Whether the provider was asked after that instant."""
        return second < _sure_until(self.read_at)

    def sure(self, second: int) -> Period | None:
        """The part of a period that an instant lies in for sure; None: the provider must be asked once more.

        What lies between the last reading of a period and the switch that ended it counts as its own.
        """
        period = self.at(second)
        if period is None or period is not self.newest:
            return period
        sure = msgspec.structs.replace(period, until=period.sure_until)
        return sure if sure.holds(second) else None


NOTHING_KNOWN = Periods()


def _sure_until(read_at: int) -> int:
    return (read_at - SURE_AFTER) // SECOND


def periods_of(places: Iterable[Place]) -> Flow[dict[Place, Periods]]:
    """What is known of these places."""
    rows: list[Any] = sorted(set(places))
    if not rows:
        return {}
    found: dict[Place, list[Period]] = {}
    for lane, tenant, mode, customer, meter, *period in (yield Statement("find_periods", rows=rows)):
        found.setdefault((lane, tenant, mode, customer, meter), []).append(Period(*period))
    return {place: Periods.of(periods) for place, periods in found.items()}


def ask(ledger: Ledger, provider: Provider, places: Iterable[Place]) -> dict[Place, Periods]:
    """Ask the provider for the running periods of some places, and keep its answers, that there is none too.

    ProviderError at the first that cannot be read; what was learned before it is kept.
    """
    learned: dict[Place, Period] = {}
    try:
        for place in places:
            said = provider.period(place[3], place[4]) or (0, 0)
            learned[place] = Period(*said, ledger.clock.now())
    finally:
        if learned:
            ledger.commit.run(errand=lambda: _keeping(learned))
    return ledger.read(periods_of(learned))


def _keeping(learned: Mapping[Place, Period]) -> Flow[None]:
    yield Statement(
        "keep_periods", rows=sorted((*place, p.since, p.until, p.read_at) for place, p in learned.items())
    )


def unknown_places(ledger: Ledger, meter: str, *, asked_before: int, limit: int) -> list[Place]:
    """Where a provider's meter was told something and the running period is to be asked for, the longest unasked first.

    That is where none is known nor was asked for since, or where what is known is stale.
    """
    now = ledger.clock.now()
    where = {"tenant": ledger.where.tenant, "mode": ledger.where.mode, "provider_meter": meter}
    bounds = {"second": now // SECOND, "asked_before": asked_before, "stale": now - STALE, "limit": limit}
    return ledger.read(_unknown({**where, **bounds}))


def _unknown(params: dict[str, Any]) -> Flow[list[Place]]:
    rows = yield Statement("unknown_periods", params)
    return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]
