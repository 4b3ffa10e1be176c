"""Reports to a billing service of the seller's own: of use that is sold, where a price says so."""

from __future__ import annotations

import re

from tallystick.audit.case.case import Case
from tallystick.audit.corpus.lexical import ASIDE
from tallystick.audit.offers.names import OVERAGE
from tallystick.audit.offers.offers import Offers
from tallystick.audit.offers.speech import PROMISED
from tallystick.audit.syntax.searches import finite
from tallystick.audit.trails.sites import addressed
from tallystick.audit.trails.trails import Trail

PRICED = re.compile(rb"(?i)\b(?:cost|price|amount|charge)_?(?:in_?)?(?:cents|usd|micros)\b")
DEFINED = (  # a function, or a method of a class
    rb"(?:\bfunction|\basync|\bdef|\bfunc|\bpublic|\bstatic)\s+(?:\([^)\n]{0,80}\)\s*)?%s\s*[(<]"
    rb"|^\s+%s\s*\([^;\n]{0,200}\{\s*$"
)
BEYOND = finite(rb"(?im)^(?!\s*(?://|#|/?\*))[^\n]*?(?<!c)overage")  # in code, and not in a remark alone
ADDRESS = finite(r"((?:/[\w-]+)+)(?=[\s?]|$)")
ROUTED = (  # a route of these last words, or what such routes stand below
    rb"(?i)(?:\b(?:post|any|all|route|handle|handlefunc|postmapping|requestmapping|path|use|prefix|group|controller"
    rb"|mount|scope|resources?|api_route)\b[\s(=:]{1,4}|pathname\s{0,2}={2,3}\s{0,2})[:\"'`](?:POST )?[^\"'`\n]{0,80}?"
    rb"\b(?:%s)[\"'`/,)\s]"
)
BY_FOLDER = (
    r"(?:^|/)(?:app|pages|routes|functions|api)/(?:.*/)?%s(?:/(?:route|index|\+server))?(?:\.post)?\.\w+$"
)


def settle(case: Case) -> None:
    """Drop reports to an own service where nothing says that use is sold, or where a provider is told of it as well."""
    own = [one for one in case.trails if one.site.sink.own]
    if not own:
        return
    others = [one for one in case.trails if not one.site.sink.own]
    told = [one for one in others if one.entry is not None and not one.site.sink.arrears]
    kept = [one for one in own if one.entry is not None and _is_elsewhere(case, one)]
    gateways = all(
        not one.site.sink.quantity for one in told
    )  # they know of what goes through them, and of no more
    priced = any(_is_priced(case, one) for one in own)
    if not gateways or not (priced or (kept and not told and _sells(case))):
        kept = []
    case.trails = [*others, *kept]
    calls = {id(one.site) for one in kept}
    case.sites = [one for one in case.sites if not one.sink.own or id(one) in calls]


def _is_elsewhere(case: Case, trail: Trail) -> bool:
    """Whether the tree does not itself hold what a client's method does."""
    if trail.site.sink.text:
        return not _is_answered(case, trail)
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


def _is_answered(case: Case, trail: Trail) -> bool:
    """Whether the tree has a route at the address that is told: then what it does can be read there."""
    key, call = trail.site.key, trail.site.call
    module, function = case.program.modules[key[0]], case.program.function(key)
    hits = [hit for one in call.args for hit in ADDRESS.finditer(addressed(one, module, function))]
    steps = hits[0][1].strip("/").split("/")[-2:] if hits else []
    if not steps:
        return False
    routed = re.compile(ROUTED % "/".join(map(re.escape, steps)).encode())
    folder = re.compile(BY_FOLDER % "/".join(map(re.escape, steps)))
    below = re.compile(ROUTED % re.escape(steps[-1]).encode())
    return any(
        folder.search(path) or routed.search(data) or (below.search(data) and steps[0].encode() in data)
        for path, data in case.corpus.sources.items()
        if path != key[0] and not ASIDE.search(path)
    )


def _is_priced(case: Case, trail: Trail) -> bool:
    """Whether the report itself says what the use costs, or its file what goes beyond a plan."""
    key, call = trail.site.key, trail.site.call
    if PRICED.search(case.corpus.text(key[0], call.line, call.end_line)):
        return True
    return BEYOND.search(case.corpus.sources[key[0]]) is not None


def _sells(case: Case) -> bool:
    """Whether the tree has a price of use."""
    if case.corpus.signals("metered", 1):
        return True
    offers = Offers(case.corpus)
    return any(one.note == OVERAGE for one in offers.priced()) or any(
        one.note == PROMISED for one in offers.promised()
    )
