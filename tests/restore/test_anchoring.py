"""Anchors under crashes, races and broken answers: who may send, and who stops."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest

from tallystick.providers.anchors import Anchor
from tallystick.restore.anchors import Head, Own, Standing, compare
from tallystick.sandbox import Sandbox
from tallystick.sandbox.serving import Settings
from tests.restore.scene import START, Scene, recover


class Killed(BaseException):
    """The process is gone."""


def kill(*_: object) -> NoReturn:
    raise Killed


@pytest.mark.parametrize("anchored", [0, 1], ids=["the first anchor", "a later one"])
def test_a_process_that_is_killed_between_anchor_and_database_knows_its_own(
    scene: Scene, anchored: int
) -> None:
    with scene.open() as tally:
        if anchored:
            scene.work(tally, 1)
        assert tally.anchoring is not None
        tally.anchoring._keep = kill  # type: ignore[method-assign]
        tally.record("tokens", 2, customer="ada")
        with pytest.raises(Killed):
            scene.go_on(tally, minutes=10)
    with scene.open() as tally:
        scene.work(tally, 4)
        assert not tally.findings
        assert scene.counted() == 6 + anchored


def test_two_processes_that_are_killed_one_after_the_other_are_known(tmp_path: Path) -> None:
    """One has written its anchor and did not live to note it; the next one was about to write."""
    with Sandbox.start(Settings(frozen_at=START)) as sandbox:
        scene = Scene(sandbox, tmp_path, ["file"])
        with scene.open() as one, scene.open() as other:
            scene.work(one, 1)
            other.relay.step()
            assert one.anchoring is not None
            assert other.anchoring is not None
            one.anchoring._keep = kill  # type: ignore[method-assign]
            other.anchoring.places[0].write = kill  # type: ignore[method-assign]
            for tally in (one, other):
                tally.record("tokens", 2, customer="ada")
                with pytest.raises(Killed):
                    scene.go_on(tally, minutes=11)
        with scene.open() as tally:
            scene.work(tally, 4)
            assert not tally.findings
            assert scene.counted() == 9


@pytest.mark.parametrize("read", ["the place", "our own", "the head"])
def test_what_another_process_says_while_we_look_is_not_strange(tmp_path: Path, read: str) -> None:
    """Between what is read outside, what this database said, and how far it has come."""
    with Sandbox.start(Settings(frozen_at=START)) as sandbox:
        scene = Scene(sandbox, tmp_path, ["file"])
        with scene.open() as one, scene.open() as other:
            scene.work(one, 1)
            other.relay.step()
            assert one.anchoring is not None
            assert other.anchoring is not None
            goes_first, slow = one.anchoring, other.anchoring
            reads: dict[str, tuple[object, str]] = {
                "the place": (slow.places[0], "read"),
                "our own": (slow, "standing"),
                "the head": (slow, "head"),
            }
            owner, name = reads[read]
            look = getattr(owner, name)

            def interrupted(*given: object) -> object:
                setattr(owner, name, look)
                found = look(*given)
                for number in range(3):
                    one.record("tokens", number + 1, customer="ada")
                    scene.clock.advance(timedelta(minutes=11))
                    one.ledger.sequencer.run()
                    assert goes_first.chore()
                return found

            scene.clock.advance(timedelta(minutes=11))
            setattr(owner, name, interrupted)
            slow.chore()
            assert getattr(owner, name) == look, "nobody was interrupted"
            assert slow.may_send()
            assert one.anchoring.may_send()
            assert not other.findings


@pytest.mark.parametrize("read", ["standing", "head"])
def test_who_looks_while_a_person_takes_over_stops_nobody(tmp_path: Path, read: str) -> None:
    """What it read before is out of date: its word does not count."""
    with Sandbox.start(Settings(frozen_at=START)) as sandbox:
        scene = Scene(sandbox, tmp_path, ["file"])
        with scene.open() as tally:
            scene.work(tally, 1)
            scene.back_up()
            scene.work(tally, 2)
        with scene.open("backup.db") as one, scene.open("backup.db") as other:
            assert one.anchoring is not None
            assert other.anchoring is not None
            assert not one.anchoring.may_send()
            for quantity in (4, 8, 16):
                one.record("tokens", quantity, customer="ada")
            one.ledger.sequencer.run()
            look = getattr(other.anchoring, read)

            def interrupted() -> object:
                setattr(other.anchoring, read, look)
                found = look()
                recover(one)
                return found

            setattr(other.anchoring, read, interrupted)
            other.anchoring.compare()
            assert getattr(other.anchoring, read) == look, "nobody was interrupted"
            scene.go_on(one, minutes=20)
            assert one.anchoring.may_send()
            assert scene.counted() == 31


def test_two_processes_that_write_the_file_at_once_both_go_on(tmp_path: Path) -> None:
    with Sandbox.start(Settings(frozen_at=START)) as sandbox:
        scene = Scene(sandbox, tmp_path, ["file"])
        with scene.open() as one, scene.open() as other:
            scene.work(one, 1)
            other.relay.step()
            one.record("tokens", 2, customer="ada")
            assert one.anchoring is not None
            assert other.anchoring is not None
            place, goes_first = other.anchoring.places[0], one.anchoring
            write = place.write

            def overtaken(anchor: Anchor, before: Anchor | None) -> bool:
                place.write = write  # type: ignore[method-assign]
                scene.clock.advance(timedelta(minutes=11))
                assert goes_first.chore()
                return write(anchor, before)

            place.write = overtaken  # type: ignore[method-assign]
            scene.clock.advance(timedelta(minutes=11))
            other.anchoring.chore()
            assert place.write == write, "nobody was overtaken"
            assert other.anchoring.may_send()
            assert one.anchoring.may_send()
            assert not other.findings


def test_a_500_that_stripe_repeats_under_its_key_stops_nobody(tmp_path: Path) -> None:
    with Sandbox.start(Settings(frozen_at=START)) as sandbox:
        scene = Scene(sandbox, tmp_path, ["stripe"])
        with scene.open() as tally:
            scene.work(tally, 1)
            sandbox.faults("fail route=/v1/products/* method=POST times=1")
            scene.work(tally, 2)
            for _ in range(3):
                scene.go_on(tally, minutes=11)
            scene.work(tally, 4)
            assert scene.counted() == 7
            assert {f.code for f in tally.findings} == {"anchor_unwritten"}
            assert tally.anchoring is not None
            assert tally.anchoring.may_send()


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


def own(*tokens: str) -> Own:
    return Own("file", 3, tokens=frozenset(tokens))


@pytest.mark.parametrize(
    ("there", "ours", "said"),
    [
        (None, None, Standing.FIRST),
        (None, own("a"), Standing.GONE),
        (theirs(3, "a", 10), own("a"), Standing.OURS),
        (theirs(4, "b", 10), own("a", "b"), Standing.OURS),
        (theirs(3, "a", 11), own("a"), Standing.BACKWARDS),
        (theirs(4, "c", 11), own("a"), Standing.BACKWARDS),
        (theirs(4, "c", 9), own("a"), Standing.ANOTHER),
        (theirs(2, "z", 9), own("a"), Standing.BEHIND),
        (theirs(4, "c", 11), None, Standing.BACKWARDS),
        (theirs(4, "c", 10), None, Standing.ANOTHER),
    ],
)
def test_what_a_comparison_says(there: Anchor | None, ours: Own | None, said: Standing) -> None:
    assert compare(there, ours, Head(10, "digest")) is said
