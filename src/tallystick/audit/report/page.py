"""One HTML file that needs nothing else: no script, no request, every text escaped."""

from __future__ import annotations

import re
from html import escape
from importlib.metadata import version
from importlib.resources import files

from tallystick.audit.model import Finding, Hop
from tallystick.audit.outcome import Outcome, decisive
from tallystick.audit.report import wording
from tallystick.audit.report.escape import clean

POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def render(outcome: Outcome) -> str:
    """The outcome as one page."""
    outcome = clean(outcome)
    report = outcome.report
    style = files("tallystick.audit.report").joinpath("page.css").read_text(encoding="utf-8")
    title = f"{report.verdict.value}: {outcome.title or 'audit'}"
    parts = [
        _header(outcome),
        _endpoints(outcome),
        _signals(report.signals if not report.endpoints else ()),
        _findings(outcome),
        _section(
            "What to do",
            "",
            "\n".join(f'<p class="keep">{_prose(one)}</p>' for one in wording.remedy(report)),
        ),
        _neighbours(outcome),
        _coverage(outcome),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(filter(None, parts))
        + f'\n<footer class="soft">tallystick {escape(version("tallystick"))} audit</footer>\n'
        "</main>\n</body>\n</html>\n"
    )


def _header(outcome: Outcome) -> str:
    report = outcome.report
    facts = " · ".join(filter(None, [outcome.title, wording.RULE, f"{report.profile.value} profile"]))
    return (
        f'<header><span class="badge {report.verdict.value}">{report.verdict.value}</span>'
        f'<h1>{wording.HEADLINES[report.verdict]}</h1><p class="soft">{escape(facts)}</p>'
        f'<p class="lead keep">{escape(report.detail)}</p></header>'
    )


def _section(title: str, note: str, body: str) -> str:
    if not body:
        return ""
    small = f"<small>{escape(note)}</small>" if note else ""
    return f"<section><h2>{escape(title)}{small}</h2>\n{body}</section>"


def _table(head: tuple[str, ...], rows: list[str]) -> str:
    if not rows:
        return ""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>\n"


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _prose(text: str) -> str:
    """A sentence of ours, in which backticks set off code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _endpoints(outcome: Outcome) -> str:
    rows = [
        _row(
            '<span class="yes">✓</span>' if one.reports else '<span class="no">✗</span>',
            _code(one.route),
            escape(wording.GRADES.get(one.grade, one.grade)),
            _code(wording.where(one.place)),
        )
        for one in outcome.report.endpoints
    ]
    return _section(
        "Endpoints", wording.endpoints(outcome.report), _table(("", "route", "recording", "where"), rows)
    )


def _signals(signals: tuple[Hop, ...]) -> str:
    rows = [_row(_code(wording.where(one.place)), escape(one.note)) for one in signals]
    return _section("Looked for", "", _table(("where", "what"), rows))


def _findings(outcome: Outcome) -> str:
    findings = wording.by_weight(outcome.report.findings)
    return _section(
        "Findings", wording.tally(findings), "\n".join(_finding(one, outcome) for one in findings)
    )


def _finding(finding: Finding, outcome: Outcome) -> str:
    sure = wording.SURENESS[finding.confidence] + ("" if decisive(finding) else ", does not decide")
    inside = f" in {escape(finding.function)}" if finding.function else ""
    excerpt = outcome.excerpts.get((finding.place.path, finding.place.line), "")
    parts = [
        f'<h3 class="{finding.severity.value}">{escape(finding.code)}</h3> '
        f'<span class="soft">{finding.severity.value}, {sure}</span>',
        f"<p>{_code(wording.where(finding.place))}<span class='soft'>{inside}</span></p>",
        f"<pre>{escape(excerpt)}</pre>" if excerpt else "",
        f"<p>{escape(wording.sentence(finding.message))}</p>",
        _hops(finding.hops),
        f'<p class="fix"><strong>Fix</strong> {_prose(finding.remediation)}</p>'
        if finding.remediation
        else "",
    ]
    return f'<article id="{escape(finding.fingerprint)}">' + "\n".join(filter(None, parts)) + "</article>"


def _hops(hops: tuple[Hop, ...]) -> str:
    if not hops:
        return ""
    rows = "".join(f"<li>{_code(wording.where(hop.place))} {escape(hop.note)}</li>" for hop in hops)
    summary = f"The way there, {wording.count(len(hops), 'step')}"
    return f"<details open><summary>{summary}</summary><ol>{rows}</ol></details>"


def _neighbours(outcome: Outcome) -> str:
    rows = [
        _row(
            f'<span class="{one.severity.value}">{escape(one.code)}</span>',
            one.severity.value,
            _code(wording.where(one.place)),
            escape(wording.sentence(one.message)),
        )
        for one in wording.by_weight(outcome.report.neighbours)
    ]
    return _section("Also noticed", "off the verdict", _table(("code", "severity", "where", "what"), rows))


def _coverage(outcome: Outcome) -> str:
    report = outcome.report
    lines = []
    if report.stack or report.providers:
        lines.append("Found: " + ", ".join(sorted({*report.stack, *report.providers})))
    if left_out := wording.left_out(outcome):
        lines.append(f"Left out on purpose: {left_out}")
    lines += [phrase[0].upper() + phrase[1:] for phrase in wording.aside(outcome)]
    if lost := wording.lost(report):
        lines.append(f"Lost: {lost}")
    body = (
        "".join(f'<p class="soft">{escape(line)}</p>' for line in lines)
        or "<p class='soft'>Nothing was lost.</p>"
    )
    rows = [_row(_code(path), escape(reason)) for path, reason in report.coverage.unread]
    return _section("Coverage", wording.coverage(report), body + _table(("not read", "why"), rows))
