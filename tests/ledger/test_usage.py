"""Usage for display: exact over any window, what was recorded a moment ago included."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.ledger.ledger import Ledger
from tallystick.ledger.model import Entry, Kind, Posting
from tallystick.storage import open_store
from tallystick.values.identifiers import lane_of
from tallystick.values.instant import DAY, HOUR, FrozenClock
from tests.ledger.conftest import CATALOGUE

Make = Callable[..., Entry]
TOKENS = CATALOGUE["tokens"]


def test_includes_the_entry_of_a_moment_ago(ledger: Ledger, entry: Make) -> None:
    """Sequenced, unsequenced, holds left out."""
    ledger.post(Posting((entry("org", 5),)))
    ledger.sequencer.run()
    ledger.post(Posting((entry("org", 7), entry("org", 0, kind=Kind.HOLD))))
    [usage] = ledger.usage("org", TOKENS, 0, 2**60)
    assert (usage.quantity, usage.entries) == (Decimal(12), 2)


def test_grouped_by_a_declared_attribute(ledger: Ledger, entry: Make) -> None:
    """Groups are the same before and after sequencing; an undeclared attribute is refused."""
    for model, quantity in (("x", 1), ("y", 2), ("x", 4)):
        ledger.post(Posting((entry("org", quantity, attributes=f'{{"call":1,"model":"{model}"}}'),)))
    before = ledger.usage("org", TOKENS, 0, 2**60, group_by="model")
    ledger.sequencer.run()
    assert before == ledger.usage("org", TOKENS, 0, 2**60, group_by="model")
    assert [(u.group, u.quantity) for u in before] == [("x", 5), ("y", 2)]
    with pytest.raises(ValueError, match="group_by='call'"):
        ledger.usage("org", TOKENS, 0, 2**60, group_by="call")


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3 * DAY), st.integers(0, 10**15)), min_size=1, max_size=30),
    st.integers(0, 3 * DAY),
    st.integers(0, 3 * DAY),
    st.integers(0, 30),
    st.sampled_from([None, "hour", "day"]),
)
def test_any_window_agrees_with_a_naive_model(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, int]],
    one: int,
    other: int,
    sequenced: int,
    by: str | None,
) -> None:
    """Windows that begin and end at any microsecond, buckets by hour and day."""
    clock = FrozenClock(0)
    path = tmp_path_factory.mktemp("usage") / "u.db"
    ledger = Ledger(open_store(f"sqlite:///{path}", relaxed=True), CATALOGUE, clock=clock)
    lane = lane_of("default", "test", "org")
    for number, (at, quantity) in enumerate(sorted(rows)):
        clock._now = at
        made = Entry(lane, ledger.ids.next(), Kind.USAGE, "default", "test", "", "org", "tokens", quantity)
        ledger.post(Posting((made,)))
        if number == sequenced:
            ledger.sequencer.run()
    since, until = min(one, other), max(one, other)
    width = {None: None, "hour": HOUR, "day": DAY}[by]
    expected: dict[int, int] = {}
    for at, quantity in rows:
        if since <= at < until:
            start = at // width * width if width else since
            expected[start] = expected.get(start, 0) + quantity
    found = ledger.usage("org", TOKENS, since, until, by=by)
    assert {u.start: u.quantity for u in found if u.entries} == expected
    ledger.close()
