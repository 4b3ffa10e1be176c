"""`tallystick doctor`, `tallystick stripe plan|apply`: is Stripe set up for the declared meters?"""

from __future__ import annotations

from typing import Annotated

import typer

from tallystick.app import Tally
from tallystick.cli.output import Config, Json, as_json, configured, table
from tallystick.errors import ConfigError
from tallystick.meters import Formula
from tallystick.providers import Check, Wanted
from tallystick.providers.stripe import StripeProvider, setup

Prices = Annotated[
    list[str] | None, typer.Option("--price", help="meter=cents per unit, for instance ai_tokens=0.0015.")
]


def doctor(json: Json = False, config: Config = None) -> None:
    """Check store, key mode, meters, prices, customers; print the fix for each miss. Exit code 1 on a miss."""
    with configured(config) as tally:
        checks = [Check("store", True, f"{tally.ledger.store.dialect}, durable, schema up to date")]
        if tally.provider is None:
            checks.append(Check("key", False, "no provider", "export STRIPE_API_KEY=sk_test_…"))
        else:
            provider = _stripe(tally)
            checks.append(Check("key", True, f"a {provider.mode} key for mode {tally.ledger.where.mode}"))
            checks += setup.doctor(provider.client, _wanted(tally, {}), tally.links.all())
    if json:
        as_json(checks)
    else:
        rows = [(c.subject, "ok" if c.ok else "MISS", c.message, c.fix) for c in checks]
        table("doctor", ("what", "", "found", "fix"), rows)
    raise typer.Exit(0 if all(c.ok for c in checks) else 1)


def stripe(
    step: Annotated[str, typer.Argument(help="plan or apply")],
    price: Prices = None,
    live: Annotated[bool, typer.Option("--live", help="Allow apply with a live key.")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Show (plan) or create (apply) the meters and prices that Stripe lacks."""
    if step not in ("plan", "apply"):
        raise ConfigError(f"stripe {step!r} is not known; use: tallystick stripe plan, or apply")
    with configured(config) as tally:
        provider = _stripe(tally)
        changes = setup.plan(provider.client, _wanted(tally, _prices(price or [])))
        if step == "apply":
            if provider.mode == "live" and not live:
                raise ConfigError("this is a live key; look at `tallystick stripe plan`, then add --live")
            made = setup.apply(provider.client, changes)
        else:
            made = ["" for _ in changes]
    rows = [(change.kind, change.about, identity) for change, identity in zip(changes, made, strict=True)]
    if json:
        as_json([dict(zip(("kind", "about", "id"), row, strict=True)) for row in rows])
    elif rows:
        table("created" if step == "apply" else "missing at Stripe", ("kind", "what", "id"), rows)
    else:
        typer.echo("nothing is missing at Stripe")


def _stripe(tally: Tally) -> StripeProvider:
    if not isinstance(tally.provider, StripeProvider):
        raise ConfigError("no Stripe key; set STRIPE_API_KEY (and STRIPE_API_BASE for the sandbox)")
    return tally.provider


def _wanted(tally: Tally, prices: dict[str, str]) -> list[Wanted]:
    unknown = prices.keys() - {meter.name for meter in tally.meters}
    if unknown:
        raise ConfigError(f"--price {sorted(unknown)[0]}=…: no such meter in the configuration")
    return [
        Wanted(
            meter.name,
            meter.provider_name,
            "sum" if meter.formula in (Formula.SUM, Formula.COUNT) else "last",
            prices.get(meter.name, ""),
        )
        for meter in tally.meters
    ]


def _prices(given: list[str]) -> dict[str, str]:
    found = {}
    for text in given:
        name, sign, amount = text.partition("=")
        if not sign or not amount.replace(".", "", 1).isdigit():
            raise ConfigError(f"--price {text!r} is not meter=cents, such as ai_tokens=0.0015")
        found[name] = amount
    return found
