"""`tallystick audit`: findings on standard output, progress and errors on standard error."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from tallystick.cli import audit_options as of
from tallystick.cli.audit_options import FORMATS
from tallystick.errors import ConfigError, TallystickError

USAGE, INTERNAL = 2, 70


def audit(
    path: of.Tree = Path("."),
    profile: of.Profile = "",
    formats: of.Formats = None,
    outputs: of.Outputs = None,
    config: of.Config = None,
    isolated: of.Isolated = False,
    include: of.Include = None,
    exclude: of.Exclude = None,
    fail_on: of.FailOn = "",
    baseline: of.Baseline = None,
    write_baseline: of.WriteBaseline = None,
    diff: of.Diff = "",
    require_metering: of.RequireMetering = False,
    strict_coverage: of.StrictCoverage = False,
    exit_zero: of.ExitZero = False,
    quiet: of.Quiet = False,
    cache: of.Cache = True,
    explain: of.Explain = "",
    rules: of.Rules = False,
    routes: of.Routes = False,
) -> None:
    """Does this codebase bill what was used? Pass, fail or skip, with the evidence.

    Exit codes: 0 pass or skip; 1 fail; 2 wrong usage, configuration or file; 3 skip with --require-metering;
    4 something could not be read, with --strict-coverage; 70 a mistake in the auditor itself.
    """
    with _exits():
        from tallystick.cli import auditing

        if explain or rules:
            auditing.explain(explain)
            return
        request = auditing.requested(
            path, profile, config, isolated, fail_on, (include or (), exclude or ()), baseline, diff
        )
        if routes:
            auditing.routes(request, cache)
            return
        if write_baseline is not None and (baseline or diff):
            raise ConfigError(
                "--write-baseline: a baseline holds every finding; leave out --baseline and --diff"
            )
        wanted = destinations(sys.argv[1:], formats or (), outputs or ())
        outcome = auditing.watched(request, cache, quiet)
        if write_baseline is not None:
            auditing.keep(outcome, write_baseline)
        auditing.deliver(outcome, wanted, quiet)
        code = 0 if write_baseline else auditing.code(outcome, require_metering, strict_coverage, exit_zero)
        raise typer.Exit(code)


def destinations(
    arguments: Sequence[str], formats: Sequence[str], outputs: Sequence[Path]
) -> list[tuple[str, Path | None]]:
    """Each format with the file named after it; None is standard output, which takes one format only."""
    for name in formats:
        if name not in FORMATS:
            raise ConfigError(
                f"--format {name}: there is no such format; the choices are: {', '.join(FORMATS)}"
            )
    if not outputs:
        pairs: list[tuple[str, Path | None]] = [(name, None) for name in formats or ["text"]]
    elif len(formats) <= 1 and len(outputs) == 1:
        pairs = [((*formats, "text")[0], outputs[0])]
    else:
        pairs = list(_in_turn(arguments))
    bare = [name for name, output in pairs if output is None]
    if len(bare) > 1:
        raise ConfigError(
            f"--format {bare[1]}: standard output is taken by {bare[0]}; write --format {bare[1]} --output FILE"
        )
    return pairs


def _in_turn(arguments: Sequence[str]) -> Iterator[tuple[str, Path | None]]:
    """Read `--format X --output FILE` pairs in the order they were written."""
    waiting = ""
    for option, value in _options(arguments):
        if option in ("--format", "-f"):
            if waiting:
                yield waiting, None
            waiting = value
        elif not waiting:
            raise ConfigError(
                f"--output {value}: no --format stands before it; write --format X --output {value}"
            )
        else:
            yield waiting, Path(value)
            waiting = ""
    if waiting:
        yield waiting, None


def _options(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    known = ("--format", "-f", "--output", "-o")
    for number, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if equals and name in ("--format", "--output"):
            yield name, value
        elif argument in known and number + 1 < len(arguments):
            yield argument, arguments[number + 1]
        elif argument[:2] in ("-f", "-o") and len(argument) > 2:
            yield argument[:2], argument[2:]


@contextmanager
def _exits() -> Iterator[None]:
    """Errors as one line and the documented exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    except (typer.Exit, KeyboardInterrupt, BrokenPipeError):
        raise
    except TallystickError as problem:
        _complain(str(problem))
        raise typer.Exit(USAGE) from problem
    except OSError as problem:
        _complain(
            f"{problem.filename or 'a file'}: {problem.strerror or problem}; check the path and its permissions"
        )
        raise typer.Exit(USAGE) from problem
    except ModuleNotFoundError:
        raise  # an extra that is not installed: the entry point says which
    except Exception as problem:
        traceback.print_exc()
        _complain(
            f"internal error ({type(problem).__name__}): nothing was decided; please report the lines above"
        )
        raise typer.Exit(INTERNAL) from problem


def _complain(line: str) -> None:
    from tallystick.audit.report.escape import visible

    print(f"tallystick audit: {visible(line)}", file=sys.stderr)
