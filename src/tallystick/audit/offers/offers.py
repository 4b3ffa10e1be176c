"""All offers of a tree: what its pages promise, and what its code and tables name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from tallystick.audit.corpus.lexical import ASIDE, Corpus
from tallystick.audit.inventory.kinds import ending, is_copy, is_page, is_table
from tallystick.audit.model import Hop, Place
from tallystick.audit.offers.names import named
from tallystick.audit.offers.speech import PROMISED, spoken
from tallystick.audit.offers.vocabulary import Vocabulary

MOST = 50  # of each kind
PAGES = frozenset(["astro", "jsx", "svelte", "tsx", "vue"])
PRICING = re.compile(r"(?i)(?:pric|plan|tier|faq|landing)[^/]*$")
OFFICE = re.compile(r"(?i)(?:^|/)(?:admin|internal|staff|backoffice)\b|(?:^|/)\(?admin")
SCRIPTS = re.compile(r"(?:^|/)scripts?/")
Reader = Callable[[str], Iterator[tuple[int, str]]]


class Offers:
    """Who reads the prices of a tree."""

    def __init__(self, corpus: Corpus) -> None:
        """Nothing is read yet."""
        self.corpus = corpus
        self.words = Vocabulary(corpus.knowledge)

    def promised(self) -> tuple[Hop, ...]:
        """What pages and other sentences promise, each kind with its first place in a file."""
        found: list[Hop] = []
        for path, data in {**self.corpus.sources, **self.corpus.markup}.items():
            if not ASIDE.search(path):
                found += self._first(path, data, lambda text: spoken(text, self.words))
        for path, data in self.corpus.support.items():
            if is_page(path) or is_copy(path):
                found += self._first(path, data, lambda text: spoken(text, self.words))
        return tuple(one for one in found if one.note == PROMISED or _shows(one.place.path))[:MOST]

    def priced(self) -> tuple[Hop, ...]:
        """What code and the tables of a database name, each kind with its first place in a file."""
        found: list[Hop] = []
        for path, data in self.corpus.sources.items():
            if not ASIDE.search(path) and not SCRIPTS.search(path):
                found += self._first(path, data, lambda text: named(text, self.words))
        for path, data in self.corpus.support.items():
            if is_table(path):
                found += self._first(path, data, lambda text: named(text, self.words, columns=True))
        return tuple(found)[:MOST]

    @staticmethod
    def _first(path: str, data: bytes, read: Reader) -> list[Hop]:
        text = data.decode("utf-8", "replace")
        notes: dict[str, int] = {}
        for at, note in read(text):
            notes.setdefault(note, at)
        return [Hop(Place(path, text.count("\n", 0, at) + 1), note) for note, at in notes.items()]


def _shows(path: str) -> bool:
    """Whether a file is shown to customers, or tells what is."""
    shown = is_page(path) or is_copy(path) or ending(path) in PAGES or PRICING.search(path)
    return bool(shown) and not OFFICE.search(path)
