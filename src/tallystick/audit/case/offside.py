"""Names that other code says: what is called in a way that was not followed may still be called."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tallystick.audit.case.case import Case
from tallystick.audit.corpus.lexical import COMMENT
from tallystick.audit.syntax.searches import finite
from tallystick.audit.trails.trails import Trail

LISTED = finite(rb"\b(?:import|export)\s+(?:type\s+)?(?:[\w$]+\s*,\s*)?\{[^{}]*\}\s*from\b[^\n]*")
IMPORTED = re.compile(rb"^\s*(?:import|from)\b")


def said(
    case: Case,
    name: str,
    aside: frozenset[str] = frozenset(),
    own: Mapping[str, re.Pattern[bytes]] | None = None,
) -> bool:
    """Whether anything has a name but lists of imports, remarks, its own definition and the files put aside."""
    word = re.compile(rb"(?<![\w$])" + re.escape(name).encode() + rb"(?![\w$])")
    corpus, defined = case.corpus, own or {}
    for path in corpus.grep(word, name.encode()):
        text = corpus.sources[path]
        if path not in aside and _says(word, defined[path].sub(b"", text) if path in defined else text):
            return True
    return any(word.search(data) for data in (*corpus.markup.values(), *corpus.support.values()))


def _says(word: re.Pattern[bytes], text: bytes) -> bool:
    text = LISTED.sub(b"", text)
    for hit in word.finditer(text):
        before = text[text.rfind(b"\n", 0, hit.start()) + 1 : hit.start() + 1]
        if not COMMENT.match(before) and not IMPORTED.match(before):
            return True
    return False


def told_elsewhere(case: Case, trail: Trail) -> bool:
    """Whether code off a way says the name of a function below its start, one that stands by itself."""
    own = frozenset(key[0] for key, _ in trail.hops)
    start = trail.hops[-1][0]
    for key in {key for key, _ in trail.hops} - {start}:
        function = case.program.function(key)
        if function.name and function.parent <= 0 and function.via < 0 and said(case, function.name, own):
            return True
    return False
