"""Sentences that every report shares, so that no two of them count differently."""

from __future__ import annotations

from collections.abc import Iterable

from tallystick.audit.model import Confidence, Finding, Place, Report, Severity, Verdict
from tallystick.audit.outcome import RANK, Outcome, decisive
from tallystick.audit.verdict import ORDER

RULE = "usage-billing-accurate"
HEADLINES = {
    Verdict.PASS: "Usage is recorded on the server and reported in time",
    Verdict.FAIL: "Usage billing cannot be trusted",
    Verdict.SKIP: "No usage-based billing found",
}
SURENESS = {Confidence.HIGH: "sure", Confidence.MEDIUM: "likely", Confidence.LOW: "to review"}
DECORATING = frozenset(["fastapi", "tallystick"])
PYTHON = frozenset(["celery", "django", "drf", "flask", "litestar", "starlette"])
STORED = (
    "The usage is stored before the answer leaves, with quantity and customer from the server, and "
    "sent until the provider has confirmed it."
)
DECORATED = (
    "With tallystick: put `@tally.metered(meter, customer=Depends(...), quantity=lambda answer: ...)` on the "
    f"handler. {STORED}"
)
OPENED = (
    "With tallystick: do the work inside `with tally.action(meter, customer=..., key=...) as action:` and count it "
    f"with `action.add(n)`. {STORED}"
)
SERVED = (
    "With tallystick: keep a small Python service beside the application whose handler calls tally.record, and post "
    "the usage to it from the server, in the request that does the work. It stores the entry before it answers, and "
    "sends it until the provider has confirmed it."
)
GRADES = {
    "sync-reported": "sent in the request",
    "sync-durable": "stored, sent by a worker",
    "outbox": "row kept, sent by a job",
    "deferred-in-request": "sent after the response",
    "queued": "queued in the request",
    "program": "by a program of its own",
    "cron-only": "only by a schedule",
    "client-only": "only in the browser",
    "none": "not reported",
    "": "not reported",
}


def count(number: int, one: str, many: str = "") -> str:
    """`1 file`, `2 files`; thousands are set apart."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def where(place: Place) -> str:
    """`path:line`."""
    return f"{place.path}:{place.line}"


def endpoints(report: Report) -> str:
    """How many metered endpoints there are and how many report; the same sentence in a pass and in a fail."""
    if not report.endpoints:
        return "no metered endpoint"
    reporting = sum(one.reports for one in report.endpoints)
    verb = "reports" if reporting == 1 else "report"
    return f"{reporting} of {count(len(report.endpoints), 'metered endpoint')} {verb} usage"


def coverage(report: Report) -> str:
    """What was read."""
    seen = report.coverage
    return f"{count(seen.files, 'file')} looked at, {seen.parsed:,} parsed, {count(seen.routes, 'route')}"


def lost(report: Report) -> str:
    """What was not read, or an empty text."""
    seen = report.coverage
    parts = [count(len(seen.unread), "path") + " not read"] if seen.unread else []
    if seen.with_errors:
        parts.append(f"{count(len(seen.with_errors), 'file')} read in part")
    if seen.unresolved_imports:
        parts.append(f"{count(seen.unresolved_imports, 'import')} not resolved")
    return ", ".join(parts)


def tally(findings: Iterable[Finding]) -> str:
    """`2 decide the verdict, 1 does not`."""
    everything = tuple(findings)
    if not everything:
        return "nothing found"
    deciding = sum(map(decisive, everything))
    rest = len(everything) - deciding
    parts = [f"{deciding} {'decides' if deciding == 1 else 'decide'} the verdict"] if deciding else []
    if rest:
        parts.append(
            f"{rest} {'does' if rest == 1 else 'do'} not" + ("" if deciding else " decide the verdict")
        )
    return ", ".join(parts)


def aside(outcome: Outcome) -> list[str]:
    """What was set aside, a phrase each."""
    phrases = []
    if outcome.report.suppressed:
        phrases.append(f"{count(len(outcome.report.suppressed), 'finding')} suppressed with a reason")
    if outcome.switched_off:
        phrases.append(f"{count(outcome.switched_off, 'finding')} of rules that are switched off")
    if outcome.baseline:
        phrases.append(f"{outcome.known} known from the baseline, {outcome.fixed} fixed since")
    if outcome.since:
        phrases.append(
            f"{count(outcome.unchanged, 'finding')} away from the lines changed since {outcome.since}"
        )
    return phrases


def left_out(outcome: Outcome) -> str:
    """`3 vendored, 1 minified`."""
    return ", ".join(f"{number:,} {reason}" for reason, number in outcome.left_out)


def sentence(text: str) -> str:
    """The text with a capital and a full stop."""
    text = text.strip()
    return text if not text else text[:1].upper() + text[1:] + ("" if text[-1] in ".!?:" else ".")


def remedy(report: Report) -> tuple[str, ...]:
    """What to do about a fail: the direct fix, unless a finding shown already says it, and the way with tallystick."""
    if report.verdict is not Verdict.FAIL:
        return ()
    said = {one.remediation for one in report.findings}
    direct = (report.remediation,) if report.remediation and report.remediation not in said else ()
    return (*direct, tallied(report.stack))


def tallied(stack: Iterable[str]) -> str:
    """The way with tallystick, in the stack that was found: the decorator where it has one, an action elsewhere."""
    found = frozenset(stack)
    if found & DECORATING:
        return DECORATED
    return OPENED if found & PYTHON else SERVED


def by_weight(findings: Iterable[Finding]) -> list[Finding]:
    """What a reader should see first, first."""
    sureness = {Confidence.HIGH: 2, Confidence.MEDIUM: 1, Confidence.LOW: 0}
    return sorted(
        findings,
        key=lambda one: (
            not decisive(one),
            -RANK[one.severity],
            -sureness[one.confidence],
            ORDER.index(one.code) if one.code in ORDER else len(ORDER),
            one.place,
            one.code,
        ),
    )


def level(finding: Finding) -> str:
    """`error`, `warning` or `note`, as SARIF and GitHub name them."""
    if finding.confidence is Confidence.LOW or finding.severity in (Severity.LOW, Severity.INFO):
        return "note"
    return "error" if finding.severity is Severity.HIGH else "warning"
