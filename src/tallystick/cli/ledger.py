"""`tallystick init`, `migrate`, `usage`, `link`: the ledger and what it shows."""

from __future__ import annotations

import csv
import os
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from tallystick.app import store_url
from tallystick.cli.output import Config, Json, as_json, configured, table
from tallystick.errors import ConfigError
from tallystick.meters.config import FILE, load
from tallystick.storage import open_store
from tallystick.storage.migrations import script
from tallystick.values.instant import to_datetime

_EXAMPLE = """\
# tallystick: what is counted, and how it reaches Stripe. Secrets and URLs come from the environment:
#   TALLYSTICK_STORE   the ledger, best your application's own database
#   STRIPE_API_KEY     a secret key of the mode below; without it usage is recorded and stays undelivered

mode = "test"              # "live" with a live key; the two never mix

[meters.ai_tokens]
unit = "token"
formula = "sum"            # sum, count, last, max, unique
decimals = 0               # digits after the point, fixed for ever
# attributes = ["model"]   # what usage can be grouped by
# limit = 1000000          # the largest single quantity that can be right
# hold = false             # leave out the entry written before the action runs
# event_name = "ai_tokens" # the meter's name at Stripe

[meters.api_calls]
unit = "call"
formula = "count"

[delivery]
inline = true              # send within the request ...
budget_ms = 300            # ... which waits at most this long for Stripe
relay = "in-process"       # or "process": run `tallystick relay` yourself

# [provider]
# kind = "openmeter"       # or "lago", with OPENMETER_API_KEY or LAGO_API_KEY: docs/providers.md
"""

_LINES = """\
Add to your application:

    from tallystick import Tally
    from tallystick.integrations.fastapi import install

    tally = Tally.from_config()
    install(app, tally, exempt={"/health": "probe"})

    @app.post("/chat")
    @tally.metered("ai_tokens", customer=Depends(billed_customer), quantity=lambda answer: answer.tokens)
    async def chat(...): ...

Then: export TALLYSTICK_STORE=sqlite:///usage.db, and run: tallystick doctor
"""


def init(
    path: Annotated[Path, typer.Argument(help="Where to write the configuration.")] = Path(FILE),
    json: Json = False,
) -> None:
    """Write a commented tallystick.toml and print the lines to add to an application."""
    if path.exists():
        raise ConfigError(f"{path} exists; edit it, or give another path")
    path.write_text(_EXAMPLE)
    if json:
        as_json({"written": str(path)})
    else:
        typer.echo(f"wrote {path}\n\n{_LINES}", nl=False)


def migrate(
    sql: Annotated[str, typer.Option(help="Print the schema for 'sqlite' or 'postgres' instead.")] = "",
    json: Json = False,
    config: Config = None,
) -> None:
    """Bring the ledger's tables up to this version (SQLite does it by itself when it is opened)."""
    if sql:
        if sql not in ("sqlite", "postgres"):
            raise ConfigError(f"--sql {sql!r} is not known; use sqlite or postgres")
        typer.echo(script(sql), nl=False)
        return
    settings = load(config or Path(os.environ.get("TALLYSTICK_CONFIG", FILE)))
    store = open_store(store_url(settings, os.environ), auto_migrate=True)
    store.close()
    if json:
        as_json({"store": store.dialect, "up_to_date": True})
    else:
        typer.echo("the ledger's tables are up to date")


def usage(
    customer: str,
    meter: str,
    since: Annotated[datetime | None, typer.Option(help="From this instant (UTC) on.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Up to this instant (UTC).")] = None,
    by: Annotated[str | None, typer.Option(help="hour or day")] = None,
    group_by: Annotated[str | None, typer.Option(help="An attribute the meter declares.")] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """A customer's usage, exact, what was recorded a moment ago included."""
    from datetime import UTC

    with configured(config) as tally:
        rows = tally.usage(
            customer,
            meter,
            since=since and since.replace(tzinfo=UTC),
            until=until and until.replace(tzinfo=UTC),
            by=by,
            group_by=group_by,
        )
    if json:
        as_json(rows)
        return
    shown = [(_moment(r.start) if by else "all", r.group or "", r.quantity, r.entries) for r in rows]
    table(f"{meter} of {customer}", ("from", "group", "quantity", "entries"), shown)


def _moment(instant: int) -> str:
    return to_datetime(instant).strftime("%Y-%m-%d %H:%M")


def link(
    customer: Annotated[
        str, typer.Argument(help="The application's id, with the provider's id after it.")
    ] = "",
    provider_customer: str = typer.Argument(""),
    file: Annotated[Path | None, typer.Option("--csv", help="A CSV of both ids, without a header.")] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Link customers to the provider's, one or in bulk; without arguments list the links."""
    links = dict(_read_links(file)) if file is not None else {}
    if customer:
        if not provider_customer:
            raise ConfigError(f"no provider customer for {customer!r}; use: tallystick link {customer} cus_…")
        links[customer] = provider_customer
    with configured(config) as tally:
        if links:
            tally.links.link(links)
        known = tally.links.all()
    if json:
        as_json(known)
    else:
        table(f"{len(known)} linked customers", ("customer", "provider"), sorted(known.items())[:50])


def _read_links(path: Path) -> list[tuple[str, str]]:
    found = []
    with path.open(newline="") as rows:
        for number, row in enumerate(csv.reader(rows), 1):
            if len(row) != 2 or not all(row):
                raise ConfigError(
                    f"{path}:{number}: {row!r} is not 'customer,provider customer'; nothing was linked"
                )
            found.append((row[0], row[1]))
    return found


def verify(json: Json = False, config: Config = None) -> None:
    """Walk the hash chains and add up the totals again; exit code 1 when something does not hold."""
    with configured(config) as tally:
        tally.ledger.sequencer.run()
        problems = tally.ledger.broken_links()
        kept, raw = tally.ledger.totals(), tally.ledger.recomputed_totals()
    problems += [
        f"total of {who} is kept as {kept.get(who)}, adds up to {raw.get(who)}"
        for who in raw
        if kept.get(who) != raw[who]
    ]
    if json:
        as_json({"problems": problems, "customers_and_meters": len(raw)})
    else:
        typer.echo("\n".join(problems) or f"the chains hold and {len(raw)} totals add up")
    raise typer.Exit(1 if problems else 0)
