"""The verdict: a pure function of findings, endpoints and signals."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.audit.model import Confidence, Endpoint, Finding, Hop, Profile, Verdict

ORDER = (
    "client_supplied_quantity",
    "client_supplied_customer",
    "client_side_only",
    "never_reported",
    "legacy_api_removed",
    "scheduled_reporting",
    "unmetered_endpoint",
    "errors_swallowed",
    "fire_and_forget",
)
CERTAINTY = {Confidence.HIGH: 0, Confidence.MEDIUM: 1, Confidence.LOW: 2}
SYNCHRONOUS = frozenset(["sync-reported", "sync-durable"])


def deciding(findings: Sequence[Finding]) -> list[Finding]:
    """The findings that can turn a verdict, the plainest first."""
    strong = [one for one in findings if one.decides and one.confidence is not Confidence.LOW]
    rank = {code: index for index, code in enumerate(ORDER)}
    return sorted(strong, key=lambda one: (CERTAINTY[one.confidence], rank.get(one.code, 99), one.place))


def decide(
    findings: Sequence[Finding],
    endpoints: Sequence[Endpoint],
    signals: Sequence[Hop],
    profile: Profile = Profile.DURABLE,
    payment: bool = False,
) -> tuple[Verdict, str, str]:
    """Verdict, one sentence for a founder, and the pass or skip code."""
    against = deciding(findings)
    if against:
        return Verdict.FAIL, _sentence(against, endpoints), against[0].code
    unused = any(one.code == "never_reported" and one.confidence is Confidence.LOW for one in findings)
    if not endpoints and (unused or not signals):
        code = "flat_rate_only" if payment else "no_billing"
        said = "Billing is flat" if payment else "No billing was found"
        return (
            Verdict.SKIP,
            f"{said}: no metered price, no price per unit and no usage report "
            f"{'that anything calls ' if unused else ''}in this code.",
            code,
        )
    reporting = [one for one in endpoints if one.reports]
    if not reporting:
        return (
            Verdict.FAIL,
            "Usage is sold by the unit, and no live code that reports it could be found.",
            "never_reported",
        )
    if profile is Profile.STRICT and not any(one.grade in SYNCHRONOUS for one in reporting):
        return (
            Verdict.FAIL,
            "Usage is reported, but never in the request that does the work.",
            "scheduled_reporting",
        )
    code = "ok_synchronous" if any(one.grade in SYNCHRONOUS for one in reporting) else "ok_outbox"
    count = f"{len(reporting)} of {len(endpoints)} metered actions report"
    return (
        Verdict.PASS,
        f"{count} on the server, with the server's own numbers ({profile.value} profile).",
        code,
    )


def _sentence(against: Sequence[Finding], endpoints: Sequence[Endpoint]) -> str:
    message = against[0].message
    text = message[:1].upper() + message[1:]
    reporting = sum(one.reports for one in endpoints)
    tail = f" ({reporting} of {len(endpoints)} metered actions report.)" if endpoints else ""
    return f"{text.rstrip('.')}.{tail}"
