"""Plans whose fields sell what is beyond them: a flat price, an amount included, and a price for each further unit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from tallystick.audit.offers.names import NOTHING, OVERAGE, named
from tallystick.audit.offers.speech import ON_TOP
from tallystick.audit.offers.vocabulary import Vocabulary, parts
from tallystick.audit.syntax.searches import finite

PLAN = "a plan with a price for what is beyond it"

FIELD = finite(r"[\"'`]?\b([A-Za-z]\w{0,60})\b[\"'`]?\s{0,9}(?::(?!:)|=>|=(?![=>]))\s{0,9}([^\n,;]{0,60})")
FLAT = frozenset(["price", "fee", "monthly", "base"])
INCLUDED = frozenset(["included", "includes", "include", "limit", "quota", "allowance"])
OPENING, CLOSING = "([{", ")]}"
MOST = 20  # prices of one file that are looked around
FAR = 1_500  # letters of a plan before and behind
OUTWARD = 2  # a plan may keep its price of more in a record of its own


def beyond(text: str, words: Vocabulary) -> Iterator[tuple[int, str]]:
    """Where a text has the fields of such a plan."""
    prices = (at for at, note in named(text, words) if note == OVERAGE)
    for at in islice(prices, MOST):
        if any(_is_plan(one, words) for one in _around(text, at)):
            yield at, PLAN
            return


def _around(text: str, at: int) -> Iterator[str]:
    """The records around a place, the nearest first."""
    first, last = at, at
    for _ in range(OUTWARD):
        first, last = _edge(text, first - 1, -1), _edge(text, last, 1)
        if first < 0 or last < 0:
            return
        yield text[first + 1 : last]
        last += 1


def _edge(text: str, at: int, step: int) -> int:
    """Where the brackets around a place open or close, or -1."""
    inner, outer = (CLOSING, OPENING) if step < 0 else (OPENING, CLOSING)
    open_ones = 0
    for index in range(at, at + step * FAR, step):
        if not 0 <= index < len(text):
            break
        if text[index] in inner:
            open_ones += 1
        elif text[index] in outer:
            open_ones -= 1
            if open_ones < 0:
                return index
    return -1


def _is_plan(record: str, words: Vocabulary) -> bool:
    """Whether a record has all three: each a field that is given something."""
    given = [
        frozenset(parts(hit[1])) for hit in FIELD.finditer(record) if not NOTHING.match(hit[2]) and hit[2]
    ]
    more = ON_TOP | {"overage", "per"}
    flat = any(one & FLAT and not one & more for one in given)
    return flat and any((one & INCLUDED or one <= words.units) and not one & more for one in given)
