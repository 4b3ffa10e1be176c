"""A report without a stable identifier."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.audit.case.case import Case
from tallystick.audit.model import Finding, Severity
from tallystick.audit.rules.base import Rule


def find(case: Case) -> Iterator[Finding]:
    """Reporting calls that pass no identifier."""
    seen = set()
    for trail in case.trails:
        place = case.at(trail)
        if not trail.site.identified and place not in seen:
            seen.add(place)
            yield RULE.finding(
                "no identifier goes with this report; a retry bills the same usage twice", place,
                function=case.name(trail),
            )  # fmt: skip


RULE = Rule(
    code="no_idempotency",
    title="No stable identifier",
    why=(
        "Networks fail after the provider has counted. Without an identifier derived from the "
        "action, the retry counts twice."
    ),
    wrong="await stripe.billing.meterEvents.create({ event_name, payload });",
    right="await stripe.billing.meterEvents.create({ event_name, payload, identifier: `job-${job.id}` });",
    severity=Severity.MEDIUM,
    decides=False,
    find=find,
    remediation="Pass an identifier derived from the action (its row id, its request id), the same on every attempt.",
)
