"""The call no longer exists in the pinned version."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.audit.case.case import Case
from tallystick.audit.corpus.versions import dated, nearest
from tallystick.audit.model import Finding, Severity
from tallystick.audit.rules.base import Rule
from tallystick.audit.trails.trails import Trail

GONE = {"npm": 18, "composer": 17, "pip": 12, "go": 82, "gem": 14, "maven": 29}
GONE_SINCE = "2025-03-31"
REQUEST = "@request"
LANGUAGES = {"php": "composer", "python": "pip", "go": "go", "ruby": "gem", "java": "maven"}


def find(case: Case) -> Iterator[Finding]:
    """Usage-record calls under an SDK, or a version of the interface, that dropped them."""
    seen = set()
    for trail in case.trails:
        place = case.at(trail)
        without = _without(case, trail) if trail.site.sink.legacy and place not in seen else ""
        if without:
            seen.add(place)
            yield RULE.finding(
                f"usage records are gone from {without}; this call fails at run time and nothing is billed",
                place,
                function=case.name(trail),
            )


def _without(case: Case, trail: Trail) -> str:
    """What is pinned that has no usage records any more; empty when they are still there."""
    kit = LANGUAGES.get(case.program.modules[trail.site.key[0]].language, "npm")
    version = nearest(case.versions, kit, trail.site.key[0])
    # a bare request asks for the version of the account, unless it says another
    by_kit = trail.site.sink.callee != REQUEST
    if by_kit and version is not None and version >= GONE[kit]:
        return f"the Stripe kit pinned here (version {version})"
    asked = dated(case.corpus)
    if asked and asked[0] >= GONE_SINCE:
        return f"the version of Stripe's interface that is asked for here ({asked[0]})"
    return ""


RULE = Rule(
    code="legacy_api_removed",
    title="The reporting call no longer exists",
    why=(
        "Stripe removed usage records from API 2025-03-31 on (stripe-node 18, stripe-php 17, "
        "stripe-python 12, stripe-go 82, stripe-ruby 14, stripe-java 29). The call "
        "raises, and usage stops being billed."
    ),
    wrong="await stripe.subscriptionItems.createUsageRecord(item, { quantity });",
    right=(
        "await stripe.billing.meterEvents.create({ event_name, identifier, payload: { "
        "stripe_customer_id, value } });"
    ),
    severity=Severity.HIGH,
    decides=True,
    find=find,
    remediation="Move to billing meters: create a meter, point the price at it, and send meter events.",
)
