"""The report is started and left alone."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tallystick.audit.case.buffers import waiting
from tallystick.audit.case.case import Case
from tallystick.audit.case.enqueued import carries_usage
from tallystick.audit.case.reaching import goes_on, works, works_below
from tallystick.audit.model import Confidence, Finding, Place, Severity
from tallystick.audit.rules.base import Rule
from tallystick.audit.rules.durable import excused
from tallystick.audit.trails.trails import Trail

REPORTING = re.compile(
    r"(?i)usage|meter|track|report|bill|record|charge|credit|consum|event|stripe|log|count|quota|deduct|debit|notify|emit"
    r"|send|sync|flush|ingest|invoice|post|after|then|push|save|write|incr"
)

ENDS = frozenset(  # frameworks whose process may end with the answer
    ["next-app", "next-pages", "next-action", "vercel", "sveltekit", "remix", "astro", "lambda", "workers", "netlify",
     "supabase-edge", "firebase", "pages-functions", "functions"]
)  # fmt: skip
TIMER = re.compile(r"^set(?:Timeout|Interval)$|(?i:cron|schedule)")
SERVES = re.compile(r"(?:^|\.)listen$")  # and what is done once, when the server is up
DEEP = 4  # calls below what is left alone: by then it is no reporter, but work of which a report is a part


def find(case: Case) -> Iterator[Finding]:
    """Un-awaited calls, callbacks after the response, background tasks, platform timers."""
    for trail in case.judged:
        place = waiting(case, trail)
        if place is not None:
            yield _in_memory(case, trail, place)
            continue
        if excused(case, trail) or (trail.queued is not None and not carries_usage(case, trail)):
            continue
        if trail.floating[1] and not _ticks(trail):
            place, how = Place(*trail.floating), "without waiting for it"
        elif trail.deferred[1] and not _keeps_running(trail):
            place, how = (
                Place(trail.deferred[0], trail.deferred[1]),
                f"in a task put off ({trail.deferred[2]})",
            )
        elif trail.remote:
            place, how = case.at(trail), "through a platform timer that runs at most once"
        else:
            continue
        if trail.site.stored and trail.entry is not None and trail.entry.kind == "script":
            continue
        if works_below(case, trail, (place.path, place.line)):
            continue
        if trail.remote and (works(case, trail) or goes_on(case, trail)):
            continue
        yield RULE.finding(
            f"{trail.entry.route if trail.entry else 'the code'} reports usage {how}; when the process stops or the "
            "call fails, the usage is lost and nobody notices",
            place,
            _confidence(case, trail),
            case.name(trail),
            case.hops(trail),
        )


def _in_memory(case: Case, trail: Trail, place: Place) -> Finding:
    return RULE.finding(
        "usage waits in the memory of the process until it is sent; a crash or a deploy before then, or a failed "
        "send, loses it",
        place,
        Confidence.MEDIUM,
        case.name(trail),
        case.hops(trail),
    )


def _confidence(case: Case, trail: Trail) -> Confidence:
    """Sure where the report is what is left alone; a larger unit of work that reports at its end is for review."""
    if trail.entry is None:
        return Confidence.MEDIUM
    if trail.queued is not None:  # a server that goes on hands the job over in a moment
        ends = trail.floating[1] and trail.entry.framework in ENDS
        return Confidence.MEDIUM if ends else Confidence.LOW
    left = _left_alone(trail)
    if left and not REPORTING.search(trail.hops[left][1].callee):
        below, onward = trail.hops[left - 1]
        steps = [one for one in case.program.function(below).calls if one.state in ("awaited", "used")]
        many = left > DEEP or len([one for one in steps if one is not onward]) > 2
        if many or trail.floating[1]:
            return Confidence.LOW if many else Confidence.HIGH
    return Confidence.HIGH if trail.floating[1] and not trail.site.stored else Confidence.MEDIUM


def _left_alone(trail: Trail) -> int:
    """The step that nobody waits for, or that is put off; 0 where that is the report itself."""
    place = trail.floating if trail.floating[1] else trail.deferred[:2]
    at = [number for number, (key, call) in enumerate(trail.hops) if (key[0], call.line) == place]
    if not at or trail.floating[1]:
        return at[0] if at else 0
    return max(0, at[0] - 1)  # `setImmediate(() => run(job))`: what is put off is what the literal calls


def _ticks(trail: Trail) -> bool:
    """Whether the process's own clock starts it, so that nobody is there to wait: the process goes on."""
    entry, (key, call) = trail.entry, trail.hops[-1]
    if entry is None or entry.framework != "script":
        return False
    if entry.kind == "schedule" and trail.floating == (key[0], call.line):
        return True
    left = next(
        (at for at, (key, call) in enumerate(trail.hops) if (key[0], call.line) == trail.floating),
        len(trail.hops),
    )
    return any(TIMER.search(call.callee) for _, call in trail.hops[left + 1 : left + 2]) or any(
        SERVES.search(call.callee) for _, call in trail.hops[left + 1 :]
    )


def _keeps_running(trail: Trail) -> bool:
    """Whether a run by the clock only tells the platform to wait for it: there is no response to hurry for."""
    if trail.entry is not None and (trail.entry.kind, trail.entry.framework) == ("script", "script"):
        return TIMER.search(trail.deferred[2]) is not None  # a program that goes on sets itself a clock
    if trail.entry is None or trail.entry.kind != "schedule":
        return False
    return trail.deferred[2] == "waitUntil" or trail.entry.framework == "workers"


RULE = Rule(
    code="fire_and_forget",
    title="The report is not waited for",
    why=(
        "A promise that nobody awaits, a callback after the response or a background task "
        "dies with the process, and its "
        "error goes nowhere. A deploy or a time limit is enough to lose usage."
    ),
    wrong="stripe.billing.meterEvents.create(event); // no await\nreturn Response.json(result);",
    right="await stripe.billing.meterEvents.create(event);\nreturn Response.json(result);",
    severity=Severity.HIGH,
    decides=True,
    find=find,
    remediation=(
        "Await the report before answering, or write a durable row in the request and drain "
        "it with a worker that "
        "retries."
    ),
)
