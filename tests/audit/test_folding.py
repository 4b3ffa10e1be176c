"""The quick way to look for letters of any case finds what the pattern itself finds, at the same places."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import tallystick.audit
from tallystick.audit.corpus.folding import folded
from tallystick.audit.models.knowledge import SIGNALS, Knowledge

TEXTS = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]


def _patterns() -> list[re.Pattern[bytes]]:
    found = {pattern for name in SIGNALS for _, pattern, _ in Knowledge().signals(name)}
    for one in pkgutil.walk_packages(tallystick.audit.__path__, "tallystick.audit."):
        for value in vars(importlib.import_module(one.name)).values():
            if isinstance(value, re.Pattern) and isinstance(value.pattern, bytes):
                found.add(value)
    return sorted((one for one in found if one.flags & re.IGNORECASE), key=lambda one: one.pattern)


PATTERNS = _patterns()


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_each_pattern_of_the_auditor(number: int) -> None:
    text = TEXTS[number]
    for pattern in PATTERNS if number % 10 == 0 else PATTERNS[number % 10 :: 10]:
        quick = folded(pattern)
        spans = [hit.span() for hit in quick.pattern.finditer(quick.text(text))]
        assert spans == [hit.span() for hit in pattern.finditer(text)], pattern.pattern


def test_most_of_them_have_a_quick_way() -> None:
    assert sum(folded(one).folds for one in PATTERNS) > len(PATTERNS) / 2


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (rb"(?i)[A-F]+\S", b"xDeAdX", True),
        (rb"(?i)(?-i:Use)d", b"USEd", False),
        (rb"(?i)(?-i:Use)d", b"UseD", True),
        (rb"(?is)a.B", b"A\nb", True),
        (rb"(?i)(?P<Name>ab)", b"AB", True),
        (rb"Ab", b"ab", False),
    ],
)
def test_what_is_said_of_case(pattern: bytes, text: bytes, found: bool) -> None:
    assert folded(re.compile(pattern)).is_in(text) is found
