"""Status and tie-out: started, recorded, delivered and the provider's total, side by side."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from tallystick.delivery import rejections
from tallystick.delivery.links import Links
from tallystick.delivery.model import Dispatch, to_dispatch
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.sequencer import LIMB
from tallystick.meters import Catalogue
from tallystick.providers import Provider
from tallystick.reconciliation import absolutes
from tallystick.reconciliation.model import Balance
from tallystick.storage import Flow, Statement
from tallystick.values.instant import MINUTE, SECOND
from tallystick.values.quantity import from_steps

MOST_READDRESSED = 10_000  # parked dispatches looked at in one redrive


class Status(msgspec.Struct, frozen=True):
    """Where everything stands; counts of entries and dispatches, the age in seconds."""

    undelivered: int
    oldest_undelivered_seconds: int
    in_delivery: dict[str, int]
    parked: list[Dispatch]
    open_holds: int
    unsequenced: int
    spooled: int = 0

    @property
    def settled(self) -> bool:
        """Whether nothing is on its way any more (parked dispatches wait for a person)."""
        return not (self.undelivered or self.in_delivery or self.unsequenced or self.spooled)


def status(ledger: Ledger, *, limit: int = 1000) -> Status:
    """The status of one tenant and mode, from one snapshot."""
    return ledger.read(_status(ledger, limit))


def _status(ledger: Ledger, limit: int) -> Flow[Status]:
    where = {"tenant": ledger.where.tenant, "mode": ledger.where.mode}
    [(undelivered, oldest)] = yield Statement("undelivered", where)
    rows = yield Statement("open_dispatches", where)
    parked = yield Statement("parked", {**where, "limit": limit})
    holds = yield Statement("open_holds", {**where, "limit": limit})
    [(unsequenced,)] = yield Statement("count_unsequenced")
    age = (ledger.clock.now() - oldest) // SECOND if oldest is not None else 0
    in_delivery = {row[0]: int(row[2]) for row in rows}
    return Status(
        undelivered, max(age, 0), in_delivery, [to_dispatch(row) for row in parked], len(holds), unsequenced
    )


def tie_out(ledger: Ledger, catalogue: Catalogue, provider: Provider | None, links: Links) -> list[Balance]:
    """Every customer and meter with usage: recorded, excluded, delivered, and the provider's own total.

    Recorded quantities are added up from the raw entries; the provider is asked for whole minutes around
    what was delivered, or, where nothing ever was (shadow), around what was recorded. ProviderError when it
    cannot be read.
    """
    recorded = ledger.recomputed_totals()
    delivered = ledger.read(_delivered(ledger))
    excluded = ledger.read(_excluded(ledger))
    known = links.linked({customer for customer, _ in recorded}) if provider is not None else {}
    found = []
    for (customer, meter), (entries, steps) in sorted(recorded.items()):
        if meter in catalogue and catalogue[meter].formula.is_absolute:
            link, left_out_here = known.get(customer, ""), (customer, meter) in excluded
            found.append(
                absolutes.balance(
                    ledger, catalogue[meter], customer, entries, provider, link, excluded=left_out_here
                )
            )
            continue
        decimals = catalogue[meter].decimals if meter in catalogue else 0
        sent = [row for row in delivered if row.customer == customer and row.meter == meter]
        left_out, since, until = excluded.get((customer, meter), (0, 0, 0))
        shadow = left_out == steps and not sent and customer in known
        if shadow and meter in catalogue:
            name = catalogue[meter].provider_name
            asked = [_Delivered(customer, meter, known[customer], name, 0, since, until)]
        else:
            asked = sent
        delivered_steps = sum(row.steps for row in sent)
        found.append(
            Balance(
                customer,
                meter,
                entries,
                from_steps(steps, decimals),
                from_steps(delivered_steps, decimals),
                from_steps(steps - delivered_steps - left_out, decimals),
                None if provider is None else _provider_total(provider, asked, decimals),
                from_steps(left_out, decimals),
                shadow,
            )
        )
    return found


def _excluded(ledger: Ledger) -> Flow[dict[tuple[str, str], tuple[int, int, int]]]:
    """Steps that the provider is not owed, and from when to when (seconds), by customer and meter."""
    where = {"tenant": ledger.where.tenant, "mode": ledger.where.mode}
    rows = yield Statement("excluded_totals", where)
    return {
        (row[0], row[1]): (int(row[2]) * LIMB + int(row[3]), row[4] // SECOND, row[5] // SECOND)
        for row in rows
    }


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
    minute = MINUTE // SECOND
    total = sum(
        (
            provider.total(
                row.provider_customer,
                row.provider_meter,
                row.since // minute * minute,
                (row.until // minute + 1) * minute,
            )
            for row in sent
        ),
        Decimal(0),
    )
    return provider.profile.meant(total, decimals)


def redrive(ledger: Ledger, links: Links, identifier: str) -> int:
    """Make parked dispatches due again, once their cause is mended; how many ('' means all).

    Where nothing can have been counted and the customer was linked anew meanwhile, a successor for the new
    link takes the dispatch's place.
    """
    params = {"tenant": ledger.where.tenant, "mode": ledger.where.mode, "identifier": identifier}
    now = ledger.clock.now()
    count: int = ledger.commit.run(errand=lambda: _redrive({**params, "now": now}, links.provider))
    return count


def _redrive(params: dict[str, Any], provider: str) -> Flow[int]:
    where = {"tenant": params["tenant"], "mode": params["mode"]}
    rows = yield Statement("parked", {**where, "limit": MOST_READDRESSED})
    unsent = [d for row in rows if (d := to_dispatch(row)).first_sent_at is None]
    if params["identifier"]:
        unsent = [d for d in unsent if d.identifier == params["identifier"]]
    readdressed = 0
    if unsent:
        places = sorted({(d.lane, d.tenant, d.mode, d.customer, provider) for d in unsent})
        links = dict((yield Statement("find_links", rows=places)))
        moved = [d for d in unsent if links.get(d.customer, d.provider_customer) != d.provider_customer]
        for d in moved:
            readdressed += yield from _readdress(d, links[d.customer], params["now"])
    count: int = yield Statement("redrive", params)
    return count + readdressed


def _readdress(d: Dispatch, provider_customer: str, now: int) -> Flow[int]:
    why = f"linked anew to {provider_customer}"
    refused = yield Statement("refuse_parked", rows=[(d.lane, d.dispatch, d.part, why, now)])
    if not refused:
        return 0
    [(part,)] = yield Statement("next_part", {"lane": d.lane, "dispatch": d.dispatch})
    successor = rejections.readdressed(d, part, provider_customer, now)
    yield Statement("insert_dispatches", rows=[successor.row()])
    return 1
