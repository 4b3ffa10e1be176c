"""What `tallystick audit` does once its options are read; imported only when it runs."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from tallystick.audit.cache.answers import Answers
from tallystick.audit.config import FailOn, Settings
from tallystick.audit.handbook import catalogue
from tallystick.audit.handbook import page as handbook
from tallystick.audit.model import Coverage, Options, Profile, Report, Verdict
from tallystick.audit.models.own import model_files
from tallystick.audit.narrowing import baseline as baselines
from tallystick.audit.outcome import Outcome, exit_code
from tallystick.audit.report import render
from tallystick.audit.report.escape import clean
from tallystick.audit.run import Progress, Request, run, silent
from tallystick.errors import ConfigError

WIDEST = 110
Choice = TypeVar("Choice", bound=StrEnum)


def requested(
    path: Path,
    profile: str,
    config: Path | None,
    isolated: bool,
    fail_on: str,
    patterns: tuple[Sequence[str], Sequence[str]],
    baseline: Path | None,
    diff: str,
) -> Request:
    """The options as one value."""
    return Request(
        path=path,
        config=config,
        isolated=isolated,
        profile=_chosen("--profile", Profile, profile),
        fail_on=_chosen("--fail-on", FailOn, fail_on),
        include=tuple(patterns[0]),
        exclude=tuple(patterns[1]),
        baseline=baseline,
        since=diff,
    )


def _chosen(option: str, kind: type[Choice], value: str) -> Choice | None:
    try:
        return kind(value) if value else None
    except ValueError:
        choices = ", ".join(member.value for member in kind)
        raise ConfigError(f"{option} {value}: there is no such value; the choices are: {choices}") from None


def watched(request: Request, cache: bool, quiet: bool) -> Outcome:
    """Run the audit with a progress line on a terminal."""

    def engine(root: Path, files: Sequence[str], settings: Settings, progress: Progress) -> Report:
        folder = cache_folder(root) if cache else ""
        answers = Answers(folder, root, files, settings)
        report = answers.get()
        if report is None:
            from tallystick.audit.engine import audit

            options = Options(cache_dir=folder)
            with model_files(settings.models) as models:
                report = audit(
                    root, files, profile=settings.profile, models=models, options=options, progress=progress
                )
            answers.put(report)
        return report

    with _progress(quiet) as progress:
        return run(request, engine, progress)


def cache_folder(root: Path) -> str:
    """Where facts about this tree are kept: at the user's, never in the tree, which could bring false ones along."""
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # no home, no cache
        return ""
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:24]
    return str(base / "tallystick" / "audit" / name)


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress]:
    """A line on standard error that goes away; nothing when nobody watches."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield silent
        return
    with console.status("listing") as status:

        def show(stage: str, done: int, total: int) -> None:
            status.update(f"{stage} {done:,} of {total:,}" if total else stage)

        yield show


def deliver(outcome: Outcome, wanted: Sequence[tuple[str, Path | None]], quiet: bool) -> None:
    """Write each format where it belongs; a terminal that got only files still sees the text."""
    for name, output in wanted:
        if output is not None:
            output.write_bytes(render(name, outcome).encode("utf-8", "backslashreplace"))
    bare = [name for name, output in wanted if output is None]
    if bare and not (quiet and bare == ["text"] and len(wanted) == 1):
        _print(bare[0], outcome)


def _print(name: str, outcome: Outcome) -> None:
    if name == "text" and sys.stdout.isatty():
        from tallystick.audit.report.text import show

        console = Console()
        show(outcome, Console(width=min(console.width, WIDEST)))
    else:
        sys.stdout.write(render(name, outcome))


def keep(outcome: Outcome, path: Path) -> None:
    """Write the baseline."""
    findings = (*outcome.report.findings, *outcome.report.neighbours)
    path.write_text(baselines.render(findings), encoding="utf-8", newline="\n")
    print(f"wrote {len(findings)} finding{'' if len(findings) == 1 else 's'} to {path}", file=sys.stderr)


def code(outcome: Outcome, require_metering: bool, strict_coverage: bool, exit_zero: bool) -> int:
    """The exit code of this outcome."""
    return exit_code(
        outcome,
        fail_on=outcome.settings.fail_on,
        require_metering=require_metering,
        strict_coverage=strict_coverage,
        exit_zero=exit_zero,
    )


def explain(wanted: str) -> None:
    """Print one entry of the catalogue, or, without a code, the list of all."""
    entries = {entry.code: entry for entry in catalogue.entries()}
    console = Console(width=min(Console().width, WIDEST)) if sys.stdout.isatty() else Console(width=100)
    if not wanted:
        _list(console, entries)
        return
    if wanted not in entries:
        raise ConfigError(f"--explain {wanted}: there is no such code; `tallystick audit --rules` lists them")
    entry = entries[wanted]
    weight = (
        f"severity {entry.severity.value}, {'takes part in' if entry.decides else 'stays out of'} the verdict"
    )
    console.print(Text.assemble((entry.code, "bold"), "  ", (weight, "dim")))
    console.print(Text(entry.title, "bold"), end="\n\n")
    console.print(Text(entry.why), end="\n\n")
    for title, sample, tone in (("Wrong", entry.wrong, "red"), ("Right", entry.right, "green")):
        console.print(Text(title, f"bold {tone}"))
        console.print(
            Syntax(
                sample,
                handbook.language(sample),
                theme="ansi_dark",
                background_color="default",
                padding=(0, 2),
            )
        )
        console.print()


def _list(console: Console, entries: dict[str, catalogue.Entry]) -> None:
    table = Table.grid(padding=(0, 3, 0, 0))
    for entry in sorted(entries.values(), key=lambda one: (not one.decides, one.code)):
        side = "decides" if entry.decides else ""
        table.add_row(
            Text(entry.code, "bold"), Text(entry.severity.value, "dim"), Text(side, "dim"), entry.title
        )
    console.print(table)


def routes(request: Request, cache: bool) -> None:
    """Print every route, action, worker and schedule that was found, one a line, and which of them report usage."""

    def engine(root: Path, files: Sequence[str], settings: Settings, progress: Progress) -> Report:
        from tallystick.audit.engine import inventory

        options = Options(cache_dir=cache_folder(root) if cache else "")
        with model_files(settings.models) as models:
            found = inventory(root, files, models=models, options=options)
        return Report(Verdict.SKIP, settings.profile, "", (), found, Coverage(len(files), 0, len(found)))

    with _progress(False) as progress:
        outcome = clean(run(request, engine, progress))
    for one in outcome.report.endpoints:
        print(f"{'reports' if one.reports else '-':8} {one.route}  {one.place.path}:{one.place.line}")
