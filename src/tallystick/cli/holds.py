"""`tallystick holds`: list open holds, and decide about them by name; `tallystick correct`: put an entry right."""

from __future__ import annotations

from typing import Annotated

import typer

from tallystick.app import Tally
from tallystick.cli.output import Config, Json, as_json, configured, table
from tallystick.errors import ConfigError
from tallystick.ledger.model import Entry, Posted
from tallystick.values.instant import SECOND, to_datetime
from tallystick.values.quantity import from_steps, from_text

Reason = Annotated[str, typer.Option(help="Why; it is kept with the entry.")]
By = Annotated[str, typer.Option(help="Who decides; it is kept with the entry.")]


def holds(
    step: Annotated[str, typer.Argument(help="list, settle or void")] = "list",
    hold: Annotated[str, typer.Argument(help="The hold's id, as listed.")] = "",
    quantity: Annotated[str, typer.Option(help="settle: what the action used, in units of its meter.")] = "",
    reason: Reason = "",
    by: By = "",
    overdue: Annotated[bool, typer.Option("--overdue", help="list: only those that wait for you.")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Open holds, oldest first; settle one with a quantity, or void it, with a reason and a name."""
    if step not in ("list", "settle", "void"):
        raise ConfigError(f"holds {step!r} is not known; use: tallystick holds list, settle or void")
    if step != "list" and not hold:
        raise ConfigError(f"say which: tallystick holds {step} ID; `tallystick holds` lists them")
    if step == "settle" and not quantity:
        raise ConfigError("give what the action used: tallystick holds settle ID --quantity N")
    with configured(config) as tally:
        if step == "list":
            _list(tally, overdue=overdue, json=json)
            return
        if step == "settle":
            used = from_text(quantity, what="--quantity")
            posted, done = tally.holds.settle(hold, used, reason=reason, by=by), "settled"
        else:
            posted, done = tally.holds.void(hold, reason=reason, by=by), "voided"
        _say(tally, posted, f"{done} {hold}", json=json)


def correct(
    entry: Annotated[str, typer.Argument(help="The entry's id.")],
    quantity: Annotated[str, typer.Option(help="What it should have said, in units of its meter.")],
    reason: Reason,
    by: By,
    json: Json = False,
    config: Config = None,
) -> None:
    """Put an entry right: the difference is posted as a new, signed entry."""
    with configured(config) as tally:
        posted = tally.correct(entry, quantity=from_text(quantity, what="--quantity"), reason=reason, by=by)
        _say(tally, posted, f"corrected {entry}" if posted.entries else "it says that already", json=json)


def _list(tally: Tally, *, overdue: bool, json: bool) -> None:
    waiting = {entry.id for entry in tally.holds.overdue()}
    found = tally.holds.overdue() if overdue else tally.holds.open()
    now = tally.ledger.clock.now()
    progress = tally.holds.progress(found)
    columns = ("id", "customer", "meter", "since", "age_seconds", "at_least", "overdue")
    rows = [
        (
            e.id,
            e.customer,
            e.meter,
            to_datetime(e.recorded_at).strftime("%Y-%m-%d %H:%M"),
            max(now - e.recorded_at, 0) // SECOND,
            str(progress.get(e.id, "")),
            "yes" if e.id in waiting else "",
        )
        for e in found
    ]
    if json:
        as_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        table(f"{len(rows)} open holds", columns, rows)


def _say(tally: Tally, posted: Posted, done: str, *, json: bool) -> None:
    said = [_described(tally, entry) for entry in posted.entries]
    if json:
        as_json({"done": done, "entries": said})
        return
    typer.echo("; ".join([done, *(f"{e['quantity']} of {e['meter']} ({e['id']})" for e in said)]))


def _described(tally: Tally, entry: Entry) -> dict[str, str]:
    quantity = from_steps(entry.quantity, tally.meters[entry.meter].decimals)
    return {"id": entry.id, "customer": entry.customer, "meter": entry.meter, "quantity": str(quantity)}
