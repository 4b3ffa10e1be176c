"""`tallystick sandbox`: a local Stripe."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
import typer

from tallystick.errors import ConfigError
from tallystick.sandbox import hell as preset
from tallystick.sandbox.faults import Faults, Rule
from tallystick.sandbox.serving import Settings, serve
from tallystick.sandbox.switches import Switches


def sandbox(
    port: Annotated[int, typer.Option(help="Port of the API (0: a free one).")] = 12111,
    control_port: Annotated[int, typer.Option(help="Port of the control plane (0: a free one).")] = 12112,
    freeze: Annotated[int | None, typer.Option(help="Stand still at this second since 1970.")] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help='What goes wrong, such as "lose_reply percent=20 route=/v1/billing/*"; repeatable.'
        ),
    ] = None,
    switch: Annotated[
        list[str] | None, typer.Option(help="An open question, such as last_by=receipt; repeatable.")
    ] = None,
    hell: Annotated[bool, typer.Option(help="Every fault at once, every switch on its harder side.")] = False,
    without: Annotated[list[str] | None, typer.Option(help="A fault to leave out of --hell.")] = None,
    latency_ms: Annotated[int, typer.Option(help="Delay of every answer.", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the faults.")] = 0,
) -> None:
    """Run a stateful local Stripe: meters, prices, subscriptions, invoices, a clock, faults on command.

    Prints both URLs as JSON. Point a client at the API with any sk_test_… key; docs/sandbox.md has the
    faults, the switches and the control plane.
    """
    if without and not hell:
        raise ConfigError("--without leaves faults out of --hell, which was not given")
    try:
        faults = preset.faults(seed, without or ()) if hell else Faults(seed=seed)
        switches = Switches.parse(switch or ())
        rules = tuple(Rule.parse(text) for text in fault or ())
    except ValueError as error:
        raise ConfigError(str(error)) from None
    faults = msgspec.structs.replace(faults, latency_ms=latency_ms, rules=rules)
    switches = preset.switches(switches) if hell else switches
    settings = Settings(
        port=port, control_port=control_port, frozen_at=freeze, faults=faults, switches=switches
    )
    try:
        asyncio.run(serve(settings))
    except OSError as error:
        words = f"{error.strerror}; choose others with --port and --control-port"
        raise ConfigError(f"the sandbox cannot listen: {words}") from None
