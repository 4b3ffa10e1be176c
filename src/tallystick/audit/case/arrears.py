"""Charges of the application's own for what was used: rows of usage, summed into an amount that a job takes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tallystick.audit.case.case import Case
from tallystick.audit.case.joins import later
from tallystick.audit.case.reaching import reach
from tallystick.audit.program.program import Key
from tallystick.audit.syntax.ir import Call
from tallystick.audit.syntax.searches import finite
from tallystick.audit.trails import stored
from tallystick.audit.trails.labels import CONST
from tallystick.audit.trails.trails import Trail

TABLE = (  # of what customers used of the service; meters of houses and hours of people are read by somebody
    rb"(\w{0,40}(?:[uU]sage|USAGE|[oO]verage|[mM]etered|[mM]eter_?[eE]vent|"
    rb"(?:[aA]pi|[tT]oken|[cC]all|[rR]equest|[iI]nference|[cC]ompute|[bB]andwidth|[mM]inute)s?_?"
    rb"(?:[cC]all|[rR]equest|[lL]og|[rR]ecord|[eE]vent|[eE]ntr(?:y|ie)))\w{0,40})"
)
READ = finite(  # where a table stands that is read
    rb"(?:\b[fF]rom|\bFROM|\bselectFrom|\btable|\bcollection|\bselect|\bquery|\bsum|\bSum)(?:\(\s*[\"'`]?|\s+[\"'`]?(?:\w+\.)?[\"'`]?)"
    + TABLE
    + rb"|\b"
    + TABLE
    + rb"(?:Model|Repository|Repo)?(?:\.objects)?(?:\.|->|::)"
    + rb"(?:aggregate|groupBy|find\w*|filter|where\w*|select|sum|query|all|scan)\b"
)
ASIDE = re.compile(  # used of a coupon; what a plan allows; a page that shows what was used
    r"(?i)coupon|promo|discount|voucher|referral|limit|quota|allow|summary|stat|service|client|type|schema|alert"
)
SUMMED = finite(
    rb"(?i)\b_?sum\w*\b|reduce\(|aggregate|\+=|(?:\*|\btimes\b)\s*[\w.]*(?:price|rate|cost|cents|fee)|[\w.](?:price|rate|cost)\w*\s*\*"
)
MONEY = re.compile(rb"(?i)cost|price|rate\b|amount|cents|spen[dt]|owed|\bdue\b|fee\b|charge")
INVOICE = re.compile(
    r"(?i)^(?:usage|billing|monthly)?(?:invoice|bill|statement|charge)s?(?:record|run|item)?$"
)
BOUGHT = re.compile(  # ahead of its use, in a shop, or for another seller
    r"(?i)top_?-?up|re_?load|re_?charge|replenish|wallet|deposit|refund|payout|transfer|checkout|commission|donat|\btips?\b"
    r"|orders?\b|booking|reservation|cart\b|purchase|buy|renew|retry_?sub|trial|setup_?fee|tenant_?rent|credit_?pack|add_?credits|add_?funds"
)
PLANNED = re.compile(
    r"(?i)\bplans?\b|plan_?price|(?:^|\.)(?:base|monthly|yearly|seat|plan|unit)_?(?:price|fee|amount)|tier|package|product"
)
NUMBER = re.compile(r"[\d._]*$")
OFFERED = re.compile(rb"(?i)client_?secret")  # the customer pays in a page
UNASKED = re.compile(rb"(?i)off_?-?session")
USED = re.compile(rb"(?i)(?:usage|overage)_?(?:cost|charges?|amount|fees?|due|bill)")
INVOICES = "own-invoices"
WRITTEN = finite(
    rb"(?i)\binvoices?(?:\.objects)?(?:\.|::|->)(?:a?create|insert)\w*!?\(|\binto\s+[\"`]?(?:\w+\.)?invoices?\b"
    rb"|\(\s*[\"']invoices?[\"']\s*\)\s*\.(?:insert|upsert|add)|\binsert\(\s*invoices?\s*\)|\bnew invoice\("
)
TOLD = re.compile(  # by whoever asks for it
    rb"(?i)\breq(?:uest)?\.(?:json|body|data|post|form|get_json)\b|\bparams\[|\$request->|\bform_?data\b|\bbindjson\b"
    rb"|\.valid\([\"']json|@body\(|\bbasemodel\b"
)
EACH = frozenset(["unitamount", "unitamountdecimal", "price", "pricedata"])
FOR_OTHERS = frozenset(["stripeaccount", "onbehalfof", "transferdata", "applicationfeeamount"])
ROUND = re.compile(r"(?i)bill|invoic|month|cycle|period")
HOOK = re.compile(r"(?i)hook|cron|job|task|script|seed")
# Of a house, a car or a store: what its people consume, and not what a service does for them.
HOUSE = re.compile(r"(?i)water|electric|utilit|fuel|mileage|vehicle|inventory|material|facility")


def settle(case: Case) -> dict[str, Trail]:
    """The tables of usage that own charges take money for; the charges themselves are no reports."""
    charges = [one for one in case.trails if one.site.sink.arrears]
    if not charges:
        return {}
    typed = _typed(case, charges)
    others = [one for one in case.trails if not one.site.sink.arrears]
    case.trails = others
    case.sites = [one for one in case.sites if not one.sink.arrears]
    if any(one.entry is not None for one in others):
        return {}  # usage goes to a provider's meter; what is charged beside it is something else
    found: dict[str, Trail] = {}
    idle = []
    told: list[Trail] = []
    for trail in charges:
        is_document = trail.site.sink.provider == INVOICES and (typed or not _by_itself(trail))
        is_charge = not is_document and _is_charge(case, trail)
        tables = _owed(case, trail) if is_charge else set()
        if is_charge and not tables and (_counts(case, trail) or _of_use(case, trail)):
            told.append(trail)
        if tables and trail.entry is None and not case.named_elsewhere(trail.top):
            idle.append(trail)
        elif tables:
            found |= {one: trail for one in sorted(tables) if one not in found and _unasked(case, trail, one)}
    if told and not found:  # a report as any other
        case.trails = [*others, *told]
        case.sites += [one.site for one in told]
    elif idle and not found and not any(one.entry is not None for one in charges):
        case.trails = [*others, *idle]  # nothing runs what would charge
        case.sites += [one.site for one in idle]
    return found


def _typed(case: Case, charges: list[Trail]) -> bool:
    """Whether people make invoices in a page: then they are their own, for those they work for."""
    made = [one for one in charges if one.site.sink.provider == INVOICES]
    if not made or any(not _by_itself(one) for one in made):
        return bool(made)
    return any(
        TOLD.search(case.corpus.sources[path]) and not HOOK.search(path)
        for path in case.corpus.grep(WRITTEN, b"nvoice")
    )


def _by_itself(trail: Trail) -> bool:
    """Whether no customer starts a charge: the clock does, a queue, the office, or as yet nothing."""
    return trail.entry is None or trail.queued is not None or later(trail)


def _counts(case: Case, trail: Trail) -> bool:
    """Whether a round of bills asks for so many of something at its price, and for nobody else's account."""
    entry = trail.entry
    if entry is None or entry.kind not in ("schedule", "worker") or trail.queued is not None:
        return False
    call = trail.site.call
    given = {name: part for one in call.args for name, part in zip(one.keys, one.parts, strict=False)}
    names = {name.replace("_", "").lower() for name in given}
    number = given.get("quantity") or given.get("Quantity")
    if number is None or number.kind == CONST or not names & EACH or names & FOR_OTHERS:
        return False
    said = [entry.route, *(case.program.function(key).name for key, _ in trail.hops)]
    return any(ROUND.search(one) for one in said)


