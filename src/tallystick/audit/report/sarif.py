"""SARIF 2.1.0 as GitHub code scanning reads it, inside GitHub's limits.

Suppressed findings and the passing verdict are no results: GitHub would show them as open alerts.
The verdict and its counts stand in the properties of the run.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any
from urllib.parse import quote

import msgspec

from tallystick.audit.handbook import catalogue
from tallystick.audit.model import Confidence, Finding, Place, Severity
from tallystick.audit.outcome import Outcome, decisive
from tallystick.audit.report import wording
from tallystick.audit.report.escape import clean

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
RESULTS, STEPS, TEXT = 5_000, 100, 1_000
SCORES = {Severity.HIGH: "8.0", Severity.MEDIUM: "5.0", Severity.LOW: "3.0", Severity.INFO: "1.0"}
PRECISION = {Confidence.HIGH: "high", Confidence.MEDIUM: "medium", Confidence.LOW: "low"}


def render(outcome: Outcome) -> str:
    """The outcome as one SARIF log."""
    findings = wording.by_weight((*outcome.report.findings, *outcome.report.neighbours))
    shown = findings[:RESULTS]
    codes = sorted({one.code for one in shown})
    run = {
        "tool": {"driver": _driver(codes, shown)},
        "automationDetails": {"id": f"tallystick-audit/{_text(outcome.title) or 'root'}/"},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"SRCROOT": {"description": {"text": "The audited folder"}}},
        "results": [_result(one, codes) for one in shown],
        "properties": _properties(clean(outcome), len(findings) - len(shown)),
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(log), indent=2).decode()


def _driver(codes: list[str], findings: list[Finding]) -> dict[str, Any]:
    known = {entry.code: entry for entry in catalogue.entries()}
    severities = {one.code: one.severity for one in findings}
    precisions = {
        one.code: PRECISION[one.confidence] for one in findings
    }  # by weight, so the least sure one stays
    return {
        "name": "tallystick",
        "semanticVersion": version("tallystick"),
        "rules": [_rule(code, known.get(code), severities[code], precisions[code]) for code in codes],
    }


def _rule(code: str, entry: catalogue.Entry | None, severity: Severity, precision: str) -> dict[str, Any]:
    title = entry.title if entry else code
    why = entry.why if entry else code
    help_text = f"{why}\n\nWrong:\n{entry.wrong}\n\nRight:\n{entry.right}" if entry else why
    return {
        "id": code,
        "name": "".join(word.capitalize() for word in code.split("_")),
        "shortDescription": {"text": _text(title)},
        "fullDescription": {"text": _text(why)},
        "help": {"text": help_text, "markdown": _help(entry) if entry else why},
        "defaultConfiguration": {"level": {"high": "error", "medium": "warning"}.get(severity.value, "note")},
        "properties": {
            "precision": precision,
            "tags": ["billing", "correctness", "security"],
            "problem.severity": {"high": "error", "medium": "warning"}.get(severity.value, "recommendation"),
            "security-severity": SCORES[severity],
        },
    }


def _help(entry: catalogue.Entry) -> str:
    return f"{entry.why}\n\n**Wrong**\n\n```\n{entry.wrong}\n```\n\n**Right**\n\n```\n{entry.right}\n```\n"


def _result(finding: Finding, codes: list[str]) -> dict[str, Any]:
    text = f"{wording.sentence(finding.message)} {finding.remediation}".strip() or finding.code
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": codes.index(finding.code),
        "level": wording.level(finding),
        "message": {"text": _text(text)},
        "locations": [_location(finding.place, finding.function)],
        "partialFingerprints": {
            "primaryLocationLineHash": finding.fingerprint,
            "tallystick/v1": finding.fingerprint,
        },
        "properties": {
            "precision": PRECISION[finding.confidence],
            "confidence": finding.confidence.value,
            "severity": finding.severity.value,
            "decidesVerdict": decisive(finding),
        },
    }
    if finding.hops:
        steps = [{"location": _location(hop.place) | _note(hop.note)} for hop in finding.hops[:STEPS]]
        result["codeFlows"] = [{"threadFlows": [{"locations": steps}]}]
    return result


def _note(note: str) -> dict[str, Any]:
    return {"message": {"text": _text(note)}} if note else {}


def _location(place: Place, function: str = "") -> dict[str, Any]:
    line, column = max(1, place.line), max(1, place.column)
    last = max(line, place.end_line)
    end = place.end_column if place.end_column > (column if last == line else 0) else column + 1
    physical = {
        "artifactLocation": {"uri": uri(place.path), "uriBaseId": "SRCROOT"},
        "region": {"startLine": line, "startColumn": column, "endLine": last, "endColumn": end},
    }
    location: dict[str, Any] = {"physicalLocation": physical}
    if function:
        location["logicalLocations"] = [{"fullyQualifiedName": _text(function), "kind": "function"}]
    return location


def uri(path: str) -> str:
    """A relative path as URI reference, byte for byte."""
    return quote(path.encode("utf-8", "surrogateescape"), safe="/")


def _text(text: str) -> str:
    safe = clean(text)
    return safe if len(safe) <= TEXT else safe[: TEXT - 1] + "…"


def _properties(outcome: Outcome, cut: int) -> dict[str, Any]:
    report = outcome.report
    return {
        "rule": wording.RULE,
        "verdict": report.verdict.value,
        "profile": report.profile.value,
        "summary": wording.endpoints(report),
        "detail": report.detail,
        "endpoints": len(report.endpoints),
        "reporting": sum(one.reports for one in report.endpoints),
        "suppressed": len(report.suppressed),
        "resultsLeftOut": cut,
        "coverage": msgspec.to_builtins(report.coverage),
    }
