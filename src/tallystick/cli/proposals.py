"""`tallystick proposals`: usage that can no longer be reported; say by name that it was billed otherwise."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from tallystick.app import Tally
from tallystick.cli.output import NO_PROVIDER, Config, Json, as_json, configured, table
from tallystick.errors import ConfigError
from tallystick.reconciliation.deadlines import Pressing
from tallystick.reconciliation.exclusions import Settled
from tallystick.values.instant import from_rfc3339, to_datetime
from tallystick.values.quantity import from_text


def proposals(
    step: Annotated[str, typer.Argument(help="list or settle")] = "list",
    customer: Annotated[str, typer.Option(help="settle: the customer, as listed.")] = "",
    meter: Annotated[str, typer.Option(help="settle: the meter, as listed.")] = "",
    quantity: Annotated[str, typer.Option(help="settle: what was billed, as listed.")] = "",
    before: Annotated[
        str,
        typer.Option(help="settle: as listed; what has come too late since then is left for another time."),
    ] = "",
    reason: Annotated[str, typer.Option(help="By what it was billed; it is kept with the exclusion.")] = "",
    by: Annotated[str, typer.Option(help="Who says so; it is kept with the exclusion.")] = "",
    json: Json = False,
    config: Config = None,
) -> None:
    """Usage that can no longer be reported: invoice items to make; say of one that it was billed, and it is never sent.

    Exit code of list: 1 when there are any.
    """
    if step not in ("list", "settle"):
        raise ConfigError(f"proposals {step!r} is not known; use: tallystick proposals list, or settle")
    if step == "settle" and not (customer and meter and quantity):
        raise ConfigError(
            "say which, as listed: tallystick proposals settle --customer ID --meter NAME --quantity N"
        )
    with configured(config) as tally:
        if step == "list":
            raise typer.Exit(_list(tally, json=json))
        if tally.deadlines is None:
            raise ConfigError(f"{NO_PROVIDER}; without one there are no proposals")
        billed = from_text(quantity, what="--quantity")
        until = _instant(before) if before else None
        settled = tally.deadlines.settle(customer, meter, billed, reason=reason, by=by, before=until)
    _say(settled, json=json)


def _list(tally: Tally, *, json: bool) -> int:
    found = tally.deadlines.missed() if tally.deadlines is not None else []
    if json:
        as_json([_described(one) for one in found])
    else:
        rows = [
            (
                one.customer,
                one.provider_customer,
                one.meter,
                one.quantity,
                one.entries,
                f"{to_datetime(one.due_at):%Y-%m-%d %H:%M}",
                _before(one),
            )
            for one in found
        ]
        columns = (
            "customer",
            "provider customer",
            "meter",
            "quantity",
            "entries",
            "could be reported until",
            "recorded before",
        )
        table(f"{len(found)} invoice items to make", columns, rows)
    return 1 if found else 0


def _described(one: Pressing) -> dict[str, Any]:
    fields = msgspec.to_builtins(one, enc_hook=str)
    return {**fields, "level": one.level.name.lower(), "before": _before(one)}


def _before(one: Pressing) -> str:
    """The instant before which all of it was recorded; of a later period of a value '': the earlier one comes first."""
    return to_datetime(one.before).isoformat() if one.before else ""


def _instant(text: str) -> int:
    try:
        return from_rfc3339(text)
    except ValueError:
        raise ConfigError(
            f"--before {text!r} is not an instant; give it as tallystick proposals says it"
        ) from None


def _say(settled: Settled, *, json: bool) -> None:
    if json:
        as_json(msgspec.to_builtins(settled, enc_hook=str))
        return
    when = f", said before, {to_datetime(settled.at):%Y-%m-%d %H:%M}" if settled.repeated else ""
    what = f"{settled.quantity} of {settled.meter} of customer {settled.customer!r}"
    typer.echo(f"excluded {what}: {settled.reason} (by {settled.by}{when})")
