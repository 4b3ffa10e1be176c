"""Searches that end, and what a function says below a place, against its definition by plain patterns."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import ending

from tallystick.audit.case import buffers, clocks, gathering, kept
from tallystick.audit.entries import crontabs, timetables
from tallystick.audit.models.knowledge import Knowledge
from tallystick.audit.rules import habits, marks, one_day, open_period, period_starts
from tallystick.audit.syntax import patterns, returned
from tallystick.audit.syntax.rest import Rest
from tallystick.audit.syntax.searches import finite


@pytest.mark.parametrize(
    ("said", "ended"),
    [
        (r"a\w*b", r"a\w{0,200}b"),
        (r"a\s+?b", r"a\s{1,200}?b"),
        (r"[^\n;]*x", r"[^\n;]{0,1000}x"),
        (r"[]\]a]+x", r"[]\]a]{1,200}x"),
        (r"\S*x", r"\S{0,1000}x"),
        (r"(?:a|b)*x?", r"(?:a|b)*x?"),
        (r"[^']*+x", r"[^']*+x"),
        (r"\[a*\]+", r"\[a*\]+"),
    ],
)
def test_what_one_class_repeats_has_an_end(said: str, ended: str) -> None:
    """Of a group, of a letter, of what takes no step back, nothing is changed."""
    assert finite(said).pattern == ended
    assert finite(said.encode()).pattern == ended.encode()


SIZE = 60_000
COSTLY: dict[str, tuple[re.Pattern[bytes], bytes]] = {
    "limits": (habits.LIMIT, b"quota"),
    "floats": (habits.FLOAT, b"units"),
    "quotas that are checked": (habits.ACT_AFTER, b"if aquot"),
    "what is atomic": (habits.ATOMIC, b"where"),
    "unsent": (marks.UNSENT, b"-abill"),
    "flags": (marks.FLAGGED, b"reporta"),
    "gathered": (marks.GATHERED, b"append"),
    "periods": (open_period.FROM_START, b"gteperiod_start"),
    "bounds": (period_starts.SINCE, b">=  "),
    "first days": (open_period.FIRST, b"a = new Date(get"),
    "one day back": (one_day.ONE_BACK, b"a = subDays("),
    "emptied": (buffers.EMPTIED, b"sel"),
    "loops": (clocks.ENDLESS, b"while      "),
    "loops of Go": (clocks.ENDLESS, b"for ra range a.a.C "),
    "beats": (clocks.BEATS, b"<-a.a.a."),
    "interfaces": (gathering.IMPLEMENTING, b"class aimple"),
    "secrets": (patterns.SECRET, b"acheckInterna"),
    "answers": (patterns.RESPOND, b"status :  "),
    "rows": (patterns.RECORD, b".apply_a"),
    "notes": (returned.NOTED, b"a := tru"),
    **{
        f"signal {name} {number}": (pattern, words)
        for name, words in (
            ("metered", b"line_items = [ { price = a,  "),
            ("counted", b"_usage"),
            ("sold", b"per "),
        )
        for number, (_, pattern, _) in enumerate(Knowledge().signals(name))
    },
}


@pytest.mark.parametrize("name", COSTLY)
def test_no_text_keeps_a_search_busy(name: str) -> None:
    """Words that all but match; of a whole file of them, some would have taken hours."""
    pattern, words = COSTLY[name]
    with ending():
        for text in (words * (SIZE // len(words)), words + words[-1:] * SIZE):
            assert list(pattern.finditer(text)) is not None


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (kept.WRITTEN, "get_o"),
        (kept.MARKED, "marka"),
        (crontabs.ARTISAN, "->command('a"),
        (crontabs.WHENEVER, "\nevery  "),
        (timetables.SCRIPT, "-."),
    ],
)
def test_no_line_keeps_a_search_busy(pattern: re.Pattern[str], words: str) -> None:
    """The same for text that is cut out first."""
    with ending():
        for text in (words * (4_000 // len(words)), words + words[-1:] * 4_000):
            assert list(pattern.finditer(text)) is not None


@dataclass
class Place:
    """What is asked of a node."""

    end_byte: int


WORDS = st.sampled_from(
    ["row", "rows", "a.row", "row.map(", "!", "! row", "if (", "return ", "throw ", "raise", "await ", "in ", " ", "\n",
     ";", "\n\n  ", "row ?? ", "row === ", "row[0].b > ", "row ", "AggregateError(", "Join(", "xJoin(", "(", ")", "é"]
)  # fmt: skip
TEXT = st.lists(WORDS, max_size=14).map("".join)
WORD = rb"(?<![\w.])row\b"
HEEDED = (
    rb"\b(?:if|elif|while|switch|assert\w*|invariant\w*|return|throw|raise|yield|await|in|of)\b[^\n;]*" + WORD
    + rb"|" + WORD + rb"\.(?:forEach|filter|map|some|every|find\w*|reduce)\("
    + rb"|!\s*" + WORD + rb"|" + WORD + rb"[\w.?\[\]]*\s*(?:\?[^.:]|&&|\|\||[=!]==?|[<>])"
)  # fmt: skip
RAISED = (
    rb"\b(?:throw|raise)\b[^\n]*\brow\b|AggregateError\([^\n]*\brow\b"
    rb"|\bif\b[^\n]*\brow\b[^\n]*\s*[^\n]*\b(?:throw|raise)\b|\bJoin\(row\b"
)


@given(TEXT, TEXT, TEXT)
@settings(max_examples=400, deadline=None)
def test_the_rest_of_a_function_is_what_stands_between_a_place_and_its_end(
    before: str, below: str, behind: str
) -> None:
    """Whatever stands before the place, or behind the function, takes no part."""
    head, text, tail = f"{before})".encode(), f"{below} ".encode(), f"}}{behind}".encode()
    rest = Rest(head + text + tail)
    rest.end = len(head) + len(text)
    place = Place(len(head))
    assert rest.is_heeded(place, ["row"]) == (re.search(HEEDED, text) is not None)
    assert rest.is_forgotten(place, ["row"]) == (re.search(rb"\brow\b", text) is None)
    assert rest.is_raised(place, [b"row"], returned=False) == (re.search(RAISED, text) is not None)
    returned = rb"\breturn\b[^\n]*\brow\b|" + RAISED
    assert rest.is_raised(place, [b"row"], returned=True) == (re.search(returned, text) is not None)
