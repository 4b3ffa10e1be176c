"""The witness stands beside the wire and looks into the tables at the moment a call arrives."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.simulation.plan import ABSOLUTES

ASK = """
select d.state, d.meter, d.fence, s.fence, s.expires_at
from tallystick_dispatches d
join tallystick_slots s on s.lane = d.lane and s.tenant = d.tenant and s.mode = d.mode
 and s.provider_customer = d.provider_customer and s.provider_meter = d.provider_meter
where d.identifier = ?
"""


class Witness:
    """Says whether whoever sends has committed to it, and holds the slot, at this very instant."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)

    def complaint(self, identifier: str, now: int) -> str:
        """What is wrong with a call that arrives now ('' for nothing)."""
        found = self._connection.execute(ASK, (identifier,)).fetchall()
        if len(found) != 1:
            return f"{identifier} was sent, and no dispatch was committed before"
        [(state, meter, fence, held, expires_at)] = found
        if state == "refused" and meter in ABSOLUTES:
            return ""  # overtaken on its way: it says what stood earlier, and changes nothing
        if state not in ("sending", "accepted"):  # the late yes of an attempt before may have come in between
            return f"{identifier} was sent while it stood as {state!r}"
        if fence != held or expires_at <= now:
            return f"{identifier} was sent under fence {fence}; the slot's is {held}, until {expires_at}, at {now}"
        return ""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
