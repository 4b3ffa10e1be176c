"""Inline suppressions: what they hide, and what happens when they are empty or outlived."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.audit.model import Confidence, Finding, Place, Severity
from tallystick.audit.narrowing import suppression
from tallystick.audit.narrowing.suppression import NO_REASON, UNUSED

CODES = frozenset({"errors_swallowed", "client_supplied_quantity"})


def found(line: int, code: str = "errors_swallowed", path: str = "a.ts", end: int = 0) -> Finding:
    return Finding(code, "…", Place(path, line, 1, end), Severity.HIGH, Confidence.HIGH)


@pytest.mark.parametrize(
    "text",
    [
        "send(); // tallystick: ignore[errors_swallowed] drained by the relay",
        "// tallystick: ignore[errors_swallowed] drained by the relay\nsend();",
        "# tallystick: ignore[errors_swallowed]: drained by the relay\n\n# more words\nsend()",
        "/* tallystick: ignore[client_supplied_quantity, errors_swallowed] drained by the relay */\nsend();",
        "{/* tallystick: ignore[errors_swallowed] drained by the relay */}\n<Send/>",
        "<!-- tallystick: ignore[errors_swallowed] drained by the relay -->\n<b>",
        "-- tallystick: ignore[errors_swallowed] drained by the relay\r\nselect 1;\r\n",
    ],
)
def test_a_comment_on_or_above_the_line_hides_the_finding(text: str) -> None:
    """In every comment style; the reason is kept and shown."""
    line = len([row for row in text.split("\n") if row])
    line = text.split("\n").index([row for row in text.split("\n") if row.strip()][-1]) + 1
    parted = suppression.apply([found(line)], suppression.scan("a.ts", text), CODES)
    assert parted.kept == ()
    assert [reason for _, reason in parted.suppressed] == ["drained by the relay"]


def test_it_hides_nothing_else() -> None:
    """Another line, another file or another code stays."""
    comments = suppression.scan("a.ts", "// tallystick: ignore[errors_swallowed] why\nsend();\nsend();")
    others = [found(3), found(2, path="b.ts"), found(2, code="client_supplied_quantity")]
    assert suppression.apply(others, comments, CODES).kept == tuple(others)


def test_a_comment_inside_a_long_statement_counts() -> None:
    """A finding that spans lines is hidden from any of its lines."""
    comments = suppression.scan("a.ts", "send({\n  value, // tallystick: ignore[errors_swallowed] why\n});")
    assert suppression.apply([found(1, end=3)], comments, CODES).kept == ()


@pytest.mark.parametrize(
    "comment", ["ignore[errors_swallowed]", "ignore[errors_swallowed] :- ", "ignore", "ignore[] why"]
)
def test_without_code_or_reason_it_hides_nothing_and_is_a_finding(comment: str) -> None:
    """The comment is reported, the finding stays."""
    comments = suppression.scan("a.ts", f"send() // tallystick: {comment}")
    parted = suppression.apply([found(1)], comments, CODES)
    assert len(parted.kept) == 1
    assert [one.code for one in parted.problems] == [NO_REASON]


def test_one_that_hides_nothing_is_reported() -> None:
    """Per code, and with the reason why it is not needed."""
    comments = suppression.scan("a.ts", "x() // tallystick: ignore[errors_swallowed, no-such-code] why")
    problems = suppression.apply([], comments, CODES).problems
    assert [one.code for one in problems] == [UNUSED, UNUSED]
    assert "nothing is found here" in problems[0].message
    assert "no such code" in problems[1].message


def test_collect_reads_sources_only(tmp_path: Path) -> None:
    """Words in a data file are no comment; an unreadable file is passed over."""
    line = "# tallystick: ignore[errors_swallowed] why\n"
    (tmp_path / "a.py").write_text(line)
    (tmp_path / "b.yaml").write_text(line)
    assert [one.place.path for one in suppression.collect(tmp_path, ["a.py", "b.yaml", "gone.py"])] == [
        "a.py"
    ]
