"""What a seed stands for: how long, how busy, how sick the provider, how mortal the processes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from random import Random
from zoneinfo import ZoneInfo

from tests.simulation.billing import Subscription

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
HALF_A_DAY, LONGEST_REST = DAY // 2, 2 * DAY

PROFILES = ("calm", "rough", "dark", "months", "clocks", "stale", "hell", "absolutes", "ways", "restored")
# How usage is told: the first in all profiles but `ways`, which goes through the others.
WAYS = (
    "meter_events",
    "meter_events_v2",
    "meter_event_stream",
    "usage_records",
    "openmeter",
    "openmeter_plain",
    "lago",
    "lago_clickhouse",
)
REPORTING = ("meter_events_v2", "meter_event_stream")  # what is wrong is said later
WINDOWS = {"openmeter": 86400, "openmeter_plain": 0}  # seconds for which an OpenMeter knows an id
FAULTS = (
    "down",
    "lost_request",
    "lost_reply",
    "limit",
    "key",
    "error_before",
    "error_after",
    "gateway",
    "gateway_after",
)
MUTE = ("lost_request", "lost_reply", "error_after", "gateway_after", "error_before", "gateway")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
# Anchors where calendars are hard: month ends, a leap day, the days on which clocks change.
ANCHORS = (
    (2027, 1, 31),
    (2027, 10, 29),
    (2028, 1, 30),
    (2028, 2, 29),
    (2027, 3, 28),
    (2027, 10, 31),
    (2026, 11, 30),
)


SUMS = ("tokens", "calls", "gb")
ABSOLUTES = ("seats", "peak", "people")
CUSTOMERS = ["org_a", "org_a", "org_b", "org_b", "org_c", "org_gone"]


@dataclass
class Sickness:
    """The provider's faults: windows of one kind, and single ones in between."""

    random: Random
    rate: float
    windows: list[tuple[int, int, str]] = field(default_factory=list)
    cured: bool = False

    def at(self, now: int) -> str:
        """The fault of a call at an instant ('' for none)."""
        if self.cured:
            return ""
        place = bisect_right(self.windows, (now, 2**62, "")) - 1
        if place >= 0 and now < self.windows[place][1]:
            kind = self.windows[place][2]
            return self.random.choice(MUTE) if kind == "mute" else kind
        return self.random.choice(FAULTS) if self.random.random() < self.rate else ""


@dataclass(frozen=True)
class Hell:
    """A provider that takes back what it accepted; instants and lengths in microseconds, shares as chances."""

    share: float
    silent_share: float
    lag: int
    samples: int
    by_key: bool
    keeps_identifier: bool
    answers_later: bool
    archived: dict[str, tuple[int, int]]
    deleted: dict[str, int]


@dataclass
class Plan:
    """The parameters of one run; instants and lengths in microseconds."""

    seed: int
    profile: str
    start: int
    length: int
    bursts: list[tuple[int, int]]  # when, and how many requests
    crash_rate: float
    pause: Callable[[], int]
    fault_rate: float
    windows: list[tuple[int, int, str]]
    laziness: int  # how much later than it could a relay looks again, on average
    skews: dict[str, int]
    busy_rate: float
    unreachable_rate: float
    blackout: tuple[int, int] | None  # no process runs
    subscriptions: list[Subscription]
    with_live: bool
    customers: list[str]
    jumps: list[tuple[int, str, int]]  # when, whose clock, by how much
    hell: Hell | None  # what the provider takes back
    meters: tuple[str, ...] = SUMS
    way: str = WAYS[0]
    restored: tuple[int, int] | None = None  # when the database is copied, and put back

    @property
    def largest(self) -> int:
        """Steps of one usage: with the digits that the provider takes it goes out in some parts at most."""
        if self.restored is not None:
            return 10**12  # in one, so that a total says which usage it is made of
        return 10**13 if self.way.startswith("lago") else 10**16

    @cached_property
    def _edges(self) -> list[int]:
        until = (self.start + self.length) // SECOND
        return sorted(at * SECOND for cycle in self.subscriptions for at in cycle.boundaries(until))

    def rest_at(self, now: int) -> int:
        """How long nobody need look at values that stand: half a day behind an edge of periods, else up to the next."""
        place = bisect_right(self._edges, now)
        if place and now - self._edges[place - 1] < HALF_A_DAY:
            return HALF_A_DAY
        ahead = self._edges[place] - now if place < len(self._edges) else LONGEST_REST
        return max(HALF_A_DAY, min(ahead, LONGEST_REST))

    @property
    def exact(self) -> bool:
        """Whether nothing is bad enough to excuse a late or a parked dispatch."""
        return self.profile == "calm"


