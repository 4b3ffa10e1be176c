"""GitHub workflow commands: one annotation a finding, and the verdict as a notice."""

from __future__ import annotations

from tallystick.audit.model import Finding, Verdict
from tallystick.audit.outcome import Outcome
from tallystick.audit.report import wording
from tallystick.audit.report.escape import clean

COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}


def render(outcome: Outcome) -> str:
    """The lines to print in a workflow step."""
    outcome = clean(outcome)
    report = outcome.report
    lines = [_annotation(one) for one in wording.by_weight((*report.findings, *report.neighbours))]
    command = "error" if report.verdict is Verdict.FAIL and not outcome.narrowed else "notice"
    title = f"tallystick audit: {report.verdict.value} ({report.profile.value} profile)"
    lines.append(
        f"::{command} title={_property(title)}::{_data(f'{wording.endpoints(report)}. {report.detail}')}"
    )
    return "\n".join(lines)


def _annotation(finding: Finding) -> str:
    place = finding.place
    properties = {
        "file": place.path,
        "line": str(place.line),
        "endLine": str(max(place.line, place.end_line)),
        "title": f"tallystick {finding.code}",
    }
    text = f"{wording.sentence(finding.message)}\n{finding.remediation}".strip()
    listed = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{COMMANDS[wording.level(finding)]} {listed}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
