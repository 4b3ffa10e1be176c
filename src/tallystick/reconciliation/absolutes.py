"""Tie-out of the meters that do not add up: where the running period stands here, was told, and is there."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from tallystick.cycles import NOTHING_KNOWN, Period, periods_of
from tallystick.delivery.absolutes import newest_billed, newest_taken
from tallystick.delivery.model import Slot
from tallystick.ledger.absolutes import standing
from tallystick.ledger.ledger import Ledger
from tallystick.meters import Formula, Meter
from tallystick.providers import Provider
from tallystick.reconciliation.model import Balance
from tallystick.storage import Flow
from tallystick.values.instant import MINUTE, SECOND
from tallystick.values.quantity import from_steps

_A_MINUTE = MINUTE // SECOND


class Stand(msgspec.Struct, frozen=True):
    """Where a period stands, in steps: by the entries, by what the provider took (None: it was told nothing), and by
    what was billed, there or otherwise.
    """

    recorded: int
    told: int | None
    billed: int
    span: Period


def balance(
    ledger: Ledger,
    meter: Meter,
    customer: str,
    entries: int,
    provider: Provider | None,
    link: str,
    *,
    excluded: bool,
) -> Balance:
    """The running period, or the last one known, of one customer; ProviderError when the total cannot be read."""
    stand = ledger.read(_stand(ledger, meter, customer, link))
    total = None
    if provider is not None and link:
        total = Decimal(0)
        if stand.told is not None or excluded:
            since, until = stand.span.since // _A_MINUTE, -(-stand.span.until // _A_MINUTE)
            read = provider.total(link, meter.provider_name, since * _A_MINUTE, until * _A_MINUTE)
            total = provider.profile.meant(read, meter.decimals)
    recorded = from_steps(stand.recorded, meter.decimals)
    told = from_steps(stand.told or 0, meter.decimals)
    settled = from_steps(stand.billed, meter.decimals) - told
    shadow = excluded and stand.told is None and not settled
    left_out = recorded if shadow else settled
    return Balance(
        customer, meter.name, entries, recorded, told, recorded - told - left_out, total, left_out, shadow
    )


def _stand(ledger: Ledger, meter: Meter, customer: str, link: str) -> Flow[Stand]:
    place = ledger.where.of(customer)
    key = (place["lane"], place["tenant"], place["mode"], link, meter.provider_name)
    now = ledger.clock.now() // SECOND
    known = (yield from periods_of([key])).get(key, NOTHING_KNOWN)
    period = known.at(now) or known.newest or Period(0, now + 1)
    told = yield from newest_taken(Slot(key, 0, 0), period)
    billed = yield from newest_billed(Slot(key, 0, 0), period)
    since = 0 if meter.formula is Formula.LAST and meter.carry else period.since
    recorded = yield from standing(ledger.where, customer, meter, since * SECOND, period.until * SECOND)
    start = told.happened_at if told is not None and known.newest is None else period.since
    span = Period(start, min(period.until, now + 1))
    return Stand(recorded, told.quantity if told else None, billed.quantity if billed else 0, span)
