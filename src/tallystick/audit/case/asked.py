"""The price that a tree asks for use: the first that a customer is shown or that its code names, and no other's.

What is bought before it is used, and what some code bills in its own way, is no such price.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter

from tallystick.audit.case.case import Case
from tallystick.audit.model import Hop, Place
from tallystick.audit.offers.names import EXTRA, OVERAGE, PER_UNIT
from tallystick.audit.offers.plans import PLAN
from tallystick.audit.offers.speech import PROMISED, SPOKEN
from tallystick.audit.offers.tables import KEPT
from tallystick.audit.syntax.searches import finite

ROUTED = re.compile(
    r"(?:^|/)(?:pages|routes|app)/(?:[^/A-Z]*/)*[^/A-Z]+$"
)  # a component is named with a capital
OTHERS = re.compile(  # a page on what others ask, or a table of what the seller's own suppliers do
    r"(?i)(?:^|/)(?:blogs?|articles?|news|vs|compar\w+|alternatives?|competitors?)[/_.-]|[/_-]vs-"
    r"|(?:azure|aws|gcp|cloud|openai|anthropic|llm|models?|vendors?|providers?|competitors?)[_-]?(?:pric|cost|rate|tariff)"
)
BOUGHT = re.compile(
    rb"\bmode[\"']?\s*[:=]\s*[\"']payment[\"']|payment_?[iI]ntents?\.create"
)  # piece by piece
PAID_IN = re.compile(
    r"(?i)top[-_]?up|add[-_]?(?:funds|balance)|wallet|recharge"
)  # what is used is taken from a balance
PAID_HERE = re.compile(  # in what a page says: it is bought before it is used
    rb"(?i)\b(?:top[- ]?ups?|prepaid|wallet|(?:add|buy)[- ](?:more )?(?:funds|credits)|credits? never expire)\b"
)
TAKEN = re.compile(  # what is beyond the plan is taken from a balance, or refused
    rb"(?i)\b[\w.$]{0,40}(?:balance|wallet|credits)\w{0,20}\)?\s?(?:-=?|>=?|<)\s?[\w.]{0,40}overage"
    rb"|overage\w{0,20}\)?\s?(?:<=?|>)\s?[\w.]{0,40}(?:balance|wallet|credits)"
    rb"|(?:deduct|debit|withdraw)\w{0,20}\([^\n)]{0,60}overage"
)
BILLED = finite(  # what tells that a row was billed: `row.invoiced = True`, `'billed_at' => now()`
    rb"(?i)(?<!\w)[\w.]*(?:billed|invoiced|charged)(?:_?at)?[\"']?\s*(?:=>|=(?!=)|:)\s*"
    rb"(?:true\b|now\b|new Date|datetime|timezone|time\.|Carbon|Date\.now)"
)
HOLDER = finite(
    rb"(?:\bdef|\bfunction\*?|\bfunc(?:\s*\([^)\n]*\))?)\s+(\w+)|\b(\w+)\s*=\s*(?:async\s*)?\([^)\n]*\)\s*=>"
)
DECLARING = re.compile(r"(?i)model|schema|migrat|types?\b|\.d\.ts$|entit")
MARKS = 50  # functions that mark rows as billed, of which any is asked for


def asked(case: Case) -> Hop | None:
    """The first price of use: named in code where usage is counted, or promised."""
    if case.corpus.grep(TAKEN, b"overage"):
        return None
    counters = {hop.place.path for hop in case.counted}
    before = {one for one in case.promised if _paid_ahead(case, one.place)}
    ahead = bool(before) or any(PAID_IN.search(path) for path in case.corpus.sources)
    weak = bool(counters) and not ahead and not case.corpus.grep(BOUGHT)
    sold = {OVERAGE, EXTRA} if weak else {OVERAGE}
    if any(one.note == KEPT for one in case.priced) and not _marked_billed(case):
        sold.add(KEPT)
    for one in case.priced:
        if one.note in sold or (one.note == PER_UNIT and one.place.path in counters):
            return one
    promised = (
        one for one in case.promised if one.note == PROMISED or (weak if one.note == SPOKEN else not ahead)
    )
    return next((one for one in promised if one not in before and _shown(case, one.place.path)), None)


def means_to_bill(case: Case) -> bool:
    """Whether use is sold beyond a plan, though no provider of payments is known.

    It is where pages promise that as well, or where use is counted and the plan says all of it and is paid for.
    """
    told = any(one.note == PROMISED and _shown(case, one.place.path) for one in case.promised)
    planned = bool(case.paid) and any(
        one.note == PLAN and not OTHERS.search(one.place.path) for one in case.priced
    )
    told = told and any(one.note == OVERAGE for one in case.priced)
    return (bool(case.counted) and (planned or told)) or (bool(case.paid) and told)


def _paid_ahead(case: Case, place: Place) -> bool:
    """Whether the page that has a price speaks of what is bought before it is used, and the price of no overage."""
    data = case.corpus.sources.get(place.path) or case.corpus.support.get(place.path, b"")
    line = data.split(b"\n")[place.line - 1] if data else b""
    return PAID_HERE.search(data) is not None and b"overage" not in line.lower()


def _marked_billed(case: Case) -> bool:
    """Whether code that other code calls marks rows as billed: then something bills them, in whatever way."""
    names: set[bytes] = set()
    for path in case.corpus.grep(BILLED):
        data = case.corpus.sources[path]
        holders = [(one.start(), one[1] or one[2]) for one in HOLDER.finditer(data)]
        for hit in BILLED.finditer(data) if not DECLARING.search(path) else ():
            above = bisect_left(holders, (hit.start(),))
            if not above:
                return True
            names.add(holders[above - 1][1])
    if not names:
        return False
    word = re.compile(rb"\b(?:" + b"|".join(map(re.escape, sorted(names)[:MARKS])) + rb")\b")
    said = Counter(name for data in case.corpus.sources.values() for name in word.findall(data))
    return any(number > 1 for number in said.values())


def _shown(case: Case, path: str) -> bool:
    """Whether a visitor comes to see a promise of the seller: in a page, or in a part that other code names."""
    if OTHERS.search(path):
        return False
    stem = path.rpartition("/")[2].partition(".")[0]
    if path not in case.corpus.sources or ROUTED.search(path) or stem in ("index", "page"):
        return True
    word = re.compile(rb"[\"'/.]" + re.escape(stem).encode() + rb"[\"'.]")
    return any(one != path for one in case.corpus.grep(word, stem.encode()))
