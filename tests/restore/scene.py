"""An application on SQLite or PostgreSQL, its backups, a sandbox for Stripe, and one clock."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tallystick import Catalogue, Meter, Tally
from tallystick.meters.config import DeliverySettings
from tallystick.providers.stripe import StripeProvider
from tallystick.restore.file import AnchorFile
from tallystick.restore.recovery import Recovery
from tallystick.sandbox import Sandbox
from tallystick.storage import open_store
from tallystick.values.instant import FrozenClock

START = 1_767_225_600 + 12 * 3600
METERS = Catalogue(
    [
        Meter("tokens", hold=False),
        Meter("gb", decimals=3, hold=False),
        Meter("shared", hold=False, foreign_writers=True),
    ]
)


class Scene:
    """An application on SQLite, its backups, Stripe, and one clock."""

    def __init__(self, sandbox: Sandbox, folder: Path, places: list[str]) -> None:
        self.sandbox, self.folder, self.places = sandbox, folder, places
        self.clock = FrozenClock(datetime.fromtimestamp(START, UTC))
        prices = {m.name: {"formula": "sum", "unit_amount_decimal": "1"} for m in METERS}
        self.links = sandbox.provision(meters=prices, customers=["ada", "bob"])["customers"]

    def open(self, name: str = "ledger.db") -> Tally:
        return self.at(f"sqlite:///{self.folder / name}")

    def at(self, url: str) -> Tally:
        """The application on a ledger."""
        provider = StripeProvider("sk_test_restore", base=self.sandbox.url, timeout_seconds=2)
        places: list[Any] = [AnchorFile(self.folder / "anchor.json")] if "file" in self.places else []
        if "stripe" in self.places:
            places.append(provider.anchors)
        tally = Tally(
            open_store(url, auto_migrate=True),
            METERS,
            provider=provider,
            delivery=DeliverySettings(inline=False, relay="process"),
            anchors=places,
            clock=self.clock,
        )
        tally.links.link(self.links)
        return tally

    def back_up(self, name: str = "backup.db") -> None:
        """A copy that SQLite itself makes, while the application runs."""
        command = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).backup(sqlite3.connect(sys.argv[2]))"
        paths = [str(self.folder / "ledger.db"), str(self.folder / name)]
        subprocess.run([sys.executable, "-c", command, *paths], check=True)

    def work(self, tally: Tally, *used: int, customer: str = "ada", meter: str = "tokens") -> None:
        for quantity in used:
            tally.record(meter, quantity, customer=customer)
            self.go_on(tally, seconds=70)

    def go_on(self, tally: Tally, **passed: float) -> None:
        step = timedelta(**passed)
        self.clock.advance(step)
        self.sandbox.advance(int(step.total_seconds()))
        tally.relay.step()

    def counted(self) -> Decimal:
        return sum((Decimal(row["total"]) for row in self.sandbox.totals()), Decimal(0))


def recover(tally: Tally, pending: Any = "") -> list[tuple[str, int]]:
    """What `tallystick recover --apply` does."""
    assert tally.anchoring is not None
    assert tally.provider is not None
    anchored = max(own.since for own in tally.anchoring.standing().values() if own.state != "in_force")
    recovery = Recovery(tally.ledger, tally.meters, tally.provider, tally.links.all(), anchored)
    found = recovery.plan(pending)
    recovery.apply(found)
    tally.anchoring.take_over()
    return [(one.verdict, one.steps) for one in found]


def balanced(tally: Tally) -> bool:
    return all(balance.difference == 0 for balance in tally.tie_out())
