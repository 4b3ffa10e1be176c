"""Tie-out: recorded, excluded, delivered and the provider's total, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec

from tallystick.delivery.links import Links
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.sequencer import LIMB
from tallystick.meters import Catalogue, Meter
from tallystick.providers import Provider
from tallystick.reconciliation import absolutes
from tallystick.reconciliation.model import Balance
from tallystick.storage import Flow, Statement
from tallystick.values.instant import MINUTE, SECOND, from_datetime
from tallystick.values.quantity import from_steps

_A_MINUTE = MINUTE // SECOND


def tie_out(ledger: Ledger, catalogue: Catalogue, provider: Provider | None, links: Links) -> list[Balance]:
    """Every customer and meter with usage: recorded, excluded, delivered, and the provider's own total.

    Recorded quantities are added up from the raw entries; the provider is asked for whole minutes around
    what was delivered, or, where nothing ever was (shadow), from the first recorded minute until now: the
    application may tell it later than we record. ProviderError when it cannot be read.
    """
    recorded = ledger.recomputed_totals()
    delivered = ledger.read(_delivered(ledger))
    excluded = ledger.read(_excluded(ledger))
    settled = ledger.read(_settled(ledger))
    known = links.linked({customer for customer, _ in recorded}) if provider is not None else {}
    found = []
    for (customer, name), (entries, steps) in sorted(recorded.items()):
        meter = catalogue[name] if name in catalogue else Meter(name)
        link = known.get(customer, "")
        if meter.formula.is_absolute:
            left_out = (customer, name) in excluded
            balance = absolutes.balance(ledger, meter, customer, entries, provider, link, excluded=left_out)
        else:
            otherwise = settled.get((customer, name), 0)
            not_owed = excluded.get((customer, name), (0, 0, 0))
            recorded_here = _Recorded(customer, entries, steps, otherwise, *not_owed)
            sent = [row for row in delivered if row.customer == customer and row.meter == name]
            balance = _added(recorded_here, meter, sent, provider, link, ledger.clock.now() // SECOND)
        if provider is not None and link and meter.report_from is not None:
            opening = _opening(provider, link, meter, ledger.clock.now() // SECOND)
            balance = msgspec.structs.replace(balance, opening=opening)
        found.append(balance)
    return found


class _Recorded(msgspec.Struct, frozen=True):
    customer: str
    entries: int
    steps: int
    settled: int
    excluded: int
    since: int
    until: int


def _added(
    here: _Recorded,
    meter: Meter,
    sent: Sequence[_Delivered],
    provider: Provider | None,
    link: str,
    now: int,
) -> Balance:
    """The balance of a meter that adds up."""
    shadow = bool(here.excluded == here.steps and not sent and link)
    asked = sent
    if shadow:
        name = meter.provider_name
        asked = [_Delivered(here.customer, meter.name, link, name, 0, here.since, max(here.until, now))]
    told = sum(row.steps for row in sent)
    return Balance(
        here.customer,
        meter.name,
        here.entries,
        from_steps(here.steps, meter.decimals),
        from_steps(told, meter.decimals),
        from_steps(here.steps - told - here.excluded - here.settled, meter.decimals),
        None if provider is None else _provider_total(provider, asked, meter.decimals),
        from_steps(here.excluded + here.settled, meter.decimals),
        shadow,
    )


def _opening(provider: Provider, link: str, meter: Meter, now: int) -> Decimal:
    """What others had told the provider in the running period before `report_from`: the invoice bills it too.

    Whole minutes: of the minute in which the period began, what came before it is in there.
    """
    assert meter.report_from is not None
    cut = from_datetime(meter.report_from) // SECOND
    period = provider.period(link, meter.provider_name) if cut <= now else None
    if period is None or not period[0] < cut < period[1]:
        return Decimal(0)
    total = provider.total(link, meter.provider_name, period[0] // _A_MINUTE * _A_MINUTE, cut)
    return provider.profile.meant(total, meter.decimals)


def _excluded(ledger: Ledger) -> Flow[dict[tuple[str, str], tuple[int, int, int]]]:
    """Steps that the provider is not owed, and from when to when (seconds), by customer and meter."""
    where = {"tenant": ledger.where.tenant, "mode": ledger.where.mode}
    rows = yield Statement("excluded_totals", where)
    return {
        (row[0], row[1]): (int(row[2]) * LIMB + int(row[3]), row[4] // SECOND, row[5] // SECOND)
        for row in rows
    }


def _settled(ledger: Ledger) -> Flow[dict[tuple[str, str], int]]:
    """Steps that a person said were billed otherwise, by customer and meter."""
    rows = yield Statement("settled_totals", {"tenant": ledger.where.tenant, "mode": ledger.where.mode})
    return {(row[0], row[1]): int(row[2]) * LIMB + int(row[3]) for row in rows}


class _Delivered(msgspec.Struct, frozen=True):
    customer: str
    meter: str
    provider_customer: str
    provider_meter: str
    steps: int
    since: int
    until: int


def _delivered(ledger: Ledger) -> Flow[list[_Delivered]]:
    rows = yield Statement("delivered_totals", {"tenant": ledger.where.tenant, "mode": ledger.where.mode})
    return [
        _Delivered(row[0], row[1], row[2], row[3], int(row[5]) * LIMB + int(row[6]), row[7], row[8])
        for row in rows
    ]


def _provider_total(provider: Provider, sent: Iterable[_Delivered], decimals: int) -> Decimal:
    total = sum(
        (
            provider.total(
                row.provider_customer,
                row.provider_meter,
                row.since // _A_MINUTE * _A_MINUTE,
                (row.until // _A_MINUTE + 1) * _A_MINUTE,
            )
            for row in sent
        ),
        Decimal(0),
    )
    return provider.profile.meant(total, decimals)
