"""Six reports of the same outcome: complete, stable, and safe with hostile text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import EXCERPTS, NASTY, failing, hostile, passing, skipping

from tallystick.audit.model import Confidence, Place, Severity
from tallystick.audit.outcome import Outcome
from tallystick.audit.report import FORMATS, render, wording
from tallystick.audit.report.escape import clean, visible
from tallystick.audit.report.sarif import uri

SAMPLES = {"failing": failing, "passing": passing, "skipping": skipping, "hostile": hostile}
HERE = Path(__file__).parent


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES.keys())
def test_every_report_is_stable_and_plain(name: str, sample: Callable[[], Outcome]) -> None:
    """Byte-identical, valid UTF-8, no control characters, no terminal escapes, one line end at the end."""
    text = render(name, sample())
    assert text == render(name, sample())
    assert text.encode().decode() == text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert text.endswith("\n")
    assert not text.endswith("\n\n\n")


@pytest.mark.parametrize("name", ["text", "markdown", "html", "json", "sarif", "github"])
def test_counts_are_quoted_in_a_pass_and_in_a_fail(name: str) -> None:
    """The same sentence in every format."""
    plain = render(name, failing()).replace("\\", "")
    assert "2 of 3 metered endpoints report usage" in plain
    assert "2 of 2 metered endpoints report usage" in render(name, passing()).replace("\\", "")


def test_text_names_what_a_reader_needs() -> None:
    """Verdict, profile, evidence with its line, hops, the fix, what was lost."""
    text = render("text", failing())
    for part in (
        "FAIL",
        "durable profile",
        "client_supplied_quantity   high, sure",
        "app/api/chat/route.ts:22  in POST",
        "22 │ await recordUsage(org.stripeCustomerId, body.tokens);",
        "src/lib/usage.ts:8",
        "Fix",
        "What to do",
        "webhook_unsigned",
        "lost: 1 path not read, 1 file read in part, 3 imports not resolved",
        "larger than 2 MB",
        "12 vendored",
        "1 finding suppressed with a reason",
    ):
        assert part in text
    assert all(len(line) <= 100 for line in text.splitlines())
    assert "one licensed price" in render("text", skipping())


def test_a_fail_shows_the_way_out_in_the_language_found() -> None:
    """The decorator for Python, a service of one's own for the rest; nothing to do about a pass."""
    assert "calls tally.record" in " ".join(render("text", failing()).split())
    python = msgspec.structs.replace(failing().report, stack=("fastapi",))
    assert "@tally.metered" in render("text", msgspec.structs.replace(failing(), report=python))
    assert "What to do" not in render("text", passing())


def test_json_is_complete_and_versioned() -> None:
    """Everything in the outcome, under a schema version."""
    document = json.loads(render("json", failing()))
    assert next(iter(document)) == "schema"
    assert document["schema"] == 1
    assert document["counts"] == {
        "endpoints": 3,
        "reporting": 2,
        "findings": 3,
        "deciding": 2,
        "neighbours": 1,
        "suppressed": 1,
        "switched_off": 0,
    }
    assert document["findings"][0]["excerpt"] in EXCERPTS.values()
    assert document["suppressed"][0]["reason"]
    assert document["coverage"]["left_out"] == {"generated": 3, "vendored": 12}


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES.keys())
def test_sarif_keeps_to_what_github_reads(sample: Callable[[], Outcome]) -> None:
    """Valid against the part of SARIF 2.1.0 that code scanning requires, which allows nothing else."""
    log = json.loads(render("sarif", sample()))
    jsonschema.validate(log, json.loads((HERE / "sarif-subset.schema.json").read_text()))
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert all(rules[one["ruleIndex"]] == one["ruleId"] for one in run["results"])
    assert run["properties"]["verdict"] == sample().report.verdict.value


def test_sarif_shows_the_way_and_leaves_out_what_is_suppressed() -> None:
    """Hops are a code flow; suppressed findings would be open alerts."""
    (run,) = json.loads(render("sarif", failing()))["runs"]
    assert len(run["results"]) == 4
    steps = run["results"][0]["codeFlows"][0]["threadFlows"][0]["locations"]
    assert [step["location"]["physicalLocation"]["region"]["startLine"] for step in steps] == [14, 22, 8]
    assert run["results"][0]["partialFingerprints"]["primaryLocationLineHash"] == "0" * 32


