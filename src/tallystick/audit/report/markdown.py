"""Markdown, for a pull request or a job summary."""

from __future__ import annotations

import re

from tallystick.audit.model import Finding, Verdict
from tallystick.audit.outcome import Outcome, decisive
from tallystick.audit.report import wording
from tallystick.audit.report.escape import clean

SIGNS = {Verdict.PASS: "✅ pass", Verdict.FAIL: "❌ fail", Verdict.SKIP: "➖ skip"}
SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!@&])")


def render(outcome: Outcome) -> str:
    """The outcome as one Markdown document."""
    outcome = clean(outcome)
    report = outcome.report
    parts = [
        f"## {SIGNS[report.verdict]} · {wording.RULE} ({report.profile.value} profile)",
        f"**{_text(wording.endpoints(report).capitalize())}.** {_text(report.detail)}",
        *_endpoints(outcome),
        *_findings(outcome),
    ]
    if remedy := wording.remedy(report):
        parts += ["### What to do", *map(_prose, remedy)]
    parts += [*_neighbours(outcome), _footer(outcome)]
    return "\n\n".join(part for part in parts if part)


def _endpoints(outcome: Outcome) -> list[str]:
    if not outcome.report.endpoints:
        return []
    rows = [
        f"| {'✓' if one.reports else '✗'} | {_code(one.route)} | {_text(wording.GRADES.get(one.grade, one.grade))} "
        f"| {_code(wording.where(one.place))} |"
        for one in outcome.report.endpoints
    ]
    return ["\n".join(["| | metered endpoint | recording | where |", "|---|---|---|---|", *rows])]


def _findings(outcome: Outcome) -> list[str]:
    findings = wording.by_weight(outcome.report.findings)
    if not findings:
        return []
    return [f"### Findings: {wording.tally(findings)}", *(_finding(one, outcome) for one in findings)]


def _finding(finding: Finding, outcome: Outcome) -> str:
    mark = "" if decisive(finding) else ", does not decide"
    sure = wording.SURENESS[finding.confidence]
    lines = [
        f"**{_text(finding.code)}** ({finding.severity.value}, {sure}{mark}) at {_code(wording.where(finding.place))}"
    ]
    if excerpt := outcome.excerpts.get((finding.place.path, finding.place.line)):
        lines.append(_code(excerpt))
    lines.append(_text(wording.sentence(finding.message)))
    text = "  \n".join(lines)
    if finding.hops:
        steps = [
            f"{number}. {_code(wording.where(hop.place))} {_text(hop.note)}"
            for number, hop in enumerate(finding.hops, 1)
        ]
        text += "\n\n" + "\n".join(steps)
    return text + (f"\n\nFix: {_prose(finding.remediation)}" if finding.remediation else "")


def _neighbours(outcome: Outcome) -> list[str]:
    if not outcome.report.neighbours:
        return []
    rows = [
        f"- **{_text(one.code)}** ({one.severity.value}) at {_code(wording.where(one.place))}: "
        + _text(wording.sentence(one.message))
        for one in wording.by_weight(outcome.report.neighbours)
    ]
    return ["### Also noticed, off the verdict", "\n".join(rows)]


def _footer(outcome: Outcome) -> str:
    lines = [wording.coverage(outcome.report) + "."]
    if lost := wording.lost(outcome.report):
        lines.append(f"Lost coverage: {lost}.")
    lines += [phrase.capitalize() + "." for phrase in wording.aside(outcome)]
    rows = [f"- {_code(path)}: {_text(reason)}" for path, reason in outcome.report.coverage.unread[:20]]
    return _text(" ".join(lines)) + ("\n\n" + "\n".join(rows) if rows else "")


def _text(text: str) -> str:
    return SPECIAL.sub(r"\\\1", text).replace("\n", "  \n")


def _prose(text: str) -> str:
    """A sentence of ours, in which backticks set off code."""
    return "".join(
        _code(part) if number % 2 else _text(part) for number, part in enumerate(re.split(r"`([^`]+)`", text))
    )


def _code(text: str) -> str:
    """A code span that its own text cannot close, safe inside a table too."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if text.startswith("`") or text.endswith("`") or not text else ""
    return f"{fence}{space}{text}{space}{fence}".replace("|", "\\|")
