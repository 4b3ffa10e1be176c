"""`tallystick sandbox`: a local Stripe."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from tallystick.sandbox.faults import Faults
from tallystick.sandbox.serving import Settings, serve


def sandbox(
    port: Annotated[int, typer.Option(help="Port of the API (0: a free one).")] = 12111,
    control_port: Annotated[int, typer.Option(help="Port of the control plane (0: a free one).")] = 12112,
    freeze: Annotated[int | None, typer.Option(help="Stand still at this second since 1970.")] = None,
    lose_reply: Annotated[int, typer.Option(help="Percent of requests done but not answered.")] = 0,
    fail: Annotated[int, typer.Option(help="Percent of requests answered 500.")] = 0,
    rate_limit: Annotated[int, typer.Option(help="Percent of requests answered 429.")] = 0,
    latency_ms: Annotated[int, typer.Option(help="Delay of every answer.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the faults.")] = 0,
) -> None:
    """Run a stateful local Stripe: meters, prices, subscriptions, invoices, a clock, faults on command.

    Prints both URLs as JSON. Point a client at the API with any sk_test_… key; docs/sandbox.md has the
    control plane.
    """
    faults = Faults(lose_reply=lose_reply, fail=fail, rate_limit=rate_limit, latency_ms=latency_ms, seed=seed)
    asyncio.run(serve(Settings(port=port, control_port=control_port, frozen_at=freeze, faults=faults)))
