"""`tallystick findings`: what somebody should look at, from every process, until it is closed by name."""

from __future__ import annotations

from typing import Annotated

import typer

from tallystick.cli.output import Config, Json, as_json, configured, table
from tallystick.errors import ConfigError
from tallystick.values.instant import to_datetime


def findings(
    step: Annotated[str, typer.Argument(help="list or close")] = "list",
    code: Annotated[str, typer.Argument(help="close: the findings of this code.")] = "",
    subject: Annotated[str, typer.Option(help="close: only the one about this subject.")] = "",
    by: Annotated[str, typer.Option(help="close: who has looked at it.")] = "",
    json: Json = False,
    config: Config = None,
) -> None:
    """Open findings, newest first (exit code 1 when there are any), or close those that are dealt with."""
    if step not in ("list", "close"):
        raise ConfigError(f"findings {step!r} is not known; use: tallystick findings list, or close CODE")
    if step == "close" and not code:
        raise ConfigError("say which: tallystick findings close CODE --by NAME")
    with configured(config) as tally:
        if step == "close":
            count = tally.noted.close(code, subject, by=by)
            typer.echo(f"{count} finding(s) closed")
            raise typer.Exit(0 if count else 1)
        found = tally.noted.open()
    if json:
        as_json(found)
    else:
        rows = [
            (k.code, k.subject, k.count, f"{to_datetime(k.last_at):%Y-%m-%d %H:%M}", k.message) for k in found
        ]
        table(f"{len(found)} open findings", ("code", "subject", "count", "last", "message"), rows)
    raise typer.Exit(1 if found else 0)
