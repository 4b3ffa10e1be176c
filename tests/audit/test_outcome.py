"""From the engine's report to the outcome: rules, suppressions, baseline, changed lines, exit codes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest
from samples import failing, passing, skipping

from tallystick.audit.config import FailOn, Settings
from tallystick.audit.inventory import Inventory
from tallystick.audit.inventory.excerpts import Excerpts
from tallystick.audit.model import (
    Confidence,
    Coverage,
    Finding,
    Hop,
    Place,
    Profile,
    Report,
    Severity,
    Verdict,
)
from tallystick.audit.narrowing import baseline
from tallystick.audit.narrowing.changes import Changes, changed_lines
from tallystick.audit.narrowing.fingerprints import named
from tallystick.audit.narrowing.suppression import scan
from tallystick.audit.outcome import Aside, Outcome, exit_code, judged
from tallystick.errors import ConfigError

SOURCE = "function charge(body) {\n  meter(body.n);\n  meter(body.n);\n}\n"
CODES = frozenset({"client_supplied_quantity", "float_quantity"})


def finding(line: int = 2, code: str = "client_supplied_quantity", **fields: object) -> Finding:
    one = Finding(code, "…", Place("a.ts", line), Severity.HIGH, Confidence.HIGH, function="charge")
    return msgspec.structs.replace(one, **fields)  # type: ignore[arg-type]


def report(*findings: Finding, neighbours: tuple[Finding, ...] = ()) -> Report:
    verdict = Verdict.FAIL if findings else Verdict.PASS
    return Report(verdict, Profile.DURABLE, "why", findings, (), Coverage(1, 1, 1), neighbours=neighbours)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "a.ts").write_text(SOURCE)
    return tmp_path


def outcome(tree: Path, given: Report, settings: Settings | None = None, **more: object) -> Outcome:
    settings = settings or Settings()
    return judged(given, settings, Inventory(("a.ts",)), Excerpts(tree), codes=CODES, **more)  # type: ignore[arg-type]


def test_a_fingerprint_survives_edits_elsewhere(tree: Path) -> None:
    """Moving the line changes nothing; changing its text, its function or its path does; twins differ."""
    before = named([finding(2), finding(3)], Excerpts(tree))
    assert before[0].fingerprint != before[1].fingerprint
    (tree / "a.ts").write_text("// new\n\n" + SOURCE.replace("  meter", "      meter"))
    after = named([finding(4), finding(5)], Excerpts(tree))
    assert [one.fingerprint for one in before] == [one.fingerprint for one in after]
    (tree / "a.ts").write_text(SOURCE.replace("body.n", "body.m"))
    assert named([finding(2)], Excerpts(tree))[0].fingerprint != before[0].fingerprint
    assert named([finding(2, function="other")], Excerpts(tree))[0].fingerprint != before[0].fingerprint


def test_a_rule_that_is_off_has_no_say_and_is_counted(tree: Path) -> None:
    """Its findings leave the verdict, and the outcome says how many there were."""
    settings = Settings(rules=(("client_supplied_quantity", "off"),))
    after = outcome(tree, report(finding()), settings)
    assert (after.report.verdict, after.report.findings, after.switched_off) == (Verdict.PASS, (), 1)


def test_a_severity_can_be_set(tree: Path) -> None:
    """The verdict stays; the severity is the user's."""
    settings = Settings(rules=(("client_supplied_quantity", "low"),))
    after = outcome(tree, report(finding()), settings)
    assert after.report.findings[0].severity is Severity.LOW
    assert after.report.verdict is Verdict.FAIL


def test_suppressing_everything_that_decides_passes(tree: Path) -> None:
    """One left over keeps the fail; low confidence alone does not."""
    comments = tuple(
        scan("a.ts", "\nmeter() // tallystick: ignore[client_supplied_quantity] our worker only")
    )
    after = outcome(tree, report(finding()), aside=Aside(comments))
    assert after.report.verdict is Verdict.PASS
    assert after.report.suppressed[0][1] == "our worker only"
    assert "suppressed" in after.report.detail
    again = outcome(tree, report(finding(), finding(3)), aside=Aside(comments))
    assert again.report.verdict is Verdict.FAIL
    unsure = finding(3, confidence=Confidence.LOW)
    assert outcome(tree, report(finding(), unsure), aside=Aside(comments)).report.verdict is Verdict.PASS


