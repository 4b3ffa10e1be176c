"""The billed number is the client's own word."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tallystick.audit.case.case import Case
from tallystick.audit.case.reaching import ordered
from tallystick.audit.model import Confidence, Finding, Place, Severity
from tallystick.audit.rules.base import Rule
from tallystick.audit.syntax.searches import finite
from tallystick.audit.trails.sites import NO_QUANTITY
from tallystick.audit.trails.trails import Trail

REQUEST = re.compile(
    r"(?i)(?:^|_)(?:req|request|body|payload|data|input|inputs|query|params|messages|prompt)$"
)

CONTENT = re.compile(r"(?i)(?:\w+_)?(?:body|message|html|markdown|caption|transcript|script)$")
HOLDER = re.compile(
    r"(?i)(?:body|payload|data|dto|input|json|params|values|form|fields|message)$|\w+(?:dto|body|input|payload)$"
)

OPENED = finite(  # to every client: Autumn's own functions as functions of Convex
    rb"\bexport\s+const\s+\{(?:[^}]*[\s,])?track[\s,][^}]*\}\s*=\s*\w*(?i:autumn)\w*\.api\(\)"
    rb"|\bexport\s+const\s+track\s*=\s*\w*(?i:autumn)\w*\.track\b"
)
SEATS = re.compile(
    r"(?<![A-Za-z])(?:[sS]eat|[lL]icen[cs]e)s?(?![a-z])|(?<=[a-z])(?:Seat|Licen[cs]e)s?(?![a-z])"
)


def find(case: Case) -> Iterator[Finding]:
    """Trails whose quantity the request body or query sets, without a service secret in the way."""
    for trail in case.live:
        parts = [
            one
            for one in case.client_parts(trail.quantity, trail.entry)
            if not NO_QUANTITY.search(_last(case, one))
            and not _is_whole_request(case, one)
            and not _is_content(case, one)
        ]
        if not parts or case.guarded(trail) or trail.entry is None:
            continue
        mixed = any(kind in ("measured", "stored", "unknown") for kind, _ in trail.quantity)
        names = [_last(case, one) for one in parts]
        chosen = _buys(case, trail, names) or ordered(case, trail, set(names)) or _corrects(case, trail)
        typed = case.of_staff(trail)
        yield RULE.finding(
            f"{trail.entry.route} bills the number "
            + ("somebody of the staff types in" if typed else "the caller sends")
            + f" ({', '.join(names[:3])}); "
            + ("nothing measures it" if typed else "anyone can send 0 and use the product for free"),
            case.origin(trail),
            Confidence.LOW if chosen else Confidence.MEDIUM if mixed or typed else Confidence.HIGH,
            case.name(trail),
            case.hops(trail),
        )
    yield from _opened(case)


def _opened(case: Case) -> Iterator[Finding]:
    """The provider's report itself as a function that a browser may call, where usage is reported with it."""
    if not any(one.site.sink.provider == "autumn" and not one.client for one in case.live):
        return
    for path, line, _ in case.corpus.live_hits(OPENED):
        if "convex/" in path:
            yield RULE.finding(
                "track is a function that every client may call with any number, also one below zero",
                Place(path, line),
                Confidence.LOW,  # as the kit's own guide has it
            )


def _corrects(case: Case, trail: Trail) -> bool:
    """Whether the staff only adds to what is measured elsewhere."""
    return case.of_staff(trail) and any(
        one.site.sink.provider == trail.site.sink.provider and not case.of_staff(one) for one in case.live
    )


def _buys(case: Case, trail: Trail, names: list[str]) -> bool:
    """Whether a known caller chooses how many seats to pay for: that is what an order is, and no forged count."""
    owners = (case.program.function(key) for key, _ in trail.hops)
    said = [f"{one.owner} {one.name}" for one in owners] + [call.callee for _, call in trail.hops] + names
    return any(SEATS.search(one) for one in said) and case.known(trail)


def _last(case: Case, text: str) -> str:
    """The field a label speaks of: the last step of its path, or the argument itself."""
    path = text.rpartition(":")[2]
    return path.rpartition(".")[2] or path or _argument(case, text) or "an argument"


def _argument(case: Case, text: str) -> str:
    """The name of the argument that a parameter's label speaks of."""
    place, _, rest = text.partition(":")
    module, _, index = place.rpartition("#")
    if module not in case.program.modules or not index.isdigit():
        return ""
    function = case.program.function((module, int(index)))
    return next((one.name for one in function.bindings if str(one.index) == rest.partition(":")[0]), "")


def _is_whole_request(case: Case, text: str) -> bool:
    """Whether the label is all of a request's model: something was worked out from it, no field of it is billed."""
    name = _argument(case, text) if not text.rpartition(":")[2] else ""
    return bool(REQUEST.search(name))


def _is_content(case: Case, text: str) -> bool:
    """Whether the label is what is to be sent or worked on, of which the number is made: `dto.message`."""
    steps = text.rpartition(":")[2].split(".")
    holder = steps[-2] if len(steps) > 1 else _argument(case, text)
    return CONTENT.match(steps[-1]) is not None and HOLDER.match(holder) is not None


RULE = Rule(
    code="client_supplied_quantity",
    title="The client chooses how much is billed",
    why=(
        "A number from the request body, query or form is the caller's claim, validated or "
        "not. Whoever pays by it can "
        "send a smaller one. Count on the server: what was done, what the model provider returned, the bytes received."
    ),
    wrong=(
        "const { tokens } = await req.json();\nawait stripe.billing.meterEvents.create({ "
        "payload: { value: tokens } });"
    ),
    right="const reply = await openai.chat.completions.create(request);\n"
    "await report(org.customerId, reply.usage.total_tokens);",
    severity=Severity.HIGH,
    decides=True,
    find=find,
    remediation=(
        "Count on the server what the action really did (rows, bytes, tokens the model "
        "returned) and report that "
        "number; drop the field from the request."
    ),
)
