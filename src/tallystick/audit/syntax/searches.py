"""Patterns that end: text made to keep a search busy takes the time of its length, and not of its square or cube."""

from __future__ import annotations

import re
from typing import AnyStr

ALIKE = re.compile(r"(?<!\\)(\\[wWsSdD]|\[\^?\]?(?:\\.|[^\]\\]){1,300}\])([*+])(?!\+)")
OPEN = ("[^", "\\W", "\\S", "\\D")
ALL_BUT, MOST = 1_000, 200  # of a class of all but some, as the rest of a line; of letters, digits or blanks


def finite(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """The compiled pattern, with an end to what one class repeats: `\\w*` takes no more than any program writes."""
    if isinstance(pattern, bytes):
        return re.compile(_ended(pattern.decode()).encode(), flags)
    return re.compile(_ended(pattern), flags)


def _ended(pattern: str) -> str:
    def end(hit: re.Match[str]) -> str:
        return f"{hit[1]}{{{int(hit[2] == '+')},{ALL_BUT if hit[1].startswith(OPEN) else MOST}}}"

    return ALIKE.sub(end, pattern)
