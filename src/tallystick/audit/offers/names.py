"""Prices of a unit of use in names: `overagePrice`, `extra_minute_rate`, a column `overage_cents integer`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from tallystick.audit.offers.speech import ON_TOP, PAID_AHEAD, REMARK
from tallystick.audit.offers.vocabulary import Vocabulary, parts

OVERAGE = "an overage price in code"
EXTRA = "a price beyond the plan in code"
PER_UNIT = "a price per unit in code"

LIKELY = re.compile(  # a part of a name; "per" only as a word of it
    r"(?i:overage|extra|additional|excess|metered_|usage_?(?:price|rate))"
    r"|(?<![^\W_])(?i:per)_|(?<=[a-z])Per(?=[A-Z])"
)
LONGEST, LISTED = 60, 200
SUM = re.compile(r"[$€£] ?\d*[.,]?\d*[1-9]")
START, NAME = re.compile(r"\w{1,60}\Z"), re.compile(r"\w{0,60}")
CURRENCY = frozenset(["usd", "cent", "eur"])
MONEY = CURRENCY | {"price"}
USAGE = MONEY | {"usage", "rate"}
RATES, AMOUNT = frozenset(["rate"]), frozenset(["amount"])
COSTS = frozenset(["cost", "revenue"])  # of the seller's own, more often than not
GIVEN = re.compile(r"[\"'`]?\]?\s{0,8}(?P<sign>\??:|=>|=(?!=)|\*|\+=)\s{0,8}(?P<value>[^\n,;]{0,60})")
COLUMN = re.compile(
    r"[\"`]?(?P<sign>\s{1,20})(?:numeric|decimal|int\w{0,10}|bigint|real|float|double|money)\b(?![^\n]{0,80}(?:default[\s(]{1,3}0|:=))",
    re.I,
)
NOTHING = re.compile(r"[\"']?\$?0(?:\.0*)?(?![.\d])|(?i:null|none|false|undefined|nil)\b|\"\"|''")
TYPE = re.compile(
    r"(?i)\??(?:number|string|float|int|integer|decimal|bigint|optional|boolean|bool)\b|(?:z|v|t|s|yup|joi|schema|type)\.\w{1,20}\("
)
FRACTION = re.compile(r"(?:Decimal\()?[\"']?\$?\d*\.\d")
MOMENTS = frozenset(["min", "minute", "sec", "second", "hour", "hr"])
NUMBER = re.compile(r"(?:Decimal\()?[\"']?\$?(?=[0-9.]*[1-9])[0-9._]+(?![\w.])")
TIMES = re.compile(r"([\w.]{1,80})\s{0,3}\*\s{0,3}([\w.]{1,80})")


def named(text: str, words: Vocabulary, columns: bool = False) -> Iterator[tuple[int, str]]:
    """Where a text names a price for use, and of what kind; of the tables of a database, only their `columns`."""
    end = 0
    for hit in LIKELY.finditer(text):
        if hit.start() < end:
            continue
        start, end = _bounds(text, hit)
        said = parts(text[start:end])
        if words.aside.intersection(said) or REMARK.search(text[text.rfind("\n", 0, start) + 1 : start]):
            continue
        given = (COLUMN if columns else GIVEN).match(text, end)
        value = "" if given is None else text[start:end] if columns else given["value"]
        note = _kind(said, value, words) if given is not None and not _empty(given["sign"], value) else ""
        if not note and "overage" in said and not columns:
            listed = value[:1] in ("[", "{") and SUM.search(text, end, end + LISTED) is not None
            note = OVERAGE if listed or _multiplied(text, start, end, words) else ""
        if note:
            yield start, note


def _bounds(text: str, hit: re.Match[str]) -> tuple[int, int]:
    """From where to where the name goes that holds a likely word."""
    before = START.search(text, max(0, hit.start() - LONGEST), hit.start())
    after = NAME.match(text, hit.end())
    return hit.start() if before is None else before.start(), hit.end() if after is None else after.end()


def _empty(sign: str, value: str) -> bool:
    """Whether a name is only declared, or given nothing."""
    declared = sign == "?:" or (sign == ":" and TYPE.match(value) is not None)
    return declared or NOTHING.match(value) is not None


def _kind(name: list[str], value: str, words: Vocabulary) -> str:
    said, number = frozenset(name), NUMBER.match(value) is not None
    own = said & COSTS if not number else frozenset()
    price = (said & words.prices) - (own | MONEY if own and "overage" not in said else own)
    if "overage" in said:
        counted = price == AMOUNT and parts(value.rpartition(".")[2]) == name  # handed on, it may be of use
        return OVERAGE if (price or "per" in said) and not counted else ""
    if price <= RATES and _by_the_moment(name) and FRACTION.match(value) is None:
        return ""  # how often it may be asked for
    if "metered" in said:  # with a currency alone it is what has been used up so far
        return OVERAGE if price - CURRENCY or (price and "per" in said) else ""
    if "usage" in said and said & MONEY and said <= USAGE:
        return OVERAGE
    extra = any(one in ON_TOP and other in words.units for one, other in pairwise(filter(str.isalpha, name)))
    if extra and price:
        return OVERAGE
    each = any(one == "per" and (other in words.units or other[0].isdigit()) for one, other in pairwise(name))
    each = each and said.isdisjoint(PAID_AHEAD)
    if number and (extra or each) and not ON_TOP.isdisjoint(name[:2]) and name[0] in ON_TOP | {"per"}:
        return EXTRA
    return PER_UNIT if number and each and price - COSTS else ""


def _by_the_moment(name: list[str]) -> bool:
    return any(one == "per" and other in MOMENTS for one, other in pairwise(name))


def _multiplied(text: str, start: int, end: int, words: Vocabulary) -> bool:
    """`overageMinutes * plan.minuteRate`: what is on top of the plan by what one of it costs."""
    line = text[text.rfind("\n", 0, start) + 1 : end] + text[end : end + LONGEST].partition("\n")[0]
    for hit in TIMES.finditer(line):
        sides = [frozenset(parts(one)) for one in hit.groups()]
        if any("overage" in one and other & words.prices for one, other in (sides, sides[::-1])):
            return True
    return False
