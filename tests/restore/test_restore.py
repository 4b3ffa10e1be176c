"""A ledger that was restored from a backup, and a copy that runs beside the original: nothing is billed twice."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tallystick.errors import ActionError
from tallystick.restore.recovery import Recovery
from tallystick.sandbox import Sandbox
from tallystick.sandbox.serving import Settings
from tests.restore.scene import START, Scene, balanced, recover


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
        scene.work(tally, 8, customer="bob")
        scene.back_up()
        scene.sandbox.recover()
        for _ in range(10):
            scene.go_on(tally, minutes=6)
        assert scene.counted() == 15
    with scene.open("backup.db") as tally:
        scene.go_on(tally, minutes=30)
        assert scene.counted() == 15
        assert sorted(recover(tally)) == [("sent", 2), ("sent", 4), ("sent", 8)]
        for _ in range(10):
            scene.go_on(tally, minutes=6)
        assert scene.counted() == 15
        assert balanced(tally)


@pytest.mark.parametrize("was_told", [0, 1], ids=["one", "both"])
def test_of_two_equal_usages_of_a_minute_each_is_counted(scene: Scene, was_told: int) -> None:
    """Of one the answer was lost, one waited. Which of them the total holds nobody knows, and no identifier is free."""
    with scene.open() as tally:
        scene.work(tally, 1)
        scene.sandbox.fault("lose_reply times=1 route=/v1/billing/meter_events")
        tally.record("tokens", 3, customer="ada")
        tally.relay.step()
        tally.record("tokens", 3, customer="ada")
        scene.back_up()
        if not was_told:
            scene.sandbox.fault("drop times=20 route=/v1/billing/meter_events")
        tally.record("tokens", 8, customer="bob")
        scene.go_on(tally, minutes=11)
        assert scene.counted() == 4 + was_told * 11
        scene.sandbox.faults()
    with scene.open("backup.db") as tally:
        scene.go_on(tally, hours=30)
        found = [("recovered", 8), ("sent", 6)] if was_told else [("sent", 3), ("unsent", 3)]
        assert sorted(recover(tally)) == found
        for _ in range(3):
            scene.go_on(tally, minutes=6)
        assert scene.counted() == 7 + was_told * 8
        assert balanced(tally)


def test_what_this_ledger_sent_itself_is_in_doubt_too(tmp_path: Path) -> None:
    """It sent, and no answer came, before it was stopped by an anchor that is older by its clock."""
    with Sandbox.start(Settings(frozen_at=START)) as sandbox:
        scene = Scene(sandbox, tmp_path, ["file"])
        with scene.open() as tally:
            scene.work(tally, 1)
            anchored = tally.ledger.clock.now()
            scene.sandbox.fault("lose_reply times=1 route=/v1/billing/meter_events")
            scene.clock.advance(timedelta(minutes=3))
            scene.sandbox.advance(180)
            tally.record("tokens", 5, customer="ada")
            tally.relay.step()
            scene.clock.advance(timedelta(minutes=30))
            assert tally.provider is not None
            recovery = Recovery(tally.ledger, tally.meters, tally.provider, tally.links.all(), anchored)
            assert [(one.verdict, one.steps) for one in recovery.plan()] == [("sent", 5)]


def test_where_others_report_too_a_person_says_whether_it_was_sent(tmp_path: Path) -> None:
    with Sandbox.start(Settings(frozen_at=START)) as sandbox:
        scene = Scene(sandbox, tmp_path, ["file"])
        with scene.open() as tally:
            scene.sandbox.outage()
            scene.work(tally, 2, 4, meter="shared")
            scene.back_up()
            scene.sandbox.recover()
            for _ in range(10):
                scene.go_on(tally, minutes=6)
            assert scene.counted() == 6
        with scene.open("backup.db") as tally:
            scene.go_on(tally, minutes=30)
            with pytest.raises(ActionError, match="--pending sent or --pending unsent"):
                recover(tally)
            assert recover(tally, "sent") == [("sent", 6)]
            for _ in range(10):
                scene.go_on(tally, minutes=6)
            assert scene.counted() == 6


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
