"""Which kill has which number: every failpoint on every database first, then deeper visits and other signals."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tallystick.values.failpoint import POINTS

# How a place is come to, and how many visits a run is sure to make there.
# app: requests to a served application; relay: a relay with work to do; once: the same with --once;
# again: a relay that finds what an earlier kill left in the middle of a call; expiry: one that finds holds
# whose process was killed in the middle of its actions; spool: usage while the ledger cannot write.
IN_APP = {
    "gate": 12,
    "action": 5,
    "recorder": 12,
    "ledger": 12,
    "commit": 8,
    "posting": 8,
    "sqlite": 10,
    "postgres": 10,
    "courier": 6,
    "delivery": 5,
    "sender": 6,
    "transport": 6,
}
IN_RELAY = {
    "sequencer": 1,
    "relay": 1,
    "delivery": 1,
    "sender": 4,
    "transport": 4,
    "sqlite": 4,
    "postgres": 4,
}
EXPIRING = ("holds.expiring", "holds.expired")
AGAIN = ("relay.retrying", "delivery.retaken")
FREE = (
    "relay.claimed",
    "relay.answered",
    "sender.attempting",
    "sender.answered",
    "transport.connected",
    "transport.sent",
)
GRACES = (0.0, 0.02, 0.2, 1.0)


@dataclass(frozen=True)
class Kill:
    """One kill. `signal` is KILL, TERM (KILL follows after `grace` seconds) or STOP (it wakes up later)."""

    number: int
    dialect: str
    scenario: str
    point: str
    visit: int
    signal: str
    grace: float

    def __str__(self) -> str:
        after = f" and {self.grace} s" if self.signal == "TERM" else ""
        return f"{self.dialect}, {self.scenario}, {self.point} visit {self.visit}, SIG{self.signal}{after}"


def _ways(dialect: str) -> list[tuple[str, str, str, int]]:
    """(dialect, scenario, point, deepest visit) of all places."""
    other = "postgres" if dialect == "sqlite" else "sqlite"
    found = []
    for point in POINTS:
        station = point.partition(".")[0]
        if station == other:
            continue
        if point in AGAIN:
            found.append((dialect, "again", point, 1))
        elif station == "spool":
            if dialect == "sqlite":  # whose ledger a role can lock by itself
                found.append((dialect, "spool", point, 4 if point in ("spool.keeping", "spool.kept") else 1))
        elif point in EXPIRING:
            found.append((dialect, "expiry", point, 1))
        elif point == "relay.leaving":
            found.append((dialect, "once", point, 1))
        else:
            if station in IN_APP:
                found.append((dialect, "app", point, 5 if point == "ledger.carried" else IN_APP[station]))
            if station in IN_RELAY:
                found.append((dialect, "relay", point, IN_RELAY[station]))
    return found


def _rounds(dialects: tuple[str, ...]) -> list[list[tuple[str, str, str, int, str]]]:
    ways = [way for dialect in dialects for way in _ways(dialect)]
    first = [(*way[:3], (way[3] + 1) // 2, "KILL") for way in ways]
    term = [(*way[:3], (way[3] + 1) // 2, "TERM") for way in ways if way[1] in ("app", "relay")]
    stop = [(*way[:3], 1, "STOP") for way in ways if way[1] == "relay" and way[2] in FREE]
    deeper = [(*way[:3], n, "KILL") for way in ways for n in range(1, way[3] + 1) if n != (way[3] + 1) // 2]
    late = [(*way[:3], n, "TERM") for way in ways if way[1] == "app" for n in (1, way[3])]
    return [first, term, stop, deeper, late]


def kills(seed: int, count: int, dialects: tuple[str, ...] = ("sqlite", "postgres")) -> list[Kill]:
    """The first `count` kills of a seed; the same seed gives the same kills."""
    made: list[Kill] = []
    turn = 0
    while len(made) < count:
        chance = random.Random(f"{seed}:{turn}")
        for group in _rounds(dialects):
            chance.shuffle(group)
            made += [Kill(len(made) + n, *what, chance.choice(GRACES)) for n, what in enumerate(group)]
        turn += 1
    return made[:count]
