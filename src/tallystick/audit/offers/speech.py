"""Prices of a unit of use in sentences: "$0.02 per extra minute", "500 calls, then 5 cents each"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tallystick.audit.offers.vocabulary import Vocabulary, singular

PROMISED = "a promise to bill what is used beyond the plan"
PER_UNIT = "a price per unit on a page"  # too small to be paid by the piece
SPOKEN = "a price per unit that a page speaks of"

MONEY = re.compile(
    r"(?:(?<![/$])[$€£₹¥]|R\$|\bRs\.? ?|\b(?:USD|EUR|GBP) ?)\s?(?P<sum>\d[\d,]{0,12}(?:\.\d{1,9})?|\.\d{1,9})"
    r"|(?<![\w.$])(?P<rest>\d{1,9}(?:\.\d{1,9})?)\s?(?P<small>¢|cents?\b)"
    r"|(?<![\w.$])(?P<after>\d{1,9}(?:[.,]\d{1,9})?)\s?(?:USD\b|EUR\b|dollars?\b|€)"
    r"|(?:\$\$|[€£]\$?)\{[^{}\n]{1,60}\}"  # a sum that is filled in
    r"|\{{1,2} ?(?:\w{1,20}\.)?(?i:(?:format|fmt|to)_?(?:currency|price|money|usd|cents))\w{0,10}"
    r"\([^{}\n]{1,60}\) ?\}{1,2}"
)
MARKUP = re.compile(r"<[^<>]{0,300}>|&\w{2,8};|&#\d{2,5};|\\u00a0|\{[\"'` ]{1,9}\}")
ELSEWHERE = re.compile(  # a sum that stands in a link to another's pages
    r"<(?:a|[\w.]*Link\w*)\s[^<>]{0,200}\b(?:href|to)=[\"'{`]{1,3}https?://[^<>]{0,200}>[^<>]{0,60}$",
    re.IGNORECASE,
)
JOINTS = re.compile(  # between a price and its unit where they are fields of a record
    r"[\"'`{}()\[\],;:|·•—–+~]+"
    r"|\b(?:unit|suffix|period|label|description|price|text|value|name|amount|features?)\b\s*[:=]"
)
STOP = re.compile(r"[•·;]|[.!?]\s|//|/\*|[$€£₹¥] ?\d|(?<=\beach)(?=\s?[\"'`])")
WORD = re.compile(r"[A-Za-z][\w'-]{0,40}|\d[\d,.]{0,12}[kKmM]?\b|/")
REMARK = re.compile(r"(?:^|[^:\w\"'`])(?://|#)(?!\w)|^\s*(?:\*|<!--|--)")

BINDING = frozenset(["per", "each", "every"])
ON_TOP = frozenset(["extra", "additional", "excess"])
CURRENCIES = frozenset(["usd", "eur", "gbp", "dollar"])
ROUGHLY = re.compile(  # a guess, as one makes of what others ask
    r"(?i)(?:[~≈]|\b(?:about|approx(?:imately|\.)?|around|roughly|circa|ca\.|ongeveer|etwa|environ|unos))\s{0,3}$"
)
OVERAGE = re.compile(r"(?i)\boverages?\b")
ON_TOP_OF = re.compile(r"(?i)\b(?:overages?|additional|extra|excess|beyond)\b")
BEYOND = re.compile(
    r"(?i)\b(?:thereafter|metered|in arrears|actual usage|what you use|charged per|(?:only pay|pay only) for"
    r"|(?:over|above|past) (?:the|your|plan|included|quota)|after (?:that|the first|your|included)"
    r"|exceed(?:s|ed|ing)?|pay[ -]as[ -]you[ -](?:go|use|grow)|usage[ -](?:based|billing|pricing|charges?|fees?)"
    r"|billed (?:per|monthly for|at the end|for usage|based on))\b|\b[Tt]hen\b"
)
BILLED = re.compile(  # in words alone
    r"(?i)\boverages?\s+(?:(?:is|are|usage is|will be|gets)\s+)?(?:automatically\s+)?(?:billed|charged|invoiced)\b"
    r"|\boverage\s+(?:charges?|fees?)\s+(?:(?:may|will)\s+)?(?:apply|accrue|of|at|beyond)\b"
    r"|\b(?:billed|charged|invoiced)\s+(?:\w{1,12}\s){0,2}(?:for|on|by)\s+(?:any\s|all\s|the\s|your\s)?"
    r"(?:overages?|(?:additional|extra|excess|actual)\s+(?:usage|use|consumption))\b"
    r"|\busage\s+(?:beyond|above|over)\s+(?:[\w']{1,12}\s){1,4}(?:is|will be)\s+(?:billed|charged|invoiced)\b"
)
DENIED = re.compile(
    r"(?i)\b(?:no|never|without|not|zero|avoid|don'?t|won'?t|instead of)\b[^.!?]{0,30}"
    r"\b(?:overage|extra|charged?|billed|additional|surprise|hidden|per)\b"
    r"|\bno (?:\w{1,20} ){0,2}(?:overage|charges?|fees?)"
)
BOUGHT = re.compile(r"(?i)\btop[ -]?ups?\b|\bone[ -]time\b|\badd[ -]?ons?\b|\bbuy\b|\b2\.9 ?%")

FAR, AROUND, NEAR, CLOSE, NEXT = 160, 100, 90, 70, 40  # letters before and behind a sum
AHEAD, BEHIND = 9, 8  # words
CENTS = 100
PAID_AHEAD = frozenset(["credit"])


def spoken(text: str, words: Vocabulary) -> Iterator[tuple[int, str]]:
    """Where a text offers use at a price: `PROMISED` beyond a plan, `PER_UNIT`, or as `SPOKEN`, maybe by the piece."""
    for hit in BILLED.finditer(text):
        around = MARKUP.sub(" ", text[max(0, hit.start() - NEXT) : hit.end()])
        if not _remarked(text, hit.start()) and not DENIED.search(around):
            yield hit.start(), PROMISED
    for hit in MONEY.finditer(text):
        if _remarked(text, hit.start()):
            continue
        before = MARKUP.sub(" ", text[max(0, hit.start() - FAR) : hit.start()])
        after = MARKUP.sub(" ", text[hit.end() : hit.end() + FAR])
        around, asked = f"{before[-AROUND:]} $ {after[:AROUND]}", _sum(hit)
        if asked == 0 or ROUGHLY.search(before) or not _of_the_seller(around, words):
            continue
        if ELSEWHERE.search(text, max(0, hit.start() - FAR * 2), hit.start()):
            continue
        unit = _unit(before[-CLOSE:], after[:NEAR], words)
        if unit is not None and ON_TOP_OF.search(around):
            yield hit.start(), PROMISED
        elif unit in words.units - PAID_AHEAD and asked < 1:
            yield hit.start(), PER_UNIT
        elif unit and unit not in PAID_AHEAD and BEYOND.search(around):
            yield hit.start(), SPOKEN


def _remarked(text: str, at: int) -> bool:
    return REMARK.search(text[text.rfind("\n", 0, at) + 1 : at]) is not None


def _sum(hit: re.Match[str]) -> float:
    """How much it is; 1 where the text fills it in."""
    said = hit["sum"] or hit["rest"] or hit["after"]
    if said is None:
        return 1
    number = float(said.replace(",", "" if hit["sum"] else "."))
    return number / CENTS if hit["small"] else number


def _of_the_seller(around: str, words: Vocabulary) -> bool:
    """Whether it is the seller who asks a price, and not before the use."""
    said = {singular(one) for one in WORD.findall(around)}
    return not (
        said & words.suppliers or said & words.prepaid or BOUGHT.search(around) or DENIED.search(around)
    )


def _unit(before: str, after: str, words: Vocabulary) -> str | None:
    """What a price is for, "" for use of any kind; nothing where it is paid by the time or by the head."""
    behind = _said(STOP.split(after)[0])[:BEHIND]
    if behind[:1] and behind[0] in CURRENCIES:
        behind = behind[1:]
    at = next(
        (at for at, one in enumerate(behind[:2]) if one in BINDING or (not at and one in ON_TOP | {"/"})),
        None,
    )
    nouns = [] if at is None else [one for one in behind[at + 1 :] if one.isalpha() and one not in BINDING]
    if at is not None and nouns:
        return _noun(nouns, behind[at] in ON_TOP, words)
    if OVERAGE.search(before[-NEXT:]) or OVERAGE.search(after[:NEXT]):
        return ""
    return _ahead(_said(before)[-AHEAD:], "each" in behind[:2], words)


def _said(text: str) -> list[str]:
    return [singular(one) for one in WORD.findall(JOINTS.sub(" ", text))]


def _noun(nouns: list[str], on_top: bool, words: Vocabulary) -> str | None:
    """What stands behind "per" or "extra": a unit that is known, or any noun but a time or a head."""
    for at, one in enumerate(nouns[:4]):
        if one in words.held and at < 2:  # also "per GB per month": room that is kept
            return None
        if one in words.units or (on_top and one not in ON_TOP):
            return None if set(nouns[at + 1 : at + 2]) & words.held else one
        on_top = on_top or one in ON_TOP
    return next((one for one in nouns if one not in ON_TOP), None)


def _ahead(said: list[str], each: bool, words: Vocabulary) -> str | None:
    """The unit in front of a price: "extra pages are $1", "1,000 calls, then $1 each"."""
    for at in range(len(said) - 1, -1, -1):
        if said[at] in words.units:
            near = set(said[max(0, at - 2) : at])
            return said[at] if each or (near & ON_TOP and not near & words.held) else None
        if said[at] not in words.links and not said[at][0].isdigit():
            return None
    return None