def test_a_baseline_leaves_only_what_is_new(tree: Path) -> None:
    """Written, read back, compared: new, known and fixed are counted; the verdict is the codebase's own."""
    first = outcome(tree, report(finding(2), finding(3)))
    text = baseline.render(first.report.findings)
    assert text == baseline.render(reversed(first.report.findings))
    (tree / "baseline.json").write_text(text)
    known = baseline.load(tree / "baseline.json")
    assert len(known) == 2
    same = outcome(tree, report(finding(2), finding(3)), aside=Aside(known=known))
    assert (same.known, same.fixed, same.report.findings, same.report.verdict) == (2, 0, (), Verdict.FAIL)
    assert code(same) == 0
    other = outcome(tree, report(finding(2), finding(4)), aside=Aside(known=known))
    assert (other.known, other.fixed, len(other.report.findings)) == (1, 1, 1)
    assert code(other) == 1


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": 9, "findings": []}', '{"schema": 1}', "[" * 100_000]
)
def test_a_broken_baseline_is_refused(tmp_path: Path, text: str) -> None:
    """With the way to a good one."""
    (tmp_path / "baseline.json").write_text(text)
    with pytest.raises(ConfigError, match="--write-baseline"):
        baseline.load(tmp_path / "baseline.json")
    with pytest.raises(ConfigError, match="cannot be read"):
        baseline.load(tmp_path / "none.json")


def run_git(tree: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *identity, *arguments], cwd=tree, check=True, capture_output=True)


def test_diff_reports_only_what_touches_changed_lines(tree: Path) -> None:
    """By its place or by a step on its way; a file that git does not know is all new."""
    run_git(tree, "init", "-q")
    run_git(tree, "add", "-A")
    run_git(tree, "commit", "-qm", "a")
    (tree / "a.ts").write_text(SOURCE.replace("  meter(body.n);\n}", "  meter(body.m);\n}"))
    (tree / "new.ts").write_text("meter(1)\n")
    changes = Changes(tree, "HEAD", Excerpts(tree))
    over = finding(1, hops=(Hop(Place("a.ts", 3), "…"),))
    fresh = finding(1, place=Place("new.ts", 1))
    given = report(finding(2), finding(3), over, fresh)
    after = outcome(tree, given, changes=changes, aside=Aside(since="HEAD"))
    assert [(one.place.path, one.place.line) for one in after.report.findings] == [
        ("a.ts", 1),
        ("a.ts", 3),
        ("new.ts", 1),
    ]
    assert after.unchanged == 1
    calm = outcome(tree, report(finding(2)), changes=changes, aside=Aside(since="HEAD"))
    assert (calm.report.verdict, code(calm)) == (Verdict.FAIL, 0)


def test_diff_starts_at_the_merge_base_and_refuses_unknown_revisions(tree: Path) -> None:
    """Work done elsewhere meanwhile is no change of ours; options cannot be smuggled in as a revision."""
    run_git(tree, "init", "-q", "-b", "main")
    run_git(tree, "add", "-A")
    run_git(tree, "commit", "-qm", "a")
    run_git(tree, "checkout", "-qb", "ours")
    run_git(tree, "checkout", "-q", "main")
    (tree / "a.ts").write_text("theirs\n" + SOURCE)
    run_git(tree, "commit", "-qam", "theirs")
    run_git(tree, "checkout", "-q", "ours")
    assert not Changes(tree, "main", Excerpts(tree)).touch(finding(1))
    for revision in ("nowhere", "--all", "-h"):
        with pytest.raises(ConfigError, match="no such revision"):
            Changes(tree, revision, Excerpts(tree))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("a b c", "a b c", set()),
        ("a b c", "a x c", {2}),
        ("a c", "a b c", {2}),
        ("a b c", "a c", {1, 2}),
        ("a b c d", "x b c y", {1, 4}),
        ("", "a", {1}),
    ],
)
def test_changed_lines(before: str, after: str, expected: set[int]) -> None:
    """New and altered lines; around a deletion both neighbours."""
    assert changed_lines(before.split(" "), after.split(" ")) == expected


def code(outcome: Outcome, **flags: object) -> int:
    defaults: dict[str, object] = {
        "fail_on": FailOn.VERDICT,
        "require_metering": False,
        "strict_coverage": False,
        "exit_zero": False,
    }
    return exit_code(outcome, **(defaults | flags))  # type: ignore[arg-type]


def test_exit_codes() -> None:
    """The table of the documentation."""
    assert code(passing()) == 0
    assert code(skipping()) == 0
    assert code(failing()) == 1
    assert code(skipping(), require_metering=True) == 3
    assert code(failing(), strict_coverage=True) == 4
    assert code(passing(), strict_coverage=True) == 0
    assert code(failing(), strict_coverage=True, exit_zero=True) == 0


def test_fail_on_a_severity_counts_neighbours_too(tree: Path) -> None:
    """The verdict may pass; a severe and not unsure finding still fails the run."""
    medium = finding(code="float_quantity", severity=Severity.MEDIUM, decides=False)
    after = outcome(tree, report(neighbours=(medium,)))
    assert after.report.neighbours
    assert [code(after, fail_on=level) for level in FailOn] == [0, 0, 1, 1]
    unsure = outcome(tree, report(neighbours=(msgspec.structs.replace(medium, confidence=Confidence.LOW),)))
    assert code(unsure, fail_on=FailOn.LOW) == 0
