"""One finished run: the engine's report after settings, suppressions, baseline and diff had their say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from tallystick.audit.config import FailOn, Settings
from tallystick.audit.inventory import Inventory
from tallystick.audit.inventory.excerpts import Excerpts
from tallystick.audit.model import Confidence, Finding, Report, Severity, Verdict
from tallystick.audit.models import own
from tallystick.audit.narrowing import suppression
from tallystick.audit.narrowing.baseline import Comparison, compare
from tallystick.audit.narrowing.changes import Changes
from tallystick.audit.narrowing.fingerprints import in_order, named

RANK = {Severity.HIGH: 3, Severity.MEDIUM: 2, Severity.LOW: 1, Severity.INFO: 0}


class Outcome(msgspec.Struct, frozen=True):
    """What reports read: the report as it is to be shown, and what was set aside on the way."""

    title: str
    report: Report
    settings: Settings
    excerpts: dict[tuple[str, int], str] = {}
    left_out: tuple[tuple[str, int], ...] = ()
    switched_off: int = 0
    known: int = 0
    fixed: int = 0
    baseline: bool = False
    since: str = ""
    unchanged: int = 0

    @property
    def narrowed(self) -> bool:
        """Whether only a part of the findings counts for the exit code."""
        return self.baseline or bool(self.since)


class Aside(msgspec.Struct, frozen=True):
    """What narrows a run, gathered before it."""

    suppressions: tuple[suppression.Suppression, ...] = ()
    known: frozenset[str] | None = None
    since: str = ""


def judged(
    report: Report,
    settings: Settings,
    inventory: Inventory,
    excerpts: Excerpts,
    *,
    title: str = "",
    aside: Aside | None = None,
    changes: Changes | None = None,
    codes: frozenset[str] = frozenset(),
) -> Outcome:
    """The outcome for what the engine found."""
    aside = aside or Aside()
    before = (*report.findings, *report.neighbours)
    wanted = [_severity(one, settings) for one in before if one.code not in settings.off()]
    callers = settings.models.trusted_callers
    believed = [(one, own.TRUSTED) for one in wanted if own.trusted(one, callers)]
    doubted = [one for one in wanted if not own.trusted(one, callers)]
    parted = suppression.apply(named(doubted, excerpts), aside.suppressions, codes)
    problems = [one for one in parted.problems if one.code not in settings.off()]
    kept = (*parted.kept, *named((_severity(one, settings) for one in problems), excerpts))
    report = _reconsidered(report, kept, (*believed, *parted.suppressed))
    comparison = compare(kept, aside.known) if aside.known is not None else Comparison(kept, (), 0)
    shown = [one for one in comparison.new if changes is None or changes.touch(one)]
    neighbours = {(one.code, one.place) for one in report.neighbours}
    report = msgspec.structs.replace(
        report,
        findings=in_order(one for one in shown if (one.code, one.place) not in neighbours),
        neighbours=in_order(one for one in shown if (one.code, one.place) in neighbours),
        coverage=_coverage(report, inventory),
    )
    return Outcome(
        title=title,
        report=report,
        settings=settings,
        excerpts=_quoted(report, excerpts),
        left_out=tuple(
            sorted((Counter(dict(inventory.left_out)) + Counter(dict(report.coverage.left_out))).items())
        ),
        switched_off=len(before) - len(wanted),
        known=len(comparison.known),
        fixed=comparison.fixed,
        baseline=aside.known is not None,
        since=aside.since,
        unchanged=len(comparison.new) - len(shown),
    )


def decisive(finding: Finding) -> bool:
    """Whether a finding can turn the verdict by itself."""
    return finding.decides and finding.confidence is not Confidence.LOW


def _severity(finding: Finding, settings: Settings) -> Finding:
    severity = settings.severities().get(finding.code)
    return msgspec.structs.replace(finding, severity=severity) if severity else finding


def _reconsidered(
    report: Report, kept: Sequence[Finding], suppressed: tuple[tuple[Finding, str], ...]
) -> Report:
    """The report with its verdict taken again when deciding findings were set aside."""
    changed: dict[str, Any] = {"suppressed": (*report.suppressed, *suppressed)}
    had = any(decisive(one) for one in report.findings)
    if report.verdict is Verdict.FAIL and had and not any(decisive(one) for one in kept):
        changed |= {
            "verdict": Verdict.PASS,
            "reason": "set_aside",
            "detail": "Everything that spoke against it is suppressed with a reason or switched off.",
            "remediation": "",
        }
    return msgspec.structs.replace(report, **changed)


def _coverage(report: Report, inventory: Inventory) -> Any:
    unread = tuple(sorted({*report.coverage.unread, *inventory.unread}))
    return msgspec.structs.replace(report.coverage, unread=unread)


def _quoted(report: Report, excerpts: Excerpts) -> dict[tuple[str, int], str]:
    places = [one.place for one in (*report.findings, *report.neighbours)]
    places += [endpoint.place for endpoint in report.endpoints]
    return {(place.path, place.line): excerpts.line(place.path, place.line) for place in places}


def exit_code(
    outcome: Outcome, *, fail_on: FailOn, require_metering: bool, strict_coverage: bool, exit_zero: bool
) -> int:
    """The documented exit code; what could not be read outranks what was found."""
    if exit_zero:
        return 0
    if strict_coverage and (outcome.report.coverage.unread or outcome.report.coverage.with_errors):
        return 4
    if _fails(outcome, fail_on):
        return 1
    return 3 if require_metering and outcome.report.verdict is Verdict.SKIP else 0


def _fails(outcome: Outcome, fail_on: FailOn) -> bool:
    report = outcome.report
    shown = (*report.findings, *report.neighbours)
    if report.verdict is Verdict.FAIL and (not outcome.narrowed or any(map(decisive, report.findings))):
        return True
    if fail_on is FailOn.VERDICT:
        return False
    least = RANK[Severity(fail_on.value)]
    return any(RANK[one.severity] >= least and one.confidence is not Confidence.LOW for one in shown)
