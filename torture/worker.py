"""A worker: runs its share of the kills and prints a line of JSON for each."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from torture.forge import Forge

BATCH = 25


def main() -> None:
    """The order comes as JSON: seed, count, dialects, numbers, until, postgres (a server's URL or "")."""
    order = json.loads(sys.argv[1])
    forge = Forge()  # before anything imports tallystick
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        _work(forge, order)
    finally:
        forge.close()


def _work(forge: Forge, order: dict[str, Any]) -> None:
    from torture import killing, plan

    planned = plan.kills(order["seed"], order["count"], tuple(order["dialects"]))
    mine = [planned[number] for number in order["numbers"]]
    for start in range(0, len(mine), BATCH):
        kills = mine[start : start + BATCH]
        name = f"torture_{uuid.uuid4().hex}"
        url = killing.database(order["postgres"], name) if order["postgres"] else ""
        with tempfile.TemporaryDirectory(prefix="tallystick-torture-", dir=Path.cwd()) as folder:
            batch = killing.Batch(forge, Path(folder), kills, url)
            try:
                for kill in kills:
                    if time.monotonic() > order["until"]:
                        return
                    print(json.dumps(vars(batch.run(kill))), flush=True)
            finally:
                batch.close()
                if order["postgres"]:
                    killing.drop(order["postgres"], name)


if __name__ == "__main__":
    main()
