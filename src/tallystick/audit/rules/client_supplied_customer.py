"""The billed customer is the client's own word."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tallystick.audit.case.case import Case
from tallystick.audit.case.reaching import spoken
from tallystick.audit.model import Confidence, Finding, Severity
from tallystick.audit.rules.base import Rule
from tallystick.audit.trails.trails import Trail

BELONGS = re.compile(r"(?i)(?:auth\w*|access|member\w*|owner\w*|permissions?|belongs\w*)$")
CALLER = re.compile(
    r"(?i)^(?!.*\b(?:body|query|params|input)\b)"
    r"(?:_?req(?:uest)?|ctx|context|c|event|headers|\w*(?:session|user|auth|token|actor|viewer)\w*)\b"
)
REFUSED = r"(?:\b403\b|(?i:forbidden|belong|not (?:the |an? )?own|permission|access denied))"


def find(case: Case) -> Iterator[Finding]:
    """Trails whose customer the request sets, without a service secret in the way."""
    for trail in case.live:
        parts = case.client_parts(trail.customer, trail.entry)
        picked = [] if parts else case.chosen(trail)
        if picked and not case.guarded(trail) and trail.entry is not None:
            yield RULE.finding(
                f"{trail.entry.route} bills the stored customer that the caller names "
                f"({', '.join(map(_last, picked[:3]))}) and never asks whether that is who calls",
                case.origin(trail),
                Confidence.MEDIUM,
                case.name(trail),
                case.hops(trail),
            )
        if not parts or case.guarded(trail) or trail.entry is None:
            continue
        yield RULE.finding(
            f"{trail.entry.route} bills whichever customer the caller names ({', '.join(map(_last, parts[:3]))}); "
            "usage can be put on somebody else's bill",
            case.origin(trail),
            _sure(case, trail, parts),
            case.name(trail),
            case.hops(trail),
        )


def _sure(case: Case, trail: Trail, parts: list[str]) -> Confidence:
    """No finding where the customer is looked up and refused when it is somebody else's."""
    names = {_last(one) for one in parts}
    if _asks_whose(case, trail, names) or _asks_to_belong(case, trail, names):
        return Confidence.LOW
    return Confidence.MEDIUM  # who may name whom is asked in more ways than are known


def _asks_whose(case: Case, trail: Trail, names: set[str]) -> bool:
    """Whether a function compares what the caller names with what is the caller's: `if (item.owner !== user.id)`."""
    for key in sorted({key for key, _ in trail.hops}):
        given = case.program.function(key).assigns
        found = {name for name, value in given if value.kind == "call" and names & set(spoken(value.parts))}
        words = "|".join(re.escape(one) for one in sorted(names | found))
        compared = rf"\bif\b[^\n]*\b(?:{words})\b[^\n]*[!=]==?[^\n]*(?:\n[^\n]*){{0,3}}?{REFUSED}"
        if words and re.search(compared.encode(), case.said(key)):
            return True
    return False


def _asks_to_belong(case: Case, trail: Trail, names: set[str]) -> bool:
    """Whether a guard is given both the caller and what is named: `await withOrganizationAuth(request, orgId)`."""
    keys = {key for key, _ in trail.hops}
    guards = [
        call for key in keys for call in case.program.function(key).calls if BELONGS.search(call.callee)
    ]
    for call in guards:
        said = set(spoken(call.args)) if call.state != "floating" else set()
        named = {one for one in said if one.rpartition(".")[2] in names}
        if named and any(CALLER.match(one) for one in said - named):
            return True
    return False


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
