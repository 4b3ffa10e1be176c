"""Run the sandbox in this process."""

from __future__ import annotations

import asyncio
import json
import signal
from decimal import getcontext

import msgspec

from tallystick.sandbox.api import Api
from tallystick.sandbox.clock import Clock
from tallystick.sandbox.faults import Faults
from tallystick.sandbox.server import Server
from tallystick.sandbox.switches import Switches


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    """How to start: ports (0 picks a free one), a frozen clock (seconds since 1970), faults, switches."""

    port: int = 0
    control_port: int = 0
    frozen_at: int | None = None
    faults: Faults = Faults()
    switches: Switches = msgspec.field(default_factory=Switches)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; the first line printed is JSON with all URLs."""
    getcontext().prec = (
        60  # sums and products of values with 30 digits before and 12 after the point are exact
    )
    server = Server(Api(Clock(settings.frozen_at), settings.switches), faults=settings.faults)
    api, control = await server.start(settings.port, settings.control_port)
    beside = {name: f"{api}/{name}" for name in server.neighbours}
    print(json.dumps({"api": api, "control": control, **beside}), flush=True)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    await server.close()