def _of_use(case: Case, trail: Trail) -> bool:
    """Whether a job takes money for what it calls use, wherever that is counted."""
    return (
        _by_itself(trail) and trail.entry is not None and USED.search(case.said(trail.site.key)) is not None
    )


def _is_charge(case: Case, trail: Trail) -> bool:
    """Whether an amount that is worked out is taken from a stored customer, and nothing is bought."""
    if trail.client or (
        trail.quantity and all(kind == CONST and NUMBER.match(text) for kind, text in trail.quantity)
    ):
        return False
    entry = trail.entry
    said = [entry.route, entry.key[0]] if entry is not None else []
    said += [word for key, call in trail.hops for word in (case.program.function(key).name, call.callee)]
    if any(BOUGHT.search(one) for one in said) or any(PLANNED.search(text) for _, text in trail.quantity):
        return False
    text = case.said(trail.site.key)
    return UNASKED.search(text) is not None or OFFERED.search(text) is None


def _unasked(case: Case, trail: Trail, table: str) -> bool:
    """Whether the customer does not start the charge: a job does, or the request that writes the row itself."""
    entry = trail.entry
    if entry is None or _by_itself(trail):
        return True
    below = sorted(reach(case, {entry.key}))
    return any(one.writes and one.table == table and one.payload for one in stored.rows(case.program, below))


def _owed(case: Case, trail: Trail) -> set[str]:
    """The tables of usage that are summed on the way to a charge, or into the invoices that it takes money for."""
    steps = [(key, call) for key, call in trail.hops if key[1]]
    found = {table for key, call in steps for table in _before(case, key, call)}
    if found:
        return found
    asked = {key for key, _ in steps}
    asked |= {to for key in asked for to, _ in case.program.callees.get(key, ())}
    kept = {one.table for one in stored.rows(case.program, sorted(asked)) if INVOICE.match(one.table)}
    return {table for key in _making(case, kept) for table in _summed(case.said(key))} if kept else set()


def _before(case: Case, key: Key, charge: Call) -> Iterator[str]:
    """The tables that a function sums, itself or by what it calls, before it charges."""
    function = case.program.function(key)
    above = case.corpus.text(key[0], function.line, max(charge.line, charge.end_line))
    yield from _summed(above)
    for to, call in case.program.callees.get(key, ()):
        if call.line <= charge.line and call != charge and to[1]:
            yield from _summed(case.said(to))


def _making(case: Case, tables: set[str]) -> list[Key]:
    """The functions that write such rows."""
    return sorted({one.key for one in stored.rows(case.program) if one.writes and one.table in tables})


def _summed(text: bytes) -> set[str]:
    """The tables of usage that a text reads, where it sums them into money."""
    if not SUMMED.search(text) or not MONEY.search(text):
        return set()
    names = {(hit[1] or hit[2]).decode("utf-8", "replace") for hit in READ.finditer(text)}
    return {stored.normal(one) for one in names if not ASIDE.search(one) and not HOUSE.search(one)}
