"""A ledger that was restored from a backup, and a copy that runs beside the original: nothing is billed twice."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tallystick import Catalogue, Meter, Tally
from tallystick.meters.config import DeliverySettings
from tallystick.providers.anchors import Anchor
from tallystick.providers.stripe import StripeProvider
from tallystick.restore.anchors import Head, Own, Standing, compare
from tallystick.restore.file import AnchorFile
from tallystick.restore.recovery import Recovery
from tallystick.sandbox import Sandbox
from tallystick.sandbox.serving import Settings
from tallystick.storage import open_store
from tallystick.values.instant import FrozenClock

START = 1_767_225_600 + 12 * 3600
METERS = Catalogue([Meter("tokens", hold=False), Meter("gb", decimals=3, hold=False)])


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


@pytest.fixture(params=[["file"], ["stripe"], ["file", "stripe"]], ids="+".join)
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    with Sandbox.start(Settings(frozen_at=START)) as sandbox:
        yield Scene(sandbox, tmp_path, request.param)


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


def test_a_restored_ledger_records_and_sends_nothing_until_it_is_recovered(scene: Scene) -> None:
    with scene.open() as tally:
        scene.work(tally, 1, 2, 4)
        scene.back_up()
        scene.work(tally, 8, 16)
        scene.work(tally, 500, customer="bob", meter="gb")
        scene.go_on(tally, minutes=10)
    billed = scene.counted()
    with scene.open("backup.db") as tally:
        scene.work(tally, 32)
        scene.go_on(tally, minutes=30)
        assert scene.counted() == billed
        assert [f.code for f in tally.findings] == ["ledger_went_backwards"] * len(scene.places)
        assert tally.status().undelivered == 1
        assert recover(tally) == [("recovered", 8), ("recovered", 16), ("recovered", 500_000)]
        scene.go_on(tally, minutes=1)
        assert scene.counted() == billed + 32
        assert balanced(tally)
        assert sum(u.quantity for u in tally.usage("ada", "tokens")) == 63
    with scene.open("backup.db") as tally:
        scene.work(tally, 64)
        assert scene.counted() == billed + 96


def test_what_was_waiting_in_the_backup_and_was_sent_since_is_not_sent_again(scene: Scene) -> None:
    with scene.open() as tally:
        scene.work(tally, 1)
        scene.sandbox.outage()
        scene.work(tally, 2, 4)
        scene.back_up()
        scene.sandbox.recover()
        for _ in range(10):
            scene.go_on(tally, minutes=6)
        assert scene.counted() == 7
    with scene.open("backup.db") as tally:
        scene.go_on(tally, minutes=30)
        assert scene.counted() == 7
        assert sorted(recover(tally)) == [("sent", 2), ("sent", 4)]
        for _ in range(10):
            scene.go_on(tally, minutes=6)
        assert scene.counted() == 7
        assert balanced(tally)


def test_usage_of_after_the_restore_is_not_taken_for_what_was_lost(scene: Scene) -> None:
    """The same quantity in the same minute, recorded before anything was compared."""
    with scene.open() as tally:
        scene.work(tally, 1)
        scene.go_on(tally, minutes=10)
        scene.back_up()
        tally.record("tokens", 5, customer="ada")
        scene.go_on(tally, seconds=2)
        if "file" not in scene.places:
            scene.go_on(tally, minutes=10)
    with scene.open("backup.db") as tally:
        scene.clock.advance(timedelta(seconds=1))
        tally.record("tokens", 5, customer="ada")
        scene.go_on(tally, minutes=30)
        assert scene.counted() == 6
        assert recover(tally) == [("recovered", 5)]
        scene.go_on(tally, minutes=1)
        assert scene.counted() == 11
        assert balanced(tally)


def test_a_copy_beside_the_original_sends_nothing(scene: Scene) -> None:
    """A clone with the live key: whoever goes on from the newer anchor sends, the other one records."""
    with scene.open() as original:
        scene.work(original, 1, 2)
        scene.back_up("clone.db")
        scene.work(original, 4)
        scene.go_on(original, minutes=10)
        with scene.open("clone.db") as clone:
            scene.work(clone, 100, 100, 100, 100)
            scene.go_on(clone, minutes=11)
            assert scene.counted() == 7
            assert {f.code for f in clone.findings} <= {"ledger_went_backwards", "another_copy_sends"}
            scene.work(original, 8)
            assert scene.counted() == 15
            recover(clone)
            scene.go_on(clone, minutes=1)
            assert scene.counted() == 415
            scene.work(original, 1000, 1000)
            scene.go_on(original, minutes=11)
            scene.work(original, 1000)
            assert {f.code for f in original.findings} & {"another_copy_sends", "ledger_went_backwards"}
            assert scene.counted() in (415, 1415, 2415), "what it sent before it looked, and nothing after"
            before = scene.counted()
            scene.work(original, 1000)
            scene.go_on(original, hours=1)
            assert scene.counted() == before


def test_a_process_that_is_killed_between_anchor_and_database_knows_its_own(scene: Scene) -> None:
    with scene.open() as tally:
        scene.work(tally, 1)
        assert tally.anchoring is not None
        keep = tally.anchoring._keep

        def killed(own: Own) -> None:
            if own.token == own.next_token:
                raise KeyboardInterrupt
            keep(own)

        tally.anchoring._keep = killed  # type: ignore[method-assign]
        tally.record("tokens", 2, customer="ada")
        with pytest.raises(KeyboardInterrupt):
            scene.go_on(tally, minutes=10)
    with scene.open() as tally:
        scene.work(tally, 4)
        assert not tally.findings
        assert scene.counted() == 7


def test_a_postgres_database_that_was_put_back(
    tmp_path: Path, postgres_server: str, postgres_url: str
) -> None:
    name = urlsplit(postgres_url).path.removeprefix("/")
    copy = f"{name}_copy"
    with Sandbox.start(Settings(frozen_at=START)) as sandbox:
        scene = Scene(sandbox, tmp_path, ["file", "stripe"])
        with scene.at(postgres_url) as tally:
            scene.work(tally, 1)
            scene.sandbox.outage()
            scene.work(tally, 2)
        with psycopg.connect(postgres_server, autocommit=True) as connection:
            connection.execute(f"create database {copy} template {name}")
        try:
            scene.sandbox.recover()
            with scene.at(postgres_url) as tally:
                scene.go_on(tally, minutes=6)
                scene.work(tally, 4)
                scene.go_on(tally, minutes=10)
                assert scene.counted() == 7
            with scene.at(postgres_url.replace(name, copy)) as tally:
                scene.work(tally, 8)
                scene.go_on(tally, minutes=30)
                assert scene.counted() == 7
                assert sorted(recover(tally)) == [("recovered", 4), ("sent", 2)]
                scene.go_on(tally, minutes=1)
                assert scene.counted() == 15
                assert balanced(tally)
        finally:
            with psycopg.connect(postgres_server, autocommit=True) as connection:
                connection.execute(f"drop database {copy} with (force)")


@pytest.mark.parametrize("at", range(4))
def test_a_recovery_that_is_killed_is_run_again(scene: Scene, at: int) -> None:
    with scene.open() as tally:
        scene.work(tally, 1)
        scene.sandbox.outage()
        scene.work(tally, 2)
        scene.back_up()
        scene.sandbox.recover()
        scene.go_on(tally, minutes=6)
        scene.work(tally, 4, 8)
        scene.go_on(tally, hours=2)
        scene.work(tally, 16)
        scene.go_on(tally, minutes=10)
    with scene.open("backup.db") as tally:
        scene.go_on(tally, minutes=30)
        run, count = tally.ledger.commit.run, 0

        def killed(*given: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count > at:
                raise KeyboardInterrupt
            return run(*given, **named)

        tally.ledger.commit.run = killed  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            recover(tally)
    with scene.open("backup.db") as tally:
        scene.go_on(tally, minutes=30)
        recover(tally)
        scene.work(tally, 32)
        assert scene.counted() == 63
        assert balanced(tally)
        assert sum(u.quantity for u in tally.usage("ada", "tokens")) == 63


@pytest.mark.parametrize("seed", range(8))
def test_backups_at_any_moment(tmp_path: Path, seed: int) -> None:
    """Chance decides what is used, when Stripe is away, when the copy is made and how long the original lives on."""
    chance = random.Random(seed)
    print(f"seed {seed}")
    with Sandbox.start(Settings(frozen_at=START)) as sandbox:
        scene = Scene(sandbox, tmp_path, ["file"])
        with scene.open() as tally:
            moments = ["backup", *["use"] * 14, "outage", "recover", "wait"]
            chance.shuffle(moments)
            for moment in moments:
                if moment == "use":
                    customer = chance.choice(["ada", "bob"])
                    scene.work(tally, chance.randint(1, 10**6), customer=customer)
                elif moment == "wait":
                    scene.go_on(tally, hours=chance.randint(1, 5))
                elif moment == "backup":
                    scene.back_up()
                else:
                    getattr(sandbox, moment)()
            sandbox.recover()
            for _ in range(12):
                scene.go_on(tally, minutes=6)
            used = {c: sum(u.quantity for u in tally.usage(c, "tokens")) for c in ("ada", "bob")}
        billed = scene.counted()
        assert billed == sum(used.values())
        with scene.open("backup.db") as tally:
            scene.go_on(tally, minutes=30)
            assert tally.anchoring is not None
            if not tally.anchoring.may_send():
                recover(tally, "sent")
            for _ in range(12):
                scene.go_on(tally, minutes=6)
            assert scene.counted() == billed
            assert balanced(tally)
            assert {c: sum(u.quantity for u in tally.usage(c, "tokens")) for c in used} == used


def test_an_anchor_that_cannot_be_read_lets_nothing_go(tmp_path: Path) -> None:
    with Sandbox.start(Settings(frozen_at=START)) as sandbox:
        scene = Scene(sandbox, tmp_path, ["file"])
        with scene.open() as tally:
            scene.work(tally, 1)
        good = (tmp_path / "anchor.json").read_bytes()
        (tmp_path / "anchor.json").write_text("{half")
        with scene.open() as tally:
            scene.work(tally, 2)
            assert scene.counted() == 1
            assert {f.code for f in tally.findings} == {"anchor_unreadable"}
            (tmp_path / "anchor.json").write_bytes(good)
            scene.go_on(tally, seconds=20)
            assert scene.counted() == 3
        shutil.move(tmp_path / "anchor.json", tmp_path / "elsewhere")
        with scene.open() as tally:
            scene.work(tally, 4)
            assert scene.counted() == 7, "a file that is gone proves nothing"
            assert {f.code for f in tally.findings} == {"anchor_missing"}
        os.remove(tmp_path / "ledger.db")
        with scene.open() as tally:
            scene.work(tally, 8)
            assert scene.counted() == 7
            assert "is of ledger" in tally.findings[0].message


Make = Callable[..., Anchor]


def theirs(generation: int, token: str, positions: int) -> Anchor:
    return Anchor("ledger", generation, token, positions, "digest", 0)


@pytest.mark.parametrize(
    ("there", "own", "said"),
    [
        (None, None, Standing.FIRST),
        (None, Own("file", 3, "a"), Standing.GONE),
        (theirs(3, "a", 10), Own("file", 3, "a"), Standing.OURS),
        (theirs(4, "b", 10), Own("file", 3, "a", "b"), Standing.OURS),
        (theirs(3, "a", 11), Own("file", 3, "a"), Standing.BACKWARDS),
        (theirs(4, "c", 11), Own("file", 3, "a"), Standing.BACKWARDS),
        (theirs(4, "c", 9), Own("file", 3, "a"), Standing.ANOTHER),
        (theirs(2, "z", 9), Own("file", 3, "a"), Standing.BEHIND),
        (theirs(4, "c", 11), None, Standing.BACKWARDS),
        (theirs(4, "c", 10), None, Standing.ANOTHER),
    ],
)
def test_what_a_comparison_says(there: Anchor | None, own: Own | None, said: Standing) -> None:
    assert compare(there, own, Head(10, "digest")) is said
