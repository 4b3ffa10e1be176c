"""All offers of a tree: what its pages promise, and what its code and tables name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from tallystick.audit.corpus.lexical import Corpus
from tallystick.audit.inventory.kinds import ending, is_copy, is_page, is_table
from tallystick.audit.model import Hop, Place
from tallystick.audit.offers.names import OVERAGE, named
from tallystick.audit.offers.plans import beyond
from tallystick.audit.offers.speech import PROMISED, spoken
from tallystick.audit.offers.tables import waiting, written
from tallystick.audit.offers.vocabulary import Vocabulary

MOST = 50
PAGES = frozenset(["astro", "jsx", "svelte", "tsx", "vue"])
PRICING = re.compile(r"(?i)(?:pric|plan|tier|faq|landing)[^/]*$")
OFFICE = re.compile(r"(?i)(?:^|/)(?:admin|internal|staff|backoffice)\b|(?:^|/)\(?admin")
SCRIPTS = re.compile(r"(?:^|/)scripts?/")
DOCSTRING = re.compile(
    rb"""(?:\A(?:\s*#[^\n]*\n)*|:[ \t]*(?:\#[^\n]*)?\n)\s*[rR]?(\"{3}|'{3}).*?\1""", re.DOTALL
)
Reader = Callable[[str], Iterator[tuple[int, str]]]


class Offers:
    """Who reads the prices of a tree."""

    def __init__(self, corpus: Corpus) -> None:
        """Nothing is read yet."""
        self.corpus = corpus
        self.words = Vocabulary(corpus.knowledge)

    def promised(self) -> tuple[Hop, ...]:
        """What pages and other sentences promise, each kind with its first place in a file."""
        whole = {
            path: _unremarked(path, self.corpus.markup.get(path, data))
            for path, data in self.corpus.front.items()
        }
        beside = {path: data for path, data in self.corpus.support.items() if is_page(path) or is_copy(path)}
        found = _first({**whole, **beside}, partial(spoken, words=self.words))
        told = [one for one in found if not OFFICE.search(one.place.path)]
        return tuple(one for one in told if one.note == PROMISED or shown(one.place.path))[:MOST]

    def priced(self) -> tuple[Hop, ...]:
        """What code and the tables of a database name, each kind with its first place in a file."""
        code = {path: data for path, data in self.corpus.front.items() if not SCRIPTS.search(path)}
        tables = {path: data for path, data in self.corpus.support.items() if is_table(path)}
        every = {**code, **tables}
        found = [one for one in _first(every, waiting) if self._is_written(one.place, every[one.place.path])]
        found += _first(code, partial(named, words=self.words))
        sold = {one.place.path for one in found if one.note == OVERAGE}
        found += _first(
            {path: code[path] for path in code if path in sold}, partial(beyond, words=self.words)
        )
        found += _first(tables, partial(named, words=self.words, columns=True))
        return tuple(found)[:MOST]

    def _is_written(self, place: Place, data: bytes) -> bool:
        """Whether any code adds a row to the table that is declared at a place of a file."""
        line = data.split(b"\n")[place.line - 1].decode("utf-8", "replace")
        adds = written(line)
        return any(adds.search(data) for data in self.corpus.front.values())


def _first(files: Mapping[str, bytes], read: Reader) -> list[Hop]:
    """What is read in each file, every kind of it where it stands first."""
    found = []
    for path, data in files.items():
        text = data.decode("utf-8", "replace")
        notes: dict[str, int] = {}
        for at, note in read(text):
            notes.setdefault(note, at)
        found += [Hop(Place(path, text.count("\n", 0, at) + 1), note) for note, at in notes.items()]
    return found


def _unremarked(path: str, data: bytes) -> bytes:
    """A text without what its authors write to each other in docstrings; lines stay where they are."""
    return DOCSTRING.sub(lambda hit: b"\n" * hit[0].count(b"\n"), data) if path.endswith(".py") else data


def shown(path: str) -> bool:
    """Whether a file is shown to customers, or tells what is."""
    return is_page(path) or is_copy(path) or ending(path) in PAGES or PRICING.search(path) is not None
