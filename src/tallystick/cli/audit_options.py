"""The options of `tallystick audit`, one name each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FORMATS = ("text", "json", "sarif", "github", "markdown", "html")

Tree = Annotated[Path, typer.Argument(help="The folder to audit.")]
Profile = Annotated[
    str,
    typer.Option(help="durable: a stored record with a drain that runs counts. strict: the call is awaited."),
]
Formats = Annotated[
    list[str] | None, typer.Option("--format", "-f", help=f"One of {', '.join(FORMATS)}; may be repeated.")
]
Outputs = Annotated[
    list[Path] | None, typer.Option("--output", "-o", help="A file for the --format before it.")
]
Config = Annotated[Path | None, typer.Option(help="Read the settings from this file.")]
Isolated = Annotated[bool, typer.Option("--isolated", help="Read no settings file.")]
Include = Annotated[list[str] | None, typer.Option(help="Audit only paths like this (as in .gitignore).")]
Exclude = Annotated[list[str] | None, typer.Option(help="Leave out paths like this (as in .gitignore).")]
FailOn = Annotated[str, typer.Option(help="verdict, or high, medium, low: any finding that severe too.")]
Baseline = Annotated[Path | None, typer.Option(help="Count only findings that are not in this file.")]
WriteBaseline = Annotated[Path | None, typer.Option(help="Write the findings of this run to a file.")]
Diff = Annotated[str, typer.Option(metavar="REV", help="Report only findings on lines changed since REV.")]
RequireMetering = Annotated[bool, typer.Option("--require-metering", help="Exit with 3 on a skip.")]
StrictCoverage = Annotated[bool, typer.Option("--strict-coverage", help="Exit with 4 on lost coverage.")]
ExitZero = Annotated[bool, typer.Option("--exit-zero", help="Exit with 0 whatever the verdict is.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but what a format asks for.")]
Cache = Annotated[bool, typer.Option(help="Keep facts about unchanged files, in the user's cache folder.")]
Explain = Annotated[str, typer.Option(metavar="CODE", help="Explain one finding code.")]
Rules = Annotated[bool, typer.Option("--rules", help="List the finding codes.")]
Routes = Annotated[
    bool, typer.Option("--routes", help="List every route that was found, and which report usage.")
]
