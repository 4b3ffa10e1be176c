"""A database that comes back from a backup while the provider goes on: the anchor, the person, and what must hold.

Of the usage that the backup does not know nothing may be billed twice, and what the provider has of it stands in
the ledger again. What was recorded after the backup and never sent is gone; docs/restore.md says so.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from tallystick import Tally
from tallystick.errors import LedgerError, ProviderError
from tallystick.providers.anchors import Anchor
from tallystick.restore.recovery import Found, Pending, Recovery
from tallystick.storage.sqlite import SqliteStore

if TYPE_CHECKING:
    from tests.simulation.application import Application
    from tests.simulation.judge import Judge

SETTLED = 15 * 60  # seconds that a person waits for the provider's totals
TOLD = """
select e.attributes, e.mode, e.customer, e.meter, e.quantity, d.identifier, d.state from tallystick_entries e
join tallystick_obligations o on o.lane = e.lane and o.entry = e.entry
join tallystick_dispatches d on d.lane = o.lane and d.dispatch = o.dispatch
"""
PENDING = """
select e.attributes from tallystick_entries e
join tallystick_obligations o on o.lane = e.lane and o.entry = e.entry where e.entry = ? or o.dispatch = ?
"""
RECORDED = "select attributes from tallystick_entries where kind > 1"  # no holds: what was used
Place = tuple[str, str, str]  # mode, customer, meter


class Note:
    """An anchor outside of the database, in memory; as often as the file's."""

    name = "file"

    def __init__(self) -> None:
        self.kept: Anchor | None = None

    def read(self, ledger: str) -> Anchor | None:
        """What was kept last."""
        return self.kept

    def write(self, anchor: Anchor, before: Anchor | None) -> bool:
        """Keep it, unless somebody was first."""
        if self.kept != before:
            return False
        self.kept = anchor
        return True

    @property
    def generation(self) -> int:
        """How often it was written."""
        return self.kept.generation if self.kept else 0


def back_up(path: Path, to: Path) -> None:
    """A copy as the database makes it while the application runs."""
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)


def recover(tally: Tally, sent: set[int]) -> bool:
    """What a person does with `tallystick recover --apply`; `sent` are the wishes the provider has.

    Whether it is done; False while the provider cannot be asked, or the database is busy.
    """
    assert tally.anchoring is not None
    assert tally.provider is not None
    try:
        tally.anchoring.compare()
        halted = [own for own in tally.anchoring.standing().values() if own.state != "in_force"]
        if not halted:
            return True
        tally.ledger.sequencer.run()
        anchored = max(own.since for own in halted)
        recovery = Recovery(tally.ledger, tally.meters, tally.provider, tally.links.all(), anchored)
        found = recovery.plan()
        if any(one.verdict == "ambiguous" for one in found):
            found = recovery.plan(_decided(tally, found, sent))
        recovery.apply(found)
        tally.anchoring.take_over()
    except (ProviderError, LedgerError):
        return False
    return True


def _decided(tally: Tally, found: list[Found], sent: set[int]) -> Pending:
    """What the person reads off the provider's events: whether what was pending is among them."""
    assert isinstance(tally.ledger.store, SqliteStore)
    with closing(sqlite3.connect(tally.ledger.store.path)) as connection:
        waiting: set[int] = set()
        for one in (d for f in found if f.verdict == "ambiguous" for d in f.doubtful):
            name = one.entry.entry if one.entry else one.dispatch.dispatch if one.dispatch else b""
            rows = connection.execute(PENDING, (name, name)).fetchall()
            waiting |= {json.loads(row[0])["wish"] for row in rows}
    return "sent" if waiting & sent else "unsent"


def told(path: Path, counted: set[str]) -> dict[int, tuple[Place, int]]:
    """By wish, where and how much was sent from a database and counted at the provider."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(TOLD).fetchall()
    return {
        json.loads(attributes)["wish"]: ((mode, customer, meter), quantity)
        for attributes, mode, customer, meter, quantity, identifier, _ in rows
        if "wish" in attributes and quantity and identifier in counted
    }


def believed(path: Path) -> dict[int, tuple[Place, int]]:
    """By wish, where and how much a database takes for delivered."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(TOLD).fetchall()
    return {
        json.loads(attributes)["wish"]: ((mode, customer, meter), quantity)
        for attributes, mode, customer, meter, quantity, _, state in rows
        if "wish" in attributes and quantity and state in ("accepted", "confirmed")
    }


def waiting(path: Path, counted: set[str]) -> set[int]:
    """The wishes that wait for a person, and that the provider does not have under the name they wait by."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(TOLD).fetchall()
    return {
        json.loads(attributes)["wish"]
        for attributes, *_, identifier, state in rows
        if "wish" in attributes and state == "parked" and identifier not in counted
    }


def wishes(path: Path) -> set[int]:
    """The wishes that a database has usage of."""
    with closing(sqlite3.connect(path)) as connection:
        rows = [json.loads(row[0]) for row in connection.execute(RECORDED)]
    return {row["wish"] for row in rows if "wish" in row}


def problems(judge: Judge) -> list[str]:
    """What was billed twice, or not at all: each wish that the provider was told of counts once."""
    application: Application = judge.application
    if application.lost is None:
        return []
    events = [(mode, event) for mode, account in judge.accounts.items() for event in account.events]
    counted = {event.identifier for _, event in events}
    both = {
        **told(application.lost, counted),
        **told(application.path, counted),
        **believed(application.path),
    }
    # Of two equal ones the one that waits may be the one that counts.
    waits = waiting(application.path, counted)
    wanted: Counter[Place] = Counter()
    for place, quantity in (both[wish] for wish in both.keys() - waits):
        wanted[place] += quantity
    billed: Counter[Place] = Counter()
    for mode, event in events:
        place = (mode, judge.owner(event.customer), event.meter)
        billed[place] += judge.steps(event)
    return [
        f"{place}: {billed[place]} steps were billed, {wanted[place]} used and told"
        for place in wanted.keys() | billed.keys()
        if wanted[place] != billed[place]
    ]
