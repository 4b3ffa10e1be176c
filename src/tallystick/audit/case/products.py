"""What a report counts: the awaited function whose answer gives its number, or tells one report from another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from tallystick.audit.case.case import Case
from tallystick.audit.case.reaching import spoken
from tallystick.audit.program.program import Key
from tallystick.audit.syntax.ir import Expr
from tallystick.audit.trails.trails import Trail

WHOSE = re.compile(r"(?i)customer|subscri|account|org|team|user|tenant|workspace|email|stripe|apikey|api_key")
MAKES = re.compile(
    r"^(?:create|generate|send|run|process|analy[sz]e|render|convert|translate|transcribe|summari[sz]e|scrape|crawl"
    r"|enrich|extract|publish|deploy|execute|synthesi[sz]e|classify|optimi[sz]e|export|invoke|perform|complete"
    r"|predict|deliver|produce)(?=[A-Z_]|$)"
)
NO_WORK = re.compile(
    r"(?i)client|customer|session|checkout|user|account|context|server|subscri|usage|event|log|record|meter|invoice|payment"
    r"|price|plan|(?:id|uuid|token|key|slug|hash|code|name|title|email|mail|url|link_?token|row|query)s?$"
)


def products(case: Case, trails: Iterable[Trail]) -> Iterator[tuple[Key, Trail]]:
    """The functions that make what reports are about, each with a way of such a report."""
    known: dict[Key, dict[str, str]] = {}
    for trail in trails:
        own = {key for key, _ in trail.hops}
        for key, call in trail.hops:
            if key not in known:
                known[key] = _makers(case, key)
            names = {text.partition(".")[0] for text in spoken(call.args) if not WHOSE.search(text)}
            for maker in sorted({known[key][one] for one in names & known[key].keys()}):
                yield from ((one, trail) for one in case.program.targets(key, maker) if one not in own)


def _makers(case: Case, key: Key) -> dict[str, str]:
    """The names in a function that an awaited call gives, and the call, where that makes something to sell."""
    function = case.program.function(key)
    waited = {one.callee for one in function.calls if one.state in ("awaited", "used")}
    given = ((name, _call(value)) for name, value in function.assigns)
    return {name: maker for name, maker in given if maker in waited and _is_work(maker.rpartition(".")[2])}


def _is_work(name: str) -> bool:
    return MAKES.match(name) is not None and NO_WORK.search(name) is None


def _call(value: Expr) -> str:
    """The call that gives a value, or of which it is a part."""
    while value.kind == "member" and value.parts:
        value = value.parts[0]
    return value.text if value.kind == "call" else ""
