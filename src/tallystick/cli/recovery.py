"""`tallystick anchor` and `recover`: a ledger that was restored, or that is not the only copy."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from tallystick.app import Tally
from tallystick.cli.output import Config, Json, as_json, configured, table
from tallystick.errors import ConfigError
from tallystick.restore.recovery import Found, Recovery
from tallystick.values.instant import MINUTE, SECOND, to_datetime
from tallystick.values.quantity import from_steps

SETTLED = 15 * MINUTE  # from the last anchor until the provider's totals hold all that was sent after it


def anchor(json: Json = False, config: Config = None) -> None:
    """Show how far the ledger has come, and what its anchors say. Exit code 1 when this copy does not send."""
    with configured(config) as tally:
        anchoring = _anchoring(tally)
        anchoring.compare()
        sends, head = anchoring.may_send(), anchoring.head()
        places = [(own.place, own.generation, own.state, own.reason) for own in anchoring.standing().values()]
        ledger = tally.ledger.identity
    if json:
        named = [dict(zip(("place", "generation", "state", "reason"), row, strict=True)) for row in places]
        as_json(
            {
                "ledger": ledger,
                "entries": head.positions,
                "digest": head.digest,
                "sends": sends,
                "places": named,
            }
        )
    else:
        table(
            f"ledger {ledger}: {head.positions} entries", ("place", "generation", "state", "reason"), places
        )
        typer.echo("this copy sends" if sends else "this copy records and sends nothing")
    raise typer.Exit(0 if sends else 1)


def recover(
    apply: Annotated[bool, typer.Option("--apply", help="Write it down and send again.")] = False,
    pending: Annotated[
        str,
        typer.Option(help="What is ambiguous: the provider has our pending usage (sent) or not (unsent)."),
    ] = "",
    settled: Annotated[
        bool, typer.Option("--settled", help="Do not wait fifteen minutes for the provider's totals.")
    ] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Compare a restored ledger with the provider, and go on from there. Exit code 1 while something is left."""
    if pending not in ("", "sent", "unsent"):
        raise ConfigError(f"--pending {pending!r} is not known; use sent or unsent")
    with configured(config) as tally:
        found, recovery = _plan(tally, pending, settled=settled)  # type: ignore[arg-type]
        open_ = [one for one in found if one.verdict == "ambiguous"]
        if apply and not open_:
            recovery.apply(found)
            _anchoring(tally).take_over()
        rows = [_row(tally, one) for one in found]
    columns = ("customer", "meter", "from (UTC)", "until (UTC)", "found", "quantity")
    if json:
        as_json(
            {"applied": apply and not open_, "found": [dict(zip(columns, row, strict=True)) for row in rows]}
        )
    else:
        table("recovery", columns, rows)
        typer.echo(_next(apply=apply, found=len(found), open_=len(open_)))
    raise typer.Exit(0 if apply and not open_ else 1)


def _plan(
    tally: Tally, pending: Literal["", "sent", "unsent"], *, settled: bool
) -> tuple[list[Found], Recovery]:
    anchoring = _anchoring(tally)
    anchoring.compare()
    halted = [own for own in anchoring.standing().values() if own.state != "in_force"]
    if not halted:
        raise ConfigError(
            "this ledger goes on where it was, there is nothing to recover; see: tallystick anchor"
        )
    if tally.provider is None:
        raise ConfigError("recovery compares with the provider, and no provider is configured")
    anchored, now = max(own.since for own in halted), tally.ledger.clock.now()
    if now - anchored < SETTLED and not settled:
        raise ConfigError(
            f"the provider's totals may trail what was sent; wait until "
            f"{to_datetime(anchored + SETTLED):%H:%M:%S} UTC, or say --settled"
        )
    tally.ledger.sequencer.run()
    recovery = Recovery(tally.ledger, tally.meters, tally.provider, tally.links.all(), anchored)
    return recovery.plan(pending), recovery


def _anchoring(tally: Tally) -> Any:
    if tally.anchoring is None:
        raise ConfigError(
            'no anchor is configured; set [store] anchor = "a file", or [provider] anchor = true'
        )
    return tally.anchoring


def _row(tally: Tally, one: Found) -> tuple[str, ...]:
    meaning = {
        "sent": "ours, and the provider has it: will not be sent again",
        "unsent": "ours, and the provider has it not: will be sent under a new identity",
        "recovered": "lost here, the provider has it: is recorded again",
        "ambiguous": "the totals cannot tell whether it was sent: say --pending sent or unsent",
    }
    times = [f"{to_datetime(second * SECOND):%Y-%m-%d %H:%M}" for second in (one.since, one.until)]
    quantity = from_steps(one.steps, tally.meters[one.meter].decimals)
    return (one.customer, one.meter, *times, meaning[one.verdict], str(quantity))


def _next(*, apply: bool, found: int, open_: int) -> str:
    if open_:
        return f"{open_} finding(s) need your word: look at the provider's events of that time"
    if apply:
        return "written down; this copy sends again"
    return f"{found} finding(s); to write them down and send again: tallystick recover --apply"
