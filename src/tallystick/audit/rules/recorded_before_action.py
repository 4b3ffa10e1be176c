"""The usage is reported before the work is done."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.audit.case.case import Case
from tallystick.audit.model import Confidence, Finding, Severity
from tallystick.audit.program.program import Key
from tallystick.audit.rules.base import Rule


def find(case: Case) -> Iterator[Finding]:
    """Requests in which the report precedes the costly call in the same function."""
    pattern = case.work
    begun: dict[Key, int] = {}  # the first line of work of a function
    for trail in case.live:
        key, report = trail.hops[-1]
        if key not in begun:
            calls = case.program.function(key).calls
            begun[key] = min((call.line for call in calls if pattern.search(call.callee)), default=0)
        above = report.line < case.program.function(key).line  # a decorator comes first and records last
        if report.line < begun[key] and not above:
            yield RULE.finding(
                "usage is reported before the work; when the work fails, the customer pays for nothing",
                case.at(trail),
                Confidence.MEDIUM,
                case.name(trail),
                case.hops(trail),
            )


RULE = Rule(
    code="recorded_before_action",
    title="Billed before it happened",
    why="A report sent first stays when the work then fails. Customers are billed for errors.",
    wrong="await report(org, 1);\nconst out = await generate(input);",
    right="const out = await generate(input);\nawait report(org, 1);",
    severity=Severity.MEDIUM,
    decides=False,
    find=find,
    remediation="Report after the work succeeded, or hold first and settle after.",
)
