"""Files that hold a word, against their definition: one text after another, in whatever case."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tallystick.audit.corpus.lexical import Corpus
from tallystick.audit.corpus.words import Words
from tallystick.audit.models.knowledge import Knowledge

SAID = st.text(st.sampled_from("aAbB_-1. é\n"), max_size=12).map(str.encode)
WORDS = st.lists(
    st.text(st.sampled_from("abB_-1.é"), min_size=1, max_size=5).map(str.encode), min_size=1, max_size=4
)


@given(st.lists(SAID, max_size=4), WORDS)
def test_no_file_that_holds_a_word_is_passed_over(texts: list[bytes], words: list[bytes]) -> None:
    corpus = Corpus(Path(), Knowledge())
    for number, text in enumerate(texts):
        corpus.sources[str(number)] = text
        corpus.words.add(text)
    held = [
        str(number)
        for number, text in enumerate(texts)
        if any(word.lower() in text.lower() for word in words)
    ]
    assert corpus.holding(words) == held


def test_a_word_that_stands_nowhere_is_looked_for_in_no_file() -> None:
    words = Words()
    words.add(b"await meterEvents.create({ value })")
    assert words.known([b"meter", b"meterEvents", b"createUsageRecord", b"usage_record"]) == [b"meter"]
