"""The words of prices, by kind."""

from __future__ import annotations

import re
from functools import cache

from tallystick.audit.models.knowledge import Knowledge

CAMEL = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+[kKmM]?")


class Vocabulary:
    """Who knows which words speak of what."""

    def __init__(self, knowledge: Knowledge) -> None:
        """Take the words of the models."""
        words = knowledge.words
        self.units, self.held = words("unit"), words("held")
        self.prices = words("price")
        self.links = words("link")
        self.suppliers, self.prepaid = words("supplier"), words("prepaid")
        self.aside = words("aside") | self.suppliers


@cache
def singular(word: str) -> str:
    """A word as the vocabulary has it: lower case, without the ending of the plural."""
    word = word.lower()
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    if word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    return word[:-1] if len(word) > 2 and word.endswith("s") and not word.endswith("ss") else word


def parts(name: str) -> list[str]:
    """The words of a name: `extraMinutePrice` and `EXTRA_MINUTE_PRICE` alike."""
    return [singular(one) for one in CAMEL.findall(name)]
