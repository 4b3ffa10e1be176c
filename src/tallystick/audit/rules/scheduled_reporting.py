"""Usage goes out by the clock, too late for the invoice."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.audit.case.case import SLOW, Case
from tallystick.audit.case.reaching import done_here
from tallystick.audit.case.unattended import by_hand
from tallystick.audit.model import Confidence, Finding, Place, Severity
from tallystick.audit.rules.announced import announced, over, renewed
from tallystick.audit.rules.base import Rule
from tallystick.audit.rules.handed_periods import unclosed_period
from tallystick.audit.trails.trails import Trail

ANNOUNCED = (
    "usage is billed when the invoice is announced (invoice.upcoming), days before the period ends; what is used in "
    "those days misses its invoice"
)
OVER = (
    "usage is told to the meter when its invoice is there, without the moment it happened: its period is over, and the "
    "usage goes to the next one"
)
RENEWED = (
    "usage is told to the meter once a period, when the subscription is renewed or changed; the last period of a "
    "subscription that is cancelled is never told"
)
PARTIAL = (
    "usage is reported every {} for the running period only; what is used between the last run and the end of the "
    "period is never sent"
)


def prompt(case: Case) -> set[int]:
    """Reporting calls that a request, a queue or a frequent schedule also reaches."""
    return {
        id(one.site.call)
        for one in case.live
        if one.entry is not None
        and (
            one.entry.kind in ("http", "action", "worker")
            or (one.entry.kind == "schedule" and one.entry.seconds is not None and one.entry.seconds < SLOW)
        )
    }


def find(case: Case) -> Iterator[Finding]:
    """Reporting calls that only a slow schedule starts, or a quick one that forgets the end of the period."""
    for said, found in ((ANNOUNCED, announced), (OVER, over), (RENEWED, renewed)):
        yield from (_late(case, trail, place, said) for trail, place in found(case))
    soon = prompt(case)
    for trail in case.live:
        entry = trail.entry
        if entry is None or entry.kind != "schedule" or trail.site.stored:
            continue
        if id(trail.site.call) not in soon:
            if done_here(case, trail):
                continue  # nothing waits for the clock
            yield _unknown(case, trail) if entry.seconds is None else _slow(case, trail, entry.seconds)
        elif entry.seconds is not None:
            place = unclosed_period(case, trail)
            if place is not None:
                yield _late(case, trail, place, PARTIAL.format(_spoken(entry.seconds)))


def _also_a_server(case: Case, trail: Trail) -> bool:
    """Whether a program beside the scripts starts what reports: that runs all the time."""
    return any(one.entry is not None and one.entry.kind == "script" for one in case.alike(trail))


def _late(case: Case, trail: Trail, place: Place, said: str) -> Finding:
    return RULE.finding(said, place, Confidence.MEDIUM, case.name(trail), case.hops(trail))


def _slow(case: Case, trail: Trail, seconds: int) -> Finding:
    entry = trail.entry
    assert entry is not None
    return RULE.finding(
        f"usage is reported every {_spoken(seconds)} ({entry.note or entry.route}); what is used "
        "after the last run of a billing period misses its invoice",
        Place(*entry.where) if entry.where[1] else case.place(entry.key, entry.line),
        Confidence.MEDIUM if trail.site.sink.clock else Confidence.HIGH,
        case.name(trail),
        case.hops(trail),
    )


def _unknown(case: Case, trail: Trail) -> Finding:
    entry = trail.entry
    assert entry is not None
    return RULE.finding(
        f"usage is reported only by {entry.route}, and nothing in this tree says how often that runs",
        case.place(entry.key, entry.line),
        Confidence.LOW if by_hand(case, trail) or _also_a_server(case, trail) else Confidence.MEDIUM,
        case.name(trail),
        case.hops(trail),
    )


def _spoken(seconds: int) -> str:
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            number = seconds // size
            return unit if number == 1 else f"{number} {unit}s"
    return f"{seconds} seconds"


RULE = Rule(
    code="scheduled_reporting",
    title="Usage is reported by a slow schedule",
    why=(
        "The provider closes the invoice when the period ends. Usage still waiting for "
        "tonight's job is billed late or "
        "never. Report in the request, or drain a stored queue at least hourly."
    ),
    wrong='{ "crons": [{ "path": "/api/cron/report-usage", "schedule": "0 2 * * *" }] }',
    right="await reportUsage(org, n); // in the request, with the stored row drained every few minutes on failure",
    severity=Severity.HIGH,
    decides=True,
    find=find,
    remediation=(
        "Report in the request that does the work, keep the unsent row, and drain unsent rows "
        "at least hourly with "
        "the event's own timestamp and a stable identifier."
    ),
)
