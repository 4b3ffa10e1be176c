"""The report for a terminal: the verdict first, then the counts, then what to look at, then what was read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import StringIO

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tallystick.audit.model import Finding, Severity, Verdict
from tallystick.audit.outcome import Outcome, decisive
from tallystick.audit.report import wording
from tallystick.audit.report.escape import clean

WIDTH = 100
COMMAND = re.compile(r"^(\s*)(::|##\[)")  # what a GitHub runner would obey when it reads a log
BADGES = {Verdict.PASS: "black on green", Verdict.FAIL: "white on red", Verdict.SKIP: "black on bright_black"}
TONES = {Severity.HIGH: "red", Severity.MEDIUM: "yellow", Severity.LOW: "cyan", Severity.INFO: "dim"}
UNREAD_SHOWN, ENDPOINTS_SHOWN, FINDINGS_SHOWN = 10, 30, 25


def render(outcome: Outcome) -> str:
    """The report without colours, for a file or a pipe."""
    out = StringIO()
    show(outcome, Console(file=out, width=WIDTH, color_system=None, legacy_windows=False))
    return "".join(COMMAND.sub(r"\1\\\2", line.rstrip()) + "\n" for line in out.getvalue().splitlines())


def show(outcome: Outcome, console: Console) -> None:
    """Print the report on a console."""
    outcome = clean(outcome)
    for part in _parts(outcome):
        console.print(part, highlight=False, markup=False, soft_wrap=False)


def _parts(outcome: Outcome) -> Iterator[RenderableType]:
    report = outcome.report
    yield Text()
    yield _verdict(outcome)
    if report.endpoints:
        yield _heading("Endpoints", wording.endpoints(report))
        yield _endpoints(outcome)
        yield from _more(len(report.endpoints) - ENDPOINTS_SHOWN)
    elif report.signals:
        yield _heading("Looked for", "")
        yield _steps([(wording.where(one.place), one.note) for one in report.signals])
    if report.findings:
        yield _heading("Findings", wording.tally(report.findings))
        for number, finding in enumerate(wording.by_weight(report.findings)[:FINDINGS_SHOWN], 1):
            yield _finding(number, finding, outcome)
        yield from _more(len(report.findings) - FINDINGS_SHOWN)
    if remedy := wording.remedy(report):
        yield _heading("What to do", "")
        for one in remedy:
            yield _in(Text(one), 4)
    if report.neighbours:
        yield _heading("Also noticed", "off the verdict")
        yield _neighbours(outcome)
    yield from _coverage(outcome)
    yield Text()


def _verdict(outcome: Outcome) -> RenderableType:
    report = outcome.report
    line = Text.assemble(
        (f" {report.verdict.value.upper()} ", f"bold {BADGES[report.verdict]}"),
        "  ",
        (wording.HEADLINES[report.verdict], "bold"),
    )
    facts = " · ".join(filter(None, [outcome.title, wording.RULE, f"{report.profile.value} profile"]))
    return Group(_in(line), _in(Text(facts, "dim")), Text(), _in(Text(report.detail)))


def _heading(title: str, note: str) -> RenderableType:
    return Padding(Text.assemble((title, "bold"), ("   " if note else ""), (note, "dim")), (1, 0, 0, 2))


def _in(content: RenderableType, by: int = 2) -> Padding:
    return Padding(content, (0, 2, 0, by))


def _grid(*styles: str) -> Table:
    """A table without lines, one column a style."""
    table = Table.grid(padding=(0, 3, 0, 0))
    for style in styles:
        table.add_column(style=style, overflow="fold")
    return table


def _endpoints(outcome: Outcome) -> RenderableType:
    table = _grid("", "", "dim", "dim")
    for one in sorted(outcome.report.endpoints, key=lambda one: one.reports)[:ENDPOINTS_SHOWN]:
        mark = Text("✓", "green") if one.reports else Text("✗", "red")
        grade = wording.GRADES.get(one.grade, one.grade)
        table.add_row(mark, Text(one.route), Text(grade), Text(wording.where(one.place)))
    return _in(table, 4)


def _more(number: int) -> Iterator[RenderableType]:
    if number > 0:
        yield _in(Text(f"… and {number:,} more; --format json and --format html have them all", "dim"), 6)


def _finding(number: int, finding: Finding, outcome: Outcome) -> RenderableType:
    sure = wording.SURENESS[finding.confidence]
    head = Text.assemble(
        (f"{number:>2}  ", "dim"),
        (finding.code, f"bold {TONES[finding.severity]}"),
        (f"   {finding.severity.value}, {sure}" + ("" if decisive(finding) else ", does not decide"), "dim"),
    )
    place = Text(wording.where(finding.place))
    if finding.function:
        place.append(f"  in {finding.function}", "dim")
    body: list[RenderableType] = [_in(head), _in(place, 6)]
    if excerpt := outcome.excerpts.get((finding.place.path, finding.place.line)):
        body.append(_in(_quote(finding.place.line, excerpt), 6))
    body.append(_in(Text(wording.sentence(finding.message)), 6))
    if finding.hops:
        body.append(_steps([(wording.where(hop.place), hop.note) for hop in finding.hops], 6))
    if finding.remediation:
        body.append(_in(_labelled("Fix", finding.remediation), 6))
    return Group(*([Text()] if number > 1 else []), *body)


def _quote(number: int, excerpt: str) -> Text:
    quoted = Text(f"{number} │ ", "dim", no_wrap=True, overflow="ellipsis")
    return quoted.append(excerpt, "not dim cyan")


def _labelled(label: str, text: str) -> RenderableType:
    table = _grid("bold", "")
    table.add_row(label, Text(text))
    return table


def _steps(steps: list[tuple[str, str]], by: int = 4) -> RenderableType:
    table = _grid("dim", "dim", "dim")
    for number, (place, note) in enumerate(steps):
        table.add_row("→" if number else "·", Text(place), Text(note))
    return _in(table, by)


def _neighbours(outcome: Outcome) -> RenderableType:
    table = _grid("", "dim", "")
    for one in wording.by_weight(outcome.report.neighbours):
        table.add_row(
            Text(one.code, TONES[one.severity]),
            Text(one.severity.value),
            Group(Text(wording.where(one.place)), Text(wording.sentence(one.message), "dim")),
        )
    return _in(table, 4)


def _coverage(outcome: Outcome) -> Iterator[RenderableType]:
    report = outcome.report
    yield _heading("Coverage", wording.coverage(report))
    if report.stack or report.providers:
        yield _in(Text(f"found: {', '.join(sorted({*report.stack, *report.providers}))}", "dim"), 4)
    if left_out := wording.left_out(outcome):
        yield _in(Text(f"left out on purpose: {left_out}", "dim"), 4)
    for phrase in wording.aside(outcome):
        yield _in(Text(phrase, "dim"), 4)
    if lost := wording.lost(report):
        yield _in(Text(f"lost: {lost}", "yellow"), 4)
        yield _in(_unread(outcome), 6)
    if report.findings:
        yield Padding(
            Text("tallystick audit --explain CODE says why a finding matters.", "dim"), (1, 0, 0, 2)
        )


def _unread(outcome: Outcome) -> RenderableType:
    unread = outcome.report.coverage.unread
    table = _grid("", "dim")
    for path, reason in unread[:UNREAD_SHOWN]:
        table.add_row(Text(path), Text(reason))
    if len(unread) > UNREAD_SHOWN:
        table.add_row(Text(f"… and {len(unread) - UNREAD_SHOWN:,} more", "dim"), Text())
    return table
