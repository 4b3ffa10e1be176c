"""`tallystick relay`, `status`, `redrive`, `tieout`: what is on its way to the provider."""

from __future__ import annotations

import signal
from typing import Annotated, Any

import msgspec
import typer

from tallystick.app import Tally
from tallystick.cli.output import NO_PROVIDER, Config, Json, as_json, configured, installed, table
from tallystick.errors import ConfigError
from tallystick.meters import Meter
from tallystick.reconciliation.metrics import prometheus

_ALARMS = {
    "half": "customers and meters past 50 % of the time to deliver",
    "most": "past 75 %",
    "urgent": "past 90 %",
    "missed": "too late to deliver (tallystick proposals)",
}


def relay(
    once: Annotated[
        bool, typer.Option("--once", help="Send what is due and stop (cron, serverless).")
    ] = False,
    wait: Annotated[
        float,
        typer.Option(
            help="With --once: seconds to wait for what is not due yet, or for the lease of a killed relay."
        ),
    ] = 0,
    config: Config = None,
) -> None:
    """Send what requests did not, try again what failed, sequence the ledger; stop with SIGTERM or SIGINT."""
    with configured(config) as tally:
        worker = tally.relay
        if tally.provider is None:
            typer.echo(f"{NO_PROVIDER}; nothing will be sent", err=True)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.ask_to_stop())
        if once:
            done = worker.drain(wait_seconds=wait)
            as_json(done)
        else:
            typer.echo("relay running; stop it with Ctrl-C or SIGTERM", err=True)
            worker.run()


def status(
    app: Annotated[str, typer.Option(help="Also list what this application trusts its clients with.")] = "",
    form: Annotated[
        str, typer.Option("--format", help="table, json, or prometheus (exit code 0).")
    ] = "table",
    json: Json = False,
    config: Config = None,
) -> None:
    """Undelivered, deadlines, parked, doubts, open holds, settings. Exit code 1 when something waits for you."""
    if form not in ("table", "json", "prometheus"):
        raise ConfigError(f"--format {form!r} is not known; use table, json or prometheus")
    json = json or form == "json"
    with configured(config) as tally:
        found = tally.status()
        doubts = tally.rejections.standing() if tally.rejections is not None else {}
        deadlines = tally.deadlines.levels() if tally.deadlines is not None else {}
        if form == "prometheus":
            text = prometheus(found, doubts, deadlines, tally.finding_counts, tally.ledger.where)
            typer.echo(text, nl=False)
            return
        settings = _settings(tally)
        halted = _halted(tally)
    if app:
        settings["trusted to the client"] = "; ".join(installed(app)[0].untrusted()) or "nothing"
    if json:
        shown = {**msgspec.to_builtins(found, builtin_types=(bytes,)), "settings": settings}
        shown["doubts"] = doubts
        shown["deadlines"] = deadlines
        shown["halted"] = halted
        shown["parked"] = [{"identifier": d.identifier, "reason": d.reason} for d in found.parked]
        as_json(shown)
    else:
        rows: list[tuple[str, Any]] = [
            ("undelivered entries", found.undelivered),
            ("oldest undelivered", f"{found.oldest_undelivered_seconds} s"),
            *((f"entries in dispatches '{state}'", count) for state, count in found.in_delivery.items()),
            ("open holds", found.open_holds),
            ("not yet sequenced", found.unsequenced),
            ("in the spool", found.spooled),
            ("parked dispatches", len(found.parked)),
            ("doubts being looked into", doubts.get("open", 0)),
            ("doubts for you (tallystick doubts)", doubts.get("unclear", 0)),
            *((_ALARMS[name], count) for name, count in deadlines.items() if count),
            *(("sends nothing (tallystick recover)", why) for why in halted),
            *settings.items(),
        ]
        table("status", ("what", "value"), rows)
        if found.parked:
            parked = [(d.identifier, d.customer, d.meter, d.value, d.reason) for d in found.parked]
            table(
                "parked (tallystick redrive)", ("identifier", "customer", "meter", "value", "reason"), parked
            )
    waits_for_you = found.parked or doubts.get("unclear") or any(deadlines.values()) or halted
    raise typer.Exit(1 if waits_for_you else 0)


def _halted(tally: Tally) -> list[str]:
    """Why this copy of the ledger sends nothing, if it does not."""
    standing = tally.anchoring.standing().values() if tally.anchoring is not None else ()
    return [own.reason for own in standing if own.state != "in_force"]


def _settings(tally: Tally) -> dict[str, str]:
    return {
        "store": tally.ledger.store.dialect,
        "mode": tally.ledger.where.mode,
        "provider": tally.provider.profile.name if tally.provider else "none",
        "inline": f"yes, {tally.settings.budget_ms} ms" if tally.settings.inline else "no",
        "relay": tally.settings.relay,
        **({"shadow": "yes: records, and sends nothing"} if tally.settings.shadow else {}),
        "meters": ", ".join(_meter(m) for m in tally.meters),
    }


def _meter(meter: Meter) -> str:
    reported = f", reported from {meter.report_from:%Y-%m-%d %H:%M %Z}" if meter.report_from else ""
    return f"{meter.name} ({meter.formula}, hold {'on' if meter.hold else 'off'}{reported})"


def redrive(
    identifier: Annotated[str, typer.Argument(help="The parked dispatch's identifier.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Every parked dispatch.")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Try parked dispatches again, once their cause is mended."""
    if not identifier and not everything:
        raise ConfigError(
            "say which: tallystick redrive IDENTIFIER, or --all; `tallystick status` lists them"
        )
    with configured(config) as tally:
        count = tally.redrive(identifier)
    if json:
        as_json({"tried_again": count})
    else:
        typer.echo(f"{count} dispatch(es) will be tried again")
    raise typer.Exit(0 if count else 1)


def tieout(json: Json = False, config: Config = None) -> None:
    """Recorded, delivered and the provider's total per customer and meter. Exit code 1 on a difference."""
    with configured(config) as tally:
        found = tally.tie_out()
    if json:
        as_json([{**msgspec.to_builtins(b, enc_hook=str), "difference": str(b.difference)} for b in found])
    else:
        rows = [
            (
                b.customer,
                b.meter,
                b.entries,
                b.recorded,
                b.excluded,
                b.delivered,
                b.provider,
                b.difference,
                b.opening,
            )
            for b in found
        ]
        table(
            "tie-out",
            (
                "customer",
                "meter",
                "entries",
                "recorded",
                "excluded",
                "delivered",
                "provider",
                "difference",
                "opening",
            ),
            rows,
        )
    raise typer.Exit(1 if any(b.difference for b in found) else 0)