def test_sarif_paths_are_uris() -> None:
    """Byte for byte, whatever the name holds."""
    assert uri("a b/ü\udcff#?.ts") == "a%20b/%C3%BC%FF%23%3F.ts"


def test_a_github_annotation_cannot_be_forged() -> None:
    """A line end or a separator in a name stays inside its own annotation."""
    lines = render("github", hostile()).splitlines()
    assert len(lines) == 3
    assert all(re.match(r"::(error|warning|notice) ", line) for line in lines)
    properties = lines[0].removeprefix("::error ").split("::")[0]
    assert [part.split("=")[0] for part in properties.split(",")] == ["file", "line", "endLine", "title"]


def test_a_log_line_is_never_a_runner_command() -> None:
    """Text in a workflow log cannot speak to the runner, wherever it was wrapped."""
    for line in render("text", hostile()).splitlines():
        assert not line.strip().startswith(("::", "##["))


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.linked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.linked += [name for name, _ in attrs if name in ("src", "href", "onclick", "onerror")]


def test_the_page_is_self_contained_and_escaped() -> None:
    """No script, no link, no request; a policy that forbids them anyway."""
    text = render("html", hostile())
    tags = _Tags()
    tags.feed(text)
    assert not tags.seen & {"script", "link", "img", "iframe", "a", "object"}
    assert tags.linked == []
    assert "default-src 'none'" in text
    assert "url(" not in text
    assert "&lt;script&gt;" in text


def test_markdown_cannot_be_broken_out_of() -> None:
    """Hostile text stays text: no raw tag, no link, no extra table cell."""
    text = render("markdown", hostile())
    without_code = re.sub(r"(`+) ?.*?[^`] ?\1(?!`)", "", text)
    assert not re.search(r"(?<!\\)<script", without_code)
    assert not re.search(r"(?<!\\)\]\(", without_code)
    row = next(line for line in text.splitlines() if line.startswith("| ✗"))
    assert len(re.findall(r"(?<!\\)\|", row)) == 5


@given(st.text())
@settings(max_examples=200)
def test_visible_text_prints_as_itself(text: str) -> None:
    """Whatever comes in, only printable characters come out, and plain words stay."""
    shown = visible(text)
    assert shown.isprintable()
    shown.encode()
    if text.isprintable():
        assert shown == text


def test_clean_reaches_every_text() -> None:
    """No field of an outcome escapes it."""
    assert "\x1b" not in repr(clean(hostile())).replace("\\x1b", "")
    assert NASTY not in [one.message for one in clean(hostile()).report.findings]


def test_code_in_a_sentence_is_shown_as_code() -> None:
    """Backticks of our own sentences become markup; those of the audited tree stay text."""
    outcome = failing()
    first = outcome.report.findings[0]
    finding = msgspec.structs.replace(first, remediation="Here: `await x` first.", message="`<b>` in a name")
    report = msgspec.structs.replace(outcome.report, findings=(finding,))
    outcome = msgspec.structs.replace(outcome, report=report)
    assert "<code>await x</code> first" in render("html", outcome)
    assert "`&lt;b&gt;` in a name" in render("html", outcome)
    assert "Fix: Here: `await x` first." in render("markdown", outcome)


@pytest.mark.parametrize(
    ("stack", "words"),
    [
        (("fastapi",), "@tally.metered"),
        (("flask",), "tally.action"),
        (("celery",), "tally.action"),
        (("express",), "Python service"),
    ],
)
def test_the_way_with_tallystick_exists_in_the_stack_found(stack: tuple[str, ...], words: str) -> None:
    """Every report shows it, and it names only what is there."""
    report = msgspec.structs.replace(failing().report, stack=stack)
    outcome = msgspec.structs.replace(failing(), report=report)
    for name in ("text", "json", "markdown", "html"):
        assert words.replace("_", "\\_") in render(name, outcome) or words in render(name, outcome), name


def test_the_finding_the_verdict_speaks_of_comes_first() -> None:
    """Equal weight: in the order in which the verdict takes them."""
    first = failing().report.findings[0]
    swallowed = msgspec.structs.replace(
        first, code="errors_swallowed", severity=Severity.HIGH, confidence=Confidence.HIGH,
        place=Place("a.ts", 1),
    )  # fmt: skip
    forged = msgspec.structs.replace(swallowed, code="client_supplied_quantity", place=Place("a.ts", 9))
    assert [one.code for one in wording.by_weight((swallowed, forged))] == [forged.code, swallowed.code]