def make_plan(seed: int) -> Plan:
    """The plan of a seed; the profiles take turns."""
    random = Random(f"plan {seed}")
    profile = PROFILES[seed % len(PROFILES)]
    zone = ZoneInfo(random.choice(ZONES))
    anchor = datetime(*random.choice(ANCHORS), tzinfo=zone) + timedelta(
        seconds=random.choice([0, 0, 5400, 86399])
    )
    lengths = {
        "calm": 2,
        "rough": 2,
        "dark": 4,
        "months": random.randint(35, 100),
        "clocks": 2,
        "stale": 50,
        "hell": 3,
        "absolutes": random.randint(33, 42),
        "ways": 3,
        "restored": 2,
    }
    way = random.choice(WAYS[1:]) if profile == "ways" else WAYS[0]
    length = lengths[profile] * DAY
    # The anchor day, or the same day of the next month, lies inside the run.
    start = int(anchor.timestamp()) * SECOND - random.randrange(DAY // 2, DAY)
    mortal = {"calm": 0.002}.get(profile, 0.004)
    return Plan(
        seed=seed,
        profile=profile,
        start=start,
        length=length,
        bursts=_bursts(random, profile, start, length, anchor),
        crash_rate=random.choice([0, mortal, mortal * 2]),
        pause=_pauses(random, profile),
        fault_rate=random.choice([0.0, 0.1, 0.3]) if profile != "calm" else random.choice([0.0, 0.1]),
        windows=_windows(random, profile, start, length, int(anchor.timestamp()) * SECOND),
        laziness={
            "calm": 20 * SECOND,
            "rough": MINUTE,
            "clocks": MINUTE,
            "hell": 5 * MINUTE,
            "ways": 5 * MINUTE,
        }.get(profile, 20 * MINUTE),
        skews=_skews(random, profile),
        busy_rate=random.choice([0, 0.01]),
        unreachable_rate=random.choice([0, 0.01]),
        blackout=(start + DAY, start + length - DAY) if profile == "stale" else None,
        subscriptions=_subscriptions(random, profile, anchor, start, length),
        with_live=random.random() < 0.25,
        # A relay looks at an unlinked customer once a minute: only in short runs.
        customers=_customers(random, profile),
        jumps=_jumps(random, profile, start, length),
        hell=_hell(random, start, length, way) if profile == "hell" or way in REPORTING else None,
        meters=_meters(profile, way),
        way=way,
        restored=_restored(random, start, length) if profile == "restored" else None,
    )


def _meters(profile: str, way: str) -> tuple[str, ...]:
    if profile == "absolutes":
        return ABSOLUTES
    return SUMS[:2] if way == "usage_records" else SUMS  # whole numbers only


def _restored(random: Random, start: int, length: int) -> tuple[int, int]:
    """Some usage before the backup, some between, some after it was put back."""
    at = start + random.randrange(length // 4, length // 2)
    return at, at + random.choice([MINUTE, HOUR, 9 * HOUR]) + random.randrange(HOUR)


def _customers(random: Random, profile: str) -> list[str]:
    if profile == "absolutes":  # who has no subscription has no period
        return CUSTOMERS[:-1]
    return [*CUSTOMERS, "org_unlinked"] if profile == "rough" and random.random() < 0.3 else CUSTOMERS


def _bursts(random: Random, profile: str, start: int, length: int, anchor: datetime) -> list[tuple[int, int]]:
    """Requests come together, some of them right at a period's end."""
    found = [(start + random.randrange(length), random.randint(1, 7)) for _ in range(random.randint(4, 9))]
    if profile == "stale":  # before and after everything stands still
        days = (random.randrange(DAY), random.randrange(DAY), length - random.randrange(DAY))
        found += [(start + at, random.randint(3, 7)) for at in days]
    if profile == "restored":
        found += [(start + length // 2 + random.randrange(-8 * HOUR, 8 * HOUR), 3) for _ in range(9)]
    boundary = int(anchor.timestamp()) * SECOND
    found += [(boundary - random.randrange(3 * SECOND), random.randint(2, 6)) for _ in range(2)]
    if profile in ("months", "absolutes"):  # many at once, on both sides: they share dispatches
        sides = [random.randrange(-50 * SECOND, 50 * SECOND) for _ in range(6)]
        found += [(boundary + at, random.randint(4, 9)) for at in sides]
    return sorted(found)


def _pauses(random: Random, profile: str) -> Callable[[], int]:
    rate = 0.003 if profile == "calm" else 0.02
    chance = random.random
    longest = (
        [SECOND, 9 * SECOND] if profile == "calm" else [SECOND, 11 * SECOND, 31 * SECOND, 61 * SECOND, HOUR]
    )

    def pause() -> int:
        draw = chance()
        if draw < rate:
            return int(random.choice(longest) * (0.5 + chance()))
        return int(draw * 4000)

    return pause


def _windows(
    random: Random, profile: str, start: int, length: int, boundary: int
) -> list[tuple[int, int, str]]:
    kinds = [*FAULTS, "mute", "down", "mute"]
    if profile == "stale":
        return [(start + random.randrange(DAY), start + 2 * DAY, random.choice(kinds))]
    found = []
    longest = {"calm": 8 * MINUTE, "rough": 5 * HOUR, "dark": 40 * HOUR}.get(profile, 26 * HOUR)
    at = start
    for _ in range(2 if profile == "calm" else random.randint(1, 3)):
        at += random.randrange(max(length // 3, 1))
        lasts = random.randrange(longest) + (25 * HOUR if profile == "dark" and random.random() < 0.5 else 0)
        found.append((at, at + lasts, random.choice(kinds)))
        at += lasts
    if random.random() < 0.4:  # right when a period ends
        found.append((boundary - MINUTE, boundary + 4 * MINUTE, random.choice(["down", "limit", "mute"])))
    return _apart(found)


def _hell(random: Random, start: int, length: int, way: str) -> Hell:
    """Rejections that come later, totals that lag up to half an hour, a meter archived, a customer deleted."""
    archived, deleted = {}, {}
    if random.random() < 0.5:
        at = start + random.randrange(length)
        archived[random.choice(["tokens", "calls", "gb"])] = (at, at + random.randrange(30 * HOUR))
    if random.random() < 0.4:
        deleted["cus_b"] = start + random.randrange(length // 4, length)
    if way in REPORTING:  # an unknown customer is not refused, but reported
        deleted["cus_gone"] = 0
    return Hell(
        share=random.choice([0.05, 0.2, 0.5]),
        silent_share=random.choice([0, 0, 0.02]),
        lag=random.choice([MINUTE, 8 * MINUTE, 30 * MINUTE]),
        samples=random.choice([1, 1, 3]),
        by_key=random.random() < 0.5,
        keeps_identifier=random.random() < 0.5,
        answers_later=random.random() < 0.5,
        archived=archived,
        deleted=deleted,
    )


def _apart(windows: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """The windows in the order of time, each ending where the next one begins."""
    windows = sorted(windows)
    ends = [start for start, _, _ in windows[1:]] + [2**62]
    return [(start, min(end, until), kind) for (start, end, kind), until in zip(windows, ends, strict=True)]


def _skews(random: Random, profile: str) -> dict[str, int]:
    if profile not in ("rough", "clocks", "dark"):
        return {}
    return {name: random.randint(-90, 90) * SECOND for name in ("app1", "app2", "relay1", "relay2")}


def _jumps(random: Random, profile: str, start: int, length: int) -> list[tuple[int, str, int]]:
    """Clocks are set forwards and back, by up to 90 minutes from the truth."""
    if profile != "clocks":
        return []
    names = ("app1", "app2", "relay1", "relay2")
    return [
        (start + random.randrange(length), random.choice(names), random.randint(-5400, 5400) * SECOND)
        for _ in range(random.randint(1, 6))
    ]


def _seen(switch: int, subscription: Subscription) -> int:
    """A switch, or an end, that some look of a relay lies before: these relays look twice a day (docs/formulas.md)."""
    period = subscription.running(switch)
    return switch if period is None else max(switch, period[0] + HALF_A_DAY // SECOND)


def _subscriptions(
    random: Random, profile: str, anchor: datetime, start: int, length: int
) -> list[Subscription]:
    """Three customers with one anchor; plans switch, one of them cancels."""
    first, last = start // SECOND, (start + length) // SECOND
    found = [
        Subscription(
            f"cus_{name}",
            anchor,
            random.choice([3600, 3600, 72 * 3600]),
            resets_anchor=profile == "absolutes",
        )
        for name in ("a", "b", "c")
    ]
    for subscription in found:
        if random.random() < 0.4 and profile != "restored":  # of two edges in the lost time one is not known
            count = 1 if subscription.resets_anchor else random.randint(1, 2)
            switches = [random.randrange(first, last) for _ in range(count)]
            if subscription.resets_anchor:
                switches = [_seen(at, subscription) for at in switches]
            subscription.switches = switches
    if random.random() < 0.3 and profile != "restored":
        cancelled = random.randrange(first + (last - first) // 2, last)
        found[2].cancelled_at = _seen(cancelled, found[2]) if found[2].resets_anchor else cancelled
    return found
