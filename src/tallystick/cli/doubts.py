"""`tallystick doubts`: what the provider reported as rejected and the arithmetic could not tell; decide by name."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from tallystick.cli.output import Config, Json, as_json, configured, table
from tallystick.errors import ConfigError
from tallystick.values.instant import rfc3339


def doubts(
    step: Annotated[str, typer.Argument(help="list or decide")] = "list",
    report: Annotated[str, typer.Argument(help="decide: the report's id, as listed.")] = "",
    lost: Annotated[
        list[str] | None, typer.Option(help="decide: an identifier that was not counted (repeatable).")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the decision.")] = "",
    by: Annotated[str, typer.Option(help="Who decides; it is kept with the decision.")] = "",
    json: Json = False,
    config: Config = None,
) -> None:
    """What waits for a person after a report of rejected usage; decide which dispatches were lost, if any.

    Exit code of list: 1 when something waits.
    """
    if step not in ("list", "decide"):
        raise ConfigError(f"doubts {step!r} is not known; use: tallystick doubts list, or decide")
    with configured(config) as tally:
        if tally.rejections is None:
            raise ConfigError("this provider refuses at once what is wrong; there are no doubts")
        if step == "decide":
            made = tally.rejections.decide(report, lost or [], reason=reason, by=by)
            rows = [(d.identifier, d.customer, d.meter, d.value, d.state) for d in made]
            names = ("identifier", "customer", "meter", "value", "state")
        else:
            found = tally.rejections.unclear()
            rows = [(d.report, d.provider_customer, d.provider_meter, d.code, d.reason) for d in found]
            names = ("report", "provider customer", "provider meter", "code", "about")
            if json:
                as_json([{**msgspec.structs.asdict(d), "minute": rfc3339(d.minute)} for d in found])
    if json and step == "decide":
        as_json([dict(zip(names, row, strict=True)) for row in rows])
    elif not json:
        table("successors" if step == "decide" else "doubts", names, rows)
    raise typer.Exit(1 if step == "list" and rows else 0)
