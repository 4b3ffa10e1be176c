"""Tables that keep usage at its price until it is billed: what is priced is sold, whoever never bills it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tallystick.audit.offers.vocabulary import parts
from tallystick.audit.syntax.searches import finite

KEPT = "priced usage that waits to be billed"

DECLARED = finite(
    r"(?i)(?:\bcreate\s+table\s+(?:if\s+not\s+exists\s+)?[\w.\"`]*?|\b(?:model|(?P<indented>class))\s+"
    r"|(?:[tT]able|\bSchema::create)\(\s*[\"']|\bcreate_table[\s(]+[:\"'])"
    r"\w*(?:usage|metered|overage|(?:infrastructure|compute|storage|bandwidth|instance)_charge)\w*[^\n]*\n"
)
END = finite(r"(?im)^\s*(?:\)|\}\)?);?[^\n]*$|^(?:class|model|create)\b")
OUTDENTED = finite(r"(?m)^(?:class\b|(?=[^\s#)\]}]))")  # brackets are closed inside of a class of Python
PRICE = finite(
    r"(?i)\b(?:unit_?(?:price|amount|rate)|(?:price|rate)_?per_?unit|overage_?(?:amount|price|charge)|bill(?:able|ed)_?amount"
    r"|charge_?(?:amount|cents)|total_?(?:amount|charge)\w*)(?:_(?:[a-z]{3}|cents|micros))?\b"
)
WAITING = finite(
    r"(?i)\b(?:(?:is_?)?(?:billed|invoiced|charged)(?:_?at)?|invoice_?id|(?:billing|charge)_?status|stripe_?invoice\w*)\b"
    r"|\bstatus\b[^\n]*(?:pending|unbilled)"
)
NAME = finite(r"(?i)\w*(?:usage|metered|overage|_charge)\w*")
LONGEST = 1_500  # of the declaration of a table


def waiting(text: str) -> Iterator[tuple[int, str]]:
    """Where a text declares a table of usage that has a price, and a mark for what is billed already."""
    for hit in DECLARED.finditer(text):
        is_python = hit["indented"] and hit[0].rstrip().endswith(":")
        columns = (OUTDENTED if is_python else END).split(text[hit.end() : hit.end() + LONGEST], 1)[0]
        if PRICE.search(columns) and WAITING.search(columns):
            yield hit.start(), KEPT


def written(line: str) -> re.Pattern[bytes]:
    """A pattern for code that adds a row to the table that a line declares, however it spells the name."""
    hit = NAME.search(line)
    name = "_?".join(map(re.escape, parts(hit[0]))) if hit is not None else ""
    adds = r"(?:insert|into|(?<!Schema::)create(?!_table)|upsert|save|store|build|add|new)"
    return re.compile(
        rf"(?i){adds}\w{{0,12}}[^\w\n]{{1,20}}(?:\w{{1,20}}\.)?{name}s?\b|\b{name}s?\b[^\w\n]{{1,9}}(?:objects\.)?{adds}"
        rf"|(?<!class )(?<!model )\b{name}s?[({{]".encode()
    )
