"""What a process that gets killed is: the application, the relay, a worker that records jobs."""

from __future__ import annotations

import os
import signal
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


def abandon(order: dict[str, Any]) -> None:
    """A worker that is killed in the middle of all its actions."""
    from torture.clocks import tally

    made = tally(order["environ"])
    actions = [made.action("expiring", customer=customer, key=job) for customer, job in order["jobs"]]
    for action in actions:
        action.__enter__()
    os.kill(os.getpid(), signal.SIGKILL)


def spooling(order: dict[str, Any]) -> None:
    """A worker whose ledger is locked by somebody else: what it records goes into the spool."""
    import sqlite3

    from tallystick.storage.sqlite import SqliteStore
    from torture.calls import quantity_of
    from torture.clocks import tally

    path = order["environ"]["TALLYSTICK_STORE"].removeprefix("sqlite:///")
    made = tally(order["environ"], store=SqliteStore(path, wait_seconds=0.02))
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("begin immediate")
    for customer, job in order["jobs"]:
        made.record("spooled", quantity_of(job), customer=customer, key=job)
        print(f"kept {job}", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
