"""Corrections: what an entry should have said, as a new signed entry."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from tallystick import Catalogue, Formula, Meter, Tally
from tallystick.errors import ActionError, TallystickError
from tallystick.ledger.model import Kind
from tallystick.storage import open_store

METERS = Catalogue(
    [
        Meter("tokens", attributes=("model",)),
        Meter("gb", decimals=3, hold=False),
        Meter("seats", formula=Formula.LAST, carry=True, hold=False),
    ]
)


@pytest.fixture
def tally(store_url: str) -> Iterator[Tally]:
    with Tally(open_store(store_url, auto_migrate=True), METERS) as made:
        yield made


@pytest.fixture
def used(tally: Tally) -> Callable[[str], str]:
    return lambda meter: str(sum(u.quantity for u in tally.usage("ada", meter)))


@pytest.mark.parametrize(("right", "difference"), [(Decimal("0.25"), -1250), (3, 1500), (0, -1500)])
def test_the_difference_is_a_signed_entry(tally: Tally, used: Any, right: Any, difference: int) -> None:
    posted = tally.record("gb", Decimal("1.5"), customer="ada", attributes={"region": "eu"})
    corrected = tally.correct(posted.entries[0].id, quantity=right, reason="measured twice", by="Grace")
    (entry,) = corrected.entries
    assert (entry.kind, entry.quantity, entry.refers) == (
        Kind.CORRECTION,
        difference,
        posted.entries[0].entry,
    )
    assert entry.attributes == '{"corrected_by":"Grace","correction_reason":"measured twice","region":"eu"}'
    assert float(used("gb")) == float(right)


def test_a_second_correction_starts_from_the_first(tally: Tally, used: Any) -> None:
    posted = tally.record("tokens", 100, customer="ada", attributes={"model": "big"})
    tally.correct(posted.entries[0], quantity=80, reason="r", by="b")
    tally.correct(posted.entries[0], quantity=90, reason="r", by="b")
    again = tally.correct(posted.entries[0], quantity=90, reason="r", by="b")
    assert again.entries == ()
    assert used("tokens") == "90"
    (group,) = tally.usage("ada", "tokens", group_by="model")
    assert (group.group, int(group.quantity)) == ("big", 90), "a correction nets within its group"


def test_corrections_at_the_same_moment_end_at_one_of_the_values(tally: Tally, used: Any) -> None:
    posted = tally.record("tokens", 100, customer="ada")
    threads = [
        threading.Thread(
            target=tally.correct,
            args=(posted.entries[0],),
            kwargs={"quantity": right, "reason": "r", "by": "b"},
        )
        for right in (10, 20, 30, 40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert int(used("tokens")) in (10, 20, 30, 40)
    tally.ledger.sequencer.run()
    assert tally.ledger.totals() == tally.ledger.recomputed_totals()
    assert tally.ledger.broken_links() == []


def test_a_value_that_stands_is_corrected_too(tally: Tally, used: Any) -> None:
    tally.record("seats", 3, customer="ada")
    seats = tally.record("seats", 5, customer="ada")
    tally.correct(seats.entries[0], quantity=4, reason="r", by="b")
    assert used("seats") == "4"


def test_what_cannot_be_corrected_is_told(tally: Tally) -> None:
    action = tally.action("tokens", customer="ada").__enter__()
    assert action._hold is not None
    with pytest.raises(ActionError, match="is a hold"):
        tally.correct(action._hold, quantity=4, reason="r", by="b")
    action.add(10)
    action.__exit__(None, None)
    assert action.posted is not None
    fixed = tally.correct(action.posted.entries[0], quantity=4, reason="r", by="b")
    with pytest.raises(ActionError, match="is a correction itself"):
        tally.correct(fixed.entries[0], quantity=3, reason="r", by="b")


@pytest.mark.parametrize(
    ("name", "quantity", "reason", "by", "said"),
    [
        ("no id", 1, "r", "b", "is not an entry's id"),
        ("e00-" + "1" * 32, 1, "r", "b", "is no entry of this ledger"),
        ("", -1, "r", "b", "-1"),
        ("", 1, "", "b", "reason"),
        ("", 1, "r", "", "by"),
    ],
)
def test_bad_input_is_told_and_posts_nothing(
    tally: Tally, used: Any, name: str, quantity: int, reason: str, by: str, said: str
) -> None:
    posted = tally.record("tokens", 100, customer="ada")
    with pytest.raises(TallystickError, match=said):
        tally.correct(name or posted.entries[0].id, quantity=quantity, reason=reason, by=by)
    assert used("tokens") == "100"
