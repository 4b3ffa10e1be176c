"""Kills at every failpoint: the short form; `make torture` runs the long one."""

from __future__ import annotations

import os
import random
from collections import Counter
from decimal import Decimal

import pytest

from tallystick.values.failpoint import POINTS
from torture import checks, kills, plan
from torture.calls import Call, quantity_of
from torture.records import Records

KILLS = 300


def test_nothing_is_lost_in_300_kills(postgres_server: str) -> None:
    """The application and the relay die at every failpoint on both databases; T1 to T6 hold afterwards."""
    seed = int(os.environ.get("TORTURE_SEED", random.randrange(1_000_000)))
    verdict = kills.run(seed, range(KILLS), postgres_server)
    print(verdict.summary())
    assert verdict.problems == [], verdict.summary()
    assert len(verdict.died) == KILLS
    assert set(verdict.counted(2)) == set(POINTS)


def test_usage_recorded_behind_the_answer_is_found_missing(postgres_server: str) -> None:
    """The control: the same application with a background task loses answered usage, and the checks say so."""
    wanted = [
        kill.number
        for kill in plan.kills(1, 3000)
        if kill.dialect == "sqlite" and kill.point == "gate.sent" and kill.signal == "KILL" and kill.visit > 3
    ]
    verdict = kills.run(1, wanted[:8], postgres_server, environ={"TORTURE_CONTROL": "yes"})
    assert any("T2" in problem for problem in verdict.problems), verdict.summary()
    assert all("--seed 1 --only" in problem for problem in verdict.problems)


def test_a_seed_gives_the_same_kills() -> None:
    many = plan.kills(7, 2000)
    assert plan.kills(7, 200) == many[:200]
    assert plan.kills(8, 200) != many[:200]
    assert [kill.number for kill in many] == list(range(2000))


HELD = b"h" * 16


def row(
    entry: bytes, meter: str = "held", key: str | None = "job", quantity: int | None = None, kind: int = 2
) -> tuple[object, ...]:
    steps = quantity_of(key or "") if quantity is None else quantity
    return (1, entry, kind, "ann", meter, steps, key, HELD if meter == "held" and kind == 2 else None, "", 5)


def sound() -> tuple[Records, list[Call]]:
    """One held action with its hold and resolution, one order with its row; both answered."""
    hold = row(HELD, key=None, quantity=0, kind=1)
    rows = [hold, row(b"u" * 16), row(b"o" * 16, meter="orders", key="order")]
    records = Records({r[1]: r for r in rows}, Counter({HELD: 1}), orders={"order"})  # type: ignore[misc]
    return records, [Call("held", "ann", "job", 200), Call("orders", "ann", "order", 200)]


def totals(records: Records) -> dict[tuple[str, str], Decimal]:
    return {(str(r[3]), str(r[4])): Decimal(str(r[5])) for r in records.usage}


def test_sound_records_have_no_problems() -> None:
    records, calls = sound()
    assert checks.after_the_drain(records, records, calls, totals(records)) == []


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (lambda r: r.entries.pop(b"u" * 16), "T2"),
        (lambda r: r.entries.update({b"v" * 16: row(b"v" * 16)}), "T3"),
        (lambda r: r.orders.clear(), "T1"),
        (lambda r: r.entries.pop(b"o" * 16), "T1"),
        (lambda r: r.entries.update({b"v" * 16: row(b"v" * 16, key="phantom")}), "T1"),
        (lambda r: r.entries.update({b"u" * 16: row(b"u" * 16, quantity=0)}), "T10"),
        (lambda r: r.resolutions.update([HELD]), "T5"),
        (lambda r: r.resolutions.clear(), "T5"),
        (lambda r: r.entries.pop(HELD), "T4"),
        (lambda r: setattr(r, "unsent", 1), "T6"),
        (lambda r: r.unsettled.append(("unknown", "")), "T6"),
    ],
)
def test_every_harm_has_a_name(harm: object, named: str) -> None:
    (before, _), (after, calls) = sound(), sound()
    provider = totals(before)
    harm(after)  # type: ignore[operator]
    assert any(named in problem for problem in checks.after_the_drain(before, after, calls, provider))


def test_a_provider_that_has_more_or_less_is_found() -> None:
    records, calls = sound()
    for total in ({}, {**totals(records), ("ann", "held"): Decimal(1)}):
        assert any("T6" in problem for problem in checks.after_the_drain(records, records, calls, total))
