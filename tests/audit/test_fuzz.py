"""The readers on arbitrary input: whatever comes in, they answer or refuse, and never crash."""

from __future__ import annotations

import tomllib
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from readers import READERS

from tallystick.audit import config
from tallystick.audit.inventory.reading import nested
from tallystick.audit.narrowing import suppression
from tallystick.audit.narrowing.changes import changed_lines
from tallystick.errors import ConfigError

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PIECES = st.sampled_from(
    [b"(", b")", b"{", b"}", b"[", b"]", b"`${", b"/*", b"*/", b"//", b'"', b"'", b"\n", b"\0", b"\xff", b"export ",
     b"function f", b"=>", b"import ", b"from 'x'", b"def f():\n", b"async ", b"await ", b"class A", b"<A>", b"#"]
)  # fmt: skip
TEXT = st.one_of(st.binary(max_size=400), st.lists(PIECES, max_size=80).map(b"".join))


@given(data=TEXT)
@QUICK
def test_no_reader_crashes(data: bytes) -> None:
    """The same targets that `make audit-fuzz` runs for longer."""
    for reader in READERS.values():
        reader(data)


@given(st.lists(st.sampled_from("()[]{}x"), max_size=400).map("".join), st.integers(1, 20))
@QUICK
def test_nesting_is_never_underestimated(text: str, deepest: int) -> None:
    """Balanced text deeper than the limit is always refused, whatever stands around it."""
    bomb = "(" * (deepest + 1) + ")" * (deepest + 1)
    assert nested(bomb.encode(), deepest)
    assert nested((bomb + text).encode(), deepest)
    depth = most = 0
    for char in text:
        depth = depth + 1 if char in "([{" else max(0, depth - 1) if char in ")]}" else depth
        most = max(most, depth)
    if most <= deepest:
        assert not nested(text.encode(), deepest)


@given(st.lists(st.sampled_from("abc"), max_size=30), st.lists(st.sampled_from("abc"), max_size=30))
@QUICK
def test_every_new_line_counts_as_changed(before: list[str], after: list[str]) -> None:
    """What is in the new text only is always among the changed lines."""
    changed = changed_lines(before, after)
    assert {number for number, line in enumerate(after, 1) if line not in before} <= changed
    assert changed_lines(before, before) == frozenset()


@given(st.text(max_size=300))
@QUICK
def test_any_toml_is_settings_or_a_clear_line(text: str) -> None:
    """Never another exception, never a line end in the message."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    message = ""
    try:
        config.parse(table, "x", frozenset())
    except ConfigError as problem:
        message = str(problem)
    assert "\n" not in message


@given(st.text(max_size=200), st.text(max_size=40))
@QUICK
def test_a_suppression_is_found_in_any_surroundings(before: str, reason: str) -> None:
    """Its code and its line are right wherever it stands."""
    text = (
        before.replace("tallystick", "") + "\n// tallystick: ignore[a-b] " + reason.replace("\n", " ") + "\n"
    )
    found = [one for one in suppression.scan("a.ts", text) if one.codes == ("a-b",)]
    assert [one.place.line for one in found] == [text.count("\n", 0, text.index("// tallystick")) + 1]


def test_the_corpus_of_known_crashes(tmp_path: Path) -> None:
    """Inputs that once broke a reader stay fixed."""
    for data in (
        b"",
        b"\xff\xfe",
        b"(" * 5000,
        b"x = [[" * 1000,
        b"\r",
        b"// tallystick: ignore[",
        b"[audit]\nrules = 1",
    ):
        for reader in READERS.values():
            reader(data)
