"""Which words a tree has at all: most that are looked for stand nowhere, and no file is looked through for those."""

from __future__ import annotations

import re
from collections.abc import Iterable

LETTERS = re.compile(rb"[a-z_]+")
APART = bytes(one if LETTERS.match(bytes([one])) else ord(" ") for one in range(256))


class Words:
    """The runs of letters of every text, in lower case, each once."""

    def __init__(self) -> None:
        """No text yet."""
        self._runs: set[bytes] = set()
        self._said = b""

    def add(self, text: bytes) -> None:
        """Take in one more text."""
        self._runs.update(text.lower().translate(APART).split())
        self._said = b""

    def standing(self, words: Iterable[bytes]) -> list[bytes]:
        """The words, in lower case, that some text may hold."""
        self._said = self._said or b" ".join(self._runs)
        small = sorted({word.lower() for word in words})
        return [word for word in small if all(run in self._said for run in LETTERS.findall(word))]

    def known(self, words: Iterable[bytes]) -> list[bytes]:
        """The same, but of two of which one holds the other only the shorter: that alone is looked for."""
        standing = self.standing(words)
        return [word for word in standing if not any(other != word and other in word for other in standing)]
