"""What a process that gets killed is: the application, the relay, a worker that records jobs."""

from __future__ import annotations

import socket
import sys
from typing import Any


def app(order: dict[str, Any], listener: int) -> None:
    """The application under uvicorn, on a socket that listens already."""
    import uvicorn

    from torture.application import create

    config = uvicorn.Config(
        create(), log_level="error", access_log=False, timeout_graceful_shutdown=order.get("graceful", 5)
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=listener)])


def relay(order: dict[str, Any]) -> None:
    """The command `tallystick relay`."""
    from tallystick.cli import main

    sys.argv = ["tallystick", "relay", *order["arguments"]]
    main()


def later(order: dict[str, Any]) -> None:
    """`tallystick relay --once`, so many seconds from now."""
    from torture.clocks import LaterClock, tally

    with tally(order["environ"], clock=LaterClock(order["seconds"])) as made:
        assert made.relay is not None
        made.relay.drain()
