"""The person of the simulation: reads what is listed, mends causes at the provider, decides by the published ways.

A person sees the provider's single events, which tallystick cannot; what is decided here is what Stripe's
dashboard would show.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tallystick import Tally
from tests.simulation.stand_in import StandIn
from tests.simulation.stripe_account import StripeAccount

ACCEPTED = """
select identifier, provider_customer, provider_meter, happened_at, customer, quantity from tallystick_dispatches
where mode = ? and state in ('accepted', 'confirmed')
"""
ALARMED = """
select distinct subject from tallystick_findings
where mode = ? and code in ('unconfirmed_window', 'totals_unreadable')
"""
ANEW = {"cus_b": "cus_b2", "cus_gone": "cus_gone2"}  # the customer that takes the place of a deleted one
OWNERS = {"cus_b": "org_b", "cus_gone": "org_gone"}


class Person:
    """Works off what waits for somebody, and notes what was lost without a word."""

    def __init__(self, path: Path, mode: str, account: StripeAccount | StandIn, tally: Tally) -> None:
        self._path = path
        self._mode = mode
        self._account = account
        self._tally = tally

    def mend(self) -> None:
        """Archived meters are opened again, deleted customers get successors and links."""
        self._account.mend(ANEW)
        if self._account.deleted:
            self._tally.links.link({OWNERS[gone]: ANEW[gone] for gone in self._account.deleted})

    def decide(self, drain: Callable[[], None]) -> None:
        """Decide every doubt, send again what never left; until nothing waits."""
        self._account.violations += self._silences()
        for _ in range(5):
            waits = self._doubts() + self._redriven()
            if not waits:
                return
            drain()

    def _doubts(self) -> int:
        assert self._tally.rejections is not None
        unclear = self._tally.rejections.unclear()
        for report in dict.fromkeys(doubt.report for doubt in unclear):
            minutes = {
                (d.provider_customer, d.provider_meter, d.minute) for d in unclear if d.report == report
            }
            lost = [i for i, *place, _, _ in self._uncounted() if _minute(*place) in minutes]
            self._tally.rejections.decide(report, lost, reason="read at the provider", by="the person")
        return len(unclear)

    def _redriven(self) -> int:
        """Only what never left: what may have been counted is not ours to repeat."""
        never_left = [d for d in self._tally.status().parked if d.first_sent_at is None]
        known = [d for d in never_left if d.customer != "org_gone" and "older than" not in d.reason]
        return sum(self._tally.redrive(d.identifier) for d in known)

    def _uncounted(self) -> list[tuple[str, str, str, int, str, int]]:
        counted = {event.identifier for event in self._account.events}
        with closing(sqlite3.connect(self._path)) as connection:
            rows = connection.execute(ACCEPTED, (self._mode,)).fetchall()
        return [row for row in rows if row[0] not in counted]

    def _silences(self) -> list[str]:
        """What the provider lost after its 2xx must be in a doubt, or its customer in a finding."""
        assert self._tally.rejections is not None
        doubted = {
            (d.provider_customer, d.provider_meter, d.minute) for d in self._tally.rejections.unclear()
        }
        with closing(sqlite3.connect(self._path)) as connection:
            alarmed = {row[0] for row in connection.execute(ALARMED, (self._mode,))}
        uncounted, missing = self._uncounted(), Counter[tuple[str, str, int]]()
        for _, *place, _, quantity in uncounted:
            missing[_minute(*place)] += quantity
        return [
            f"{identifier} was lost after its 2xx, and neither a doubt nor a finding names it"
            for identifier, *place, customer, _ in uncounted
            if missing[_minute(*place)] and _minute(*place) not in doubted and customer not in alarmed
        ]


def _minute(customer: str, meter: str, second: int) -> tuple[str, str, int]:
    return customer, meter, second // 60 * 60
