"""The billed customer is the client's own word."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.audit.case.case import Case
from tallystick.audit.model import Confidence, Finding, Severity
from tallystick.audit.rules.base import Rule


def find(case: Case) -> Iterator[Finding]:
    """Trails whose customer the request sets, without a service secret in the way."""
    for trail in case.live:
        parts = case.client_parts(trail.customer, trail.entry)
        picked = [] if parts else case.chosen(trail)
        if picked and not case.guarded(trail) and trail.entry is not None:
            yield RULE.finding(
                f"{trail.entry.route} bills the stored customer that the caller names "
                f"({', '.join(map(_last, picked[:3]))}) and never asks who is calling",
                case.origin(trail),
                Confidence.MEDIUM,
                case.name(trail),
                case.hops(trail),
            )
        if not parts or case.guarded(trail) or trail.entry is None:
            continue
        mixed = any(kind in ("session", "stored", "unknown") for kind, _ in trail.customer)
        yield RULE.finding(
            f"{trail.entry.route} bills whichever customer the caller names ({', '.join(map(_last, parts[:3]))}); "
            "usage can be put on somebody else's bill",
            case.origin(trail),
            Confidence.MEDIUM if mixed else Confidence.HIGH,
            case.name(trail),
            case.hops(trail),
        )


def _last(text: str) -> str:
    return text.rpartition(":")[2].rpartition(".")[2] or "an argument"


RULE = Rule(
    code="client_supplied_customer",
    title="The client chooses who is billed",
    why="A customer or subscription id from the request lets one account bill another, or nobody. Take it from the "
    "verified session or from the record the API key belongs to.",
    wrong="const { customerId } = await req.json();\nawait report(customerId, 1);",
    right="const { user } = await requireSession(req);\nawait report(user.stripeCustomerId, 1);",
    severity=Severity.HIGH,
    decides=True,
    find=find,
    remediation=(
        "Look the customer up from the verified session or API key on the server and ignore "
        "ids in the request."
    ),
)
