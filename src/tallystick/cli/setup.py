"""`tallystick doctor`, `stripe|openmeter|lago plan|apply`: is the provider set up for the declared meters?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tallystick.app import Tally
from tallystick.cli.output import NO_PROVIDER, Config, Json, as_json, configured, table
from tallystick.errors import ConfigError
from tallystick.providers import Check, Provider, Wanted
from tallystick.reconciliation.clocks import Clocks

Prices = Annotated[
    list[str] | None, typer.Option("--price", help="meter=cents per unit, for instance ai_tokens=0.0015.")
]


Step = Annotated[str, typer.Argument(help="plan or apply")]


def doctor(json: Json = False, config: Config = None) -> None:
    """Check store, key mode, meters, prices, customers; print the fix for each miss. Exit code 1 on a miss."""
    with configured(config) as tally:
        checks = [Check("store", True, f"{tally.ledger.store.dialect}, durable, schema up to date")]
        if tally.provider is None:
            fix = "export STRIPE_API_KEY=sk_test_…, or what [provider] kind says"
            checks.append(Check("key", False, "no provider", fix))
        else:
            checks.append(_key(tally.provider, tally.ledger.where.mode))
            checks += tally.provider.doctor(_wanted(tally, {}), tally.links.all())
            checks.append(Clocks(tally.ledger, tally.provider, tally.find).check())
            checks += _pushed(tally.provider, told=bool(tally.webhook_secrets))
    if json:
        as_json(checks)
    else:
        rows = [(c.subject, "ok" if c.ok else "MISS", c.message, c.fix) for c in checks]
        table("doctor", ("what", "", "found", "fix"), rows)
    raise typer.Exit(0 if all(c.ok for c in checks) else 1)


def stripe(
    step: Step,
    price: Prices = None,
    live: Annotated[bool, typer.Option("--live", help="Allow apply with a live key.")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Show (plan) or create (apply) the meters and prices that Stripe lacks."""
    _set_up("stripe", step, _prices(price or []), live=live, json=json, config=config)


def openmeter(
    step: Step,
    live: Annotated[bool, typer.Option("--live", help="Allow apply in live mode.")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Show (plan) or create (apply) the meters that OpenMeter lacks."""
    _set_up("openmeter", step, {}, live=live, json=json, config=config)


def lago(
    step: Step,
    live: Annotated[bool, typer.Option("--live", help="Allow apply in live mode.")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Show (plan) or create (apply) the billable metrics that Lago lacks."""
    _set_up("lago", step, {}, live=live, json=json, config=config)


def _set_up(
    kind: str, step: str, prices: dict[str, str], *, live: bool, json: bool, config: Path | None
) -> None:
    if step not in ("plan", "apply"):
        raise ConfigError(f"{kind} {step!r} is not known; use: tallystick {kind} plan, or apply")
    with configured(config) as tally:
        provider = _named(tally, kind)
        changes = provider.plan(_wanted(tally, prices))
        if step == "apply":
            if tally.ledger.where.mode == "live" and not live:
                raise ConfigError(f"this is live; look at `tallystick {kind} plan`, then add --live")
            made = provider.apply(changes)
        else:
            made = ["" for _ in changes]
    rows = [(change.kind, change.about, identity) for change, identity in zip(changes, made, strict=True)]
    where = kind.capitalize()
    if json:
        as_json([dict(zip(("kind", "about", "id"), row, strict=True)) for row in rows])
    elif rows:
        table("created" if step == "apply" else f"missing at {where}", ("kind", "what", "id"), rows)
    else:
        typer.echo(f"nothing is missing at {where}")


def _key(provider: Provider, mode: str) -> Check:
    if provider.mode:
        return Check("key", True, f"a {provider.mode} key for mode {mode}")
    return Check("key", True, f"mode {mode}; {provider.profile.name}'s keys do not tell live from test")


def _pushed(provider: Provider, *, told: bool) -> list[Check]:
    """Whether a webhook brings what the provider says later, where one is configured; without it we ask."""
    if provider.reports is None:
        return []
    if told:
        return [provider.reports.doctor()]
    return [
        Check("webhook", True, "no STRIPE_WEBHOOK_SECRET: only the relay asks for errors, every five minutes")
    ]


def _named(tally: Tally, kind: str) -> Provider:
    if tally.provider is None:
        raise ConfigError(NO_PROVIDER)
    if tally.provider.profile.name != kind:
        raise ConfigError(
            f"the configuration's provider is {tally.provider.profile.name}; set [provider] kind = {kind!r}"
        )
    return tally.provider


def _wanted(tally: Tally, prices: dict[str, str]) -> list[Wanted]:
    unknown = prices.keys() - {meter.name for meter in tally.meters}
    if unknown:
        raise ConfigError(f"--price {sorted(unknown)[0]}=…: no such meter in the configuration")
    return [
        Wanted(
            meter.name,
            meter.provider_name,
            meter.provider_formula,
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
