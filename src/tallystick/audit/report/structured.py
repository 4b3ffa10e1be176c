"""JSON: everything in the outcome, sorted, byte-identical from run to run. The schema's version is its first key."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import msgspec

from tallystick.audit.model import Finding
from tallystick.audit.outcome import Outcome, decisive
from tallystick.audit.report.escape import clean
from tallystick.audit.report.wording import RULE, endpoints, remedy

SCHEMA = 1


def render(outcome: Outcome) -> str:
    """The outcome as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(document(clean(outcome))), indent=2).decode()


def document(outcome: Outcome) -> dict[str, Any]:
    """The outcome as plain values, keys in a fixed order."""
    report = outcome.report
    return {
        "schema": SCHEMA,
        "tool": {"name": "tallystick", "version": version("tallystick")},
        "rule": RULE,
        "target": outcome.title,
        "verdict": report.verdict,
        "reason": report.reason,
        "profile": report.profile,
        "summary": endpoints(report),
        "detail": report.detail,
        "remediation": list(remedy(report)),
        "counts": {
            "endpoints": len(report.endpoints),
            "reporting": sum(one.reports for one in report.endpoints),
            "findings": len(report.findings),
            "deciding": sum(map(decisive, report.findings)),
            "neighbours": len(report.neighbours),
            "suppressed": len(report.suppressed),
            "switched_off": outcome.switched_off,
        },
        "baseline": {"known": outcome.known, "fixed": outcome.fixed} if outcome.baseline else None,
        "diff": {"since": outcome.since, "unchanged": outcome.unchanged} if outcome.since else None,
        "findings": [_finding(one, outcome) for one in report.findings],
        "neighbours": [_finding(one, outcome) for one in report.neighbours],
        "suppressed": [
            {"reason": reason, "finding": _finding(finding, outcome)} for finding, reason in report.suppressed
        ],
        "endpoints": msgspec.to_builtins(report.endpoints),
        "signals": msgspec.to_builtins(report.signals),
        "providers": sorted(report.providers),
        "stack": sorted(report.stack),
        "coverage": msgspec.to_builtins(report.coverage) | {"left_out": dict(outcome.left_out)},
        "settings": {
            "source": outcome.settings.source,
            "fail_on": outcome.settings.fail_on,
            "rules": dict(outcome.settings.rules),
        },
    }


def _finding(finding: Finding, outcome: Outcome) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(finding)
    return fields | {"excerpt": outcome.excerpts.get((finding.place.path, finding.place.line), "")}
