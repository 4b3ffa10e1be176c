"""The job that every kind of worker runs, and how it is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tallystick import Catalogue, Meter, Tally
from tallystick.storage import open_store

FOLDER = Path(os.environ.get("JOBS_FOLDER", "."))
QUEUE = os.environ.get("JOBS_QUEUE", "")
METERS = Catalogue([Meter("gpu_seconds"), Meter("documents")])

# As an application has it: made when the module is imported, used after the worker forked.
tally = Tally(open_store(f"sqlite:///{FOLDER / 'ledger.db'}"), METERS)


@tally.metered("gpu_seconds", customer=lambda: "org", quantity=lambda seconds: seconds)
def draw() -> int:
    """A metered function of the application's own; inside of a job it does not count again."""
    return 2


def render(number: int) -> None:
    """One job: the key names the operation, not the attempt."""
    with tally.action("gpu_seconds", customer="org", key=f"render:{number}") as action:
        for scene in range(3):
            draw()
            tally.record("documents", 1, customer="org", key=f"render:{number}:{scene}")
            if scene == 1:
                die_once("working")
        action.add(5)
    die_once("recorded")
    (FOLDER / "done").touch()


def die_once(when: str) -> None:
    """Be killed here, the first time; the next attempt comes past."""
    try:
        (FOLDER / when).touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
