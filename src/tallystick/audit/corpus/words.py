"""Which words a tree has at all: most that are looked for stand nowhere, and no file is looked through for those."""

from __future__ import annotations

import re
from collections.abc import Sequence

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

    def known(self, words: Sequence[bytes]) -> list[bytes]:
        """The words, in lower case, that some text may hold; of two of which one holds the other, the shorter."""
        self._said = self._said or b" ".join(self._runs)
        small = {word.lower() for word in words}
        return [
            word
            for word in sorted(small)
            if not any(other != word and other in word for other in small)
            and all(run in self._said for run in LETTERS.findall(word))
        ]
