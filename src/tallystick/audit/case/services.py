"""Reports to a billing service of the seller's own: of use that is sold, where a price says so."""

from __future__ import annotations

import re

from tallystick.audit.case.case import Case
from tallystick.audit.offers.names import OVERAGE
from tallystick.audit.offers.offers import Offers
from tallystick.audit.offers.speech import PROMISED
from tallystick.audit.trails.trails import Trail

PRICED = re.compile(rb"(?i)\b(?:cost|price|amount|charge)_?(?:in_?)?(?:cents|usd|micros)\b")
DEFINED = (  # a function, or a method of a class
    rb"(?:\bfunction|\basync|\bdef|\bfunc|\bpublic|\bstatic)\s+(?:\([^)\n]{0,80}\)\s*)?%s\s*[(<]"
    rb"|^\s+%s\s*\([^;\n]{0,200}\{\s*$"
)


def settle(case: Case) -> None:
    """Drop reports to an own service where nothing says that use is sold, or where a provider is told of it as well."""
    own = [one for one in case.trails if one.site.sink.own]
    if not own:
        return
    others = [one for one in case.trails if not one.site.sink.own]
    told = any(one.entry is not None and not one.site.sink.arrears for one in others)
    kept = [one for one in own if one.entry is not None and _is_elsewhere(case, one)]
    if told or not (any(_is_priced(case, one) for one in kept) or (kept and _sells(case))):
        kept = []
    case.trails = [*others, *kept]
    calls = {id(one.site) for one in kept}
    case.sites = [one for one in case.sites if not one.sink.own or id(one) in calls]


def _is_elsewhere(case: Case, trail: Trail) -> bool:
    """Whether the tree does not itself hold what a client's method does."""
    if trail.site.sink.text:
        return True
    name = re.escape(trail.site.call.callee.rpartition(".")[2]).encode()
    if any(call is trail.site.call for _, call in case.program.callees.get(trail.site.key, ())):
        return False
    defined = re.compile(DEFINED % (name, name), re.MULTILINE)
    holder = case.program.function(trail.site.key)
    own = case.said(trail.site.key).splitlines()[0] if holder.name else b""
    return all(
        defined.search(case.corpus.sources[path].replace(own, b"")) is None
        for path in case.corpus.holding([name.lower()])
    )


def _is_priced(case: Case, trail: Trail) -> bool:
    """Whether the report itself says what the use costs."""
    call = trail.site.call
    return PRICED.search(case.corpus.text(trail.site.key[0], call.line, call.end_line)) is not None


def _sells(case: Case) -> bool:
    """Whether the tree has a price of use."""
    if case.corpus.signals("metered", 1):
        return True
    offers = Offers(case.corpus)
    return any(one.note == OVERAGE for one in offers.priced()) or any(
        one.note == PROMISED for one in offers.promised()
    )
