"""`tallystick explain`: what stands behind an event at the provider."""

from __future__ import annotations

from typing import Annotated

import typer

from tallystick.cli.output import Config, Json, as_json, configured, table
from tallystick.reconciliation.explanation import explain as explain_identifier
from tallystick.values.instant import SECOND, to_datetime
from tallystick.values.quantity import from_steps


def explain(
    identifier: Annotated[str, typer.Argument(help="An event's identifier, as the provider shows it.")],
    json: Json = False,
    config: Config = None,
) -> None:
    """Why the provider has an event: its dispatch, and every entry that it tells."""
    with configured(config) as tally:
        found = explain_identifier(tally.ledger, identifier)
        name = found.parts[0].meter
        decimals = tally.meters[name].decimals if name in tally.meters else 0
    parts = [
        (d.identifier, d.customer, d.meter, d.value, _time(d.happened_at * SECOND), d.state, d.reason)
        for d in found.parts
    ]
    entries = [
        (e.id, e.kind.name.lower(), str(from_steps(e.quantity, decimals)), _time(e.recorded_at), e.key or "")
        for e in found.entries
    ]
    dispatch = ("identifier", "customer", "meter", "value", "stamped (UTC)", "state", "reason")
    entry = ("entry", "kind", "quantity", "recorded (UTC)", "key")
    if json:
        told = [dict(zip(dispatch, row, strict=True)) for row in parts]
        as_json({"dispatches": told, "entries": [dict(zip(entry, row, strict=True)) for row in entries]})
        return
    table("dispatch", dispatch, parts)
    table(f"{len(entries)} entries behind it", entry, entries)


def _time(instant: int) -> str:
    return f"{to_datetime(instant):%Y-%m-%d %H:%M:%S}"
