"""The periods known from the provider: asked for outside of transactions, kept in the ledger's database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tallystick.ledger.ledger import Ledger
from tallystick.providers import Provider
from tallystick.storage import Flow, Statement
from tallystick.values.instant import SECOND

Place = tuple[int, str, str, str, str]  # lane, tenant, mode, provider customer, provider meter


class Period(msgspec.Struct, frozen=True):
    """A billing cycle [since, until) in seconds since 1970 UTC; `read_at` in microseconds is when it was asked for."""

    since: int
    until: int
    read_at: int = 0

    def holds(self, second: int) -> bool:
        """Whether an instant lies in it."""
        return self.since <= second < self.until


class Periods(msgspec.Struct, frozen=True):
    """The periods of one place, oldest first: the newest, and those before it as they were cut short."""

    known: tuple[Period, ...] = ()
    read_at: int = 0

    @classmethod
    def of(cls, found: Sequence[Period]) -> Periods:
        """Put in order what the provider has said; where periods overlap, the later word cut the earlier short.

        A plan switch can end a period before its time, and start the next one there.
        """
        cut: list[Period] = []
        for period in sorted((p for p in found if p.since < p.until), key=lambda p: p.since):
            if cut:
                cut[-1] = msgspec.structs.replace(cut[-1], until=min(cut[-1].until, period.since))
            cut.append(period)
        return cls(tuple(cut), max((p.read_at for p in found), default=0))

    @property
    def newest(self) -> Period | None:
        """The one that runs, or ran last."""
        return self.known[-1] if self.known else None

    def at(self, second: int) -> Period | None:
        """The one that an instant lies in; None: not known."""
        return next((p for p in reversed(self.known) if p.holds(second)), None)


NOTHING_KNOWN = Periods()


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
    """Where a provider's meter is written and no running period is known, nor was asked for since."""
    now = ledger.clock.now()
    where = {"tenant": ledger.where.tenant, "mode": ledger.where.mode, "provider_meter": meter}
    bounds = {"second": now // SECOND, "asked_before": asked_before, "limit": limit}
    return ledger.read(_unknown({**where, **bounds}))


def _unknown(params: dict[str, Any]) -> Flow[list[Place]]:
    rows = yield Statement("unknown_periods", params)
    return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]
