"""The usage is reported before the work is done."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.audit.case import Case
from tallystick.audit.model import Confidence, Finding, Severity
from tallystick.audit.rules.base import Rule


def find(case: Case) -> Iterator[Finding]:
    """Requests in which the report precedes the costly call in the same function."""
    pattern = case.work
    for trail in case.live:
        key, report = trail.hops[-1]
        calls = case.program.function(key).calls
        work = [call.line for call in calls if pattern.search(call.callee)]
        above = report.line < case.program.function(key).line  # a decorator comes first and records last
        if work and report.line < min(work) and not above:
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
