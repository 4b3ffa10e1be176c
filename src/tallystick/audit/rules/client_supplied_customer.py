"""The billed customer is the client's own word."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tallystick.audit.case.case import Case
from tallystick.audit.case.reaching import spoken
from tallystick.audit.model import Confidence, Finding, Severity
from tallystick.audit.program.program import Key
from tallystick.audit.rules.base import Rule
from tallystick.audit.syntax.ir import Call, Expr, Function
from tallystick.audit.trails.trails import Trail

BELONGS = re.compile(r"(?i)(?:auth\w*|access|member\w*|owner\w*|permissions?|belongs\w*)$")
CALLER = re.compile(
    r"(?i)^(?!.*\b(?:body|query|params|input)\b)"
    r"(?:_?req(?:uest)?|ctx|context|c|event|headers|\w*(?:session|user|auth|token|actor|viewer)\w*)\b"
)
DEEPEST = 4
REFUSED = r"(?:\b403\b|(?i:forbidden|belong|not (?:the |an? )?own|permission|access denied))"
TURNED_AWAY = r"(?:\b40[134]\b|(?i:forbidden|unauthori[sz]ed|not.?found|denied)|\b(?:throw|raise|abort)\b)"
OWN = r"\b(?i:session|(?:current_?)?user|auth\w*|token|actor|viewer|identity|claims)(?:[._]\w+|\w*Id)+"  # of who calls
LOOKING = re.compile(  # for one thing, or whether it is there
    r"(?i)(?:^|[.>])(?:find\w*|first\w*|single|maybe_?single|get\w*|load\w*|fetch\w*|query\w*|where|filter\w*|select\w*"
    r"|exists?|count|verify\w*|assert\w*|ensure\w*|require\w*|can_?\w+|is_?\w+|has_?\w+)$"
)
CALLERS = re.compile(  # what belongs to who calls: `session.user.id`, a column `owner_id`, `current_user.projects.find`
    r"(?i)^(?!.*\b(?:body|query|params|input)\b)\w*(?:session|user|auth|actor|viewer)\w*\.\w"
    r"|(?:^|\.)(?:current_?)?(?:user|owner|member|actor|assigned_?user)_?(?:id|uid)$"
)


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
    if (
        _asks_whose(case, trail, names)
        or _asks_to_belong(case, trail, names)
        or _looks_up_own(case, trail, names)
    ):
        return Confidence.LOW
    return Confidence.MEDIUM  # who may name whom is asked in more ways than are known


def _asks_whose(case: Case, trail: Trail, names: set[str]) -> bool:
    """Whether a function compares what the caller names with what is the caller's: `if (item.owner !== user.id)`."""
    for key in sorted({key for key, _ in trail.hops}):
        given = case.program.function(key).assigns
        found = {name for name, value in given if value.kind == "call" and names & set(spoken(value.parts))}
        words = "|".join(re.escape(one) for one in sorted(names | found))
        compared = rf"\bif\b[^\n]*\b(?:{words})\b[^\n]*[!=]==?[^\n]*(?:\n[^\n]*){{0,3}}?{REFUSED}"
        named, apart = rf"\b(?:{words})\b", r"[^\n]{0,40}!==?[^\n]{0,40}"
        other = (
            rf"\bif\b[^\n]*(?:{named}{apart}{OWN}|{OWN}{apart}{named})[^\n]*(?:\n[^\n]*){{0,3}}?{TURNED_AWAY}"
        )
        if words and any(re.search(one.encode(), case.said(key)) for one in (compared, other)):
            return True
    return False


def _looks_up_own(case: Case, trail: Trail, names: set[str]) -> bool:
    """Whether what is named is looked up among what the caller has: `find({ where: { id, userId } })`."""
    for number in range(len(trail.hops) - 1, -1, -1):
        key, call = trail.hops[number]
        function = case.program.function(key)
        names = names | {name for name, value in function.assigns if value.text.rpartition(".")[2] in names}
        for one in function.calls:
            if one.state == "floating" or not LOOKING.search(one.callee):
                continue
            said = {each for given in _chained(function, one) for each in (*spoken(given), *_keyed(given))}
            named = {each for each in said if each.rpartition(".")[2] in names}
            if named and any(CALLERS.search(each) for each in {*said, one.callee} - named):
                return True
        if number:
            names = _handed(case, trail.hops[number - 1][0], call, names)
    return False


def _chained(function: Function, call: Call) -> list[tuple[Expr, ...]]:
    """What a call is given, and those before it in its chain: `from("t").eq("id", id).eq("owner", user.id)`."""
    before = [one for one in function.calls if call.callee.startswith(f"{one.callee}().")]
    return [call.args, *(one.args for one in before if call.line <= one.line <= call.end_line)]


def _handed(case: Case, callee: Key, call: Call, names: set[str]) -> set[str]:
    """What a function calls what it was given under these names."""
    fields = {
        key for one in call.args for key, part in zip(one.keys, one.parts, strict=False) if _of(part, names)
    }
    places = {number for number, one in enumerate(call.args) if one.kind == "name" and _of(one, names)}
    bound = case.program.function(callee).bindings
    return fields | {one.name for one in bound if one.index in places or one.path in fields}


def _of(value: Expr, names: set[str]) -> bool:
    return any(one.rpartition(".")[2] in names for one in spoken((value,)))


def _keyed(values: tuple[Expr, ...], depth: int = 0) -> set[str]:
    """The columns that are compared: `{ assignedUserId: id }`."""
    inner = [_keyed(one.parts, depth + 1) for one in values] if depth < DEEPEST else []
    return {key for one in values for key in one.keys}.union(*inner)


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
