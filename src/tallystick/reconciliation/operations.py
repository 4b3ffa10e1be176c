"""Status: what waits, and what waits for a person; and trying parked dispatches again."""

from __future__ import annotations

from typing import Any

import msgspec

from tallystick.delivery import rejections
from tallystick.delivery.links import Links
from tallystick.delivery.model import Dispatch, to_dispatch
from tallystick.ledger.ledger import Ledger
from tallystick.storage import Flow, Statement
from tallystick.values.instant import SECOND

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
