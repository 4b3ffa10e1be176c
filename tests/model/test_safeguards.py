"""Take away what keeps the ledger right, one thing at a time: the model has to notice."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tallystick.ledger import posting, sequencer
from tallystick.ledger.model import Entry
from tallystick.storage.queries import load
from tests.model.machine import LedgerMachine
from tests.model.test_machine import CALM

Removal = Callable[[pytest.MonkeyPatch], None]


def words(query: str, old: str, new: str) -> Removal:
    """Put other words into a query."""

    def remove(patch: pytest.MonkeyPatch) -> None:
        queries = load("sqlite")
        assert old in queries[query].sql, f"{query} no longer says {old!r}: adapt this safeguard"
        changed = msgspec.structs.replace(queries[query], sql=queries[query].sql.replace(old, new))
        patch.setitem(queries, query, changed)

    return remove


def nothing(pieces: Any) -> Any:
    """A flow that looks at nothing and finds nothing."""
    yield from ()
    return {}


def replace(target: Any, name: str, value: Any) -> Removal:
    """Put something else in the place of a function."""
    return lambda patch: patch.setattr(target, name, value)


def owe_nothing(patch: pytest.MonkeyPatch) -> None:
    """Entries without an obligation to deliver them."""
    insert = posting._insert
    patch.setattr(
        posting, "_insert", lambda entries, due, stamp, _: insert(entries, due, stamp, lambda e: False)
    )


SAFEGUARDS: dict[str, Removal] = {
    "a key counts once": replace(posting, "_claim_keys", nothing),
    "a hold is resolved once": replace(posting, "_resolve", nothing),
    "a repeat that says something else is flagged": replace(Entry, "content", lambda entry: b""),
    "usage that counts is owed": owe_nothing,
    "totals count every entry": words("add_totals", "entries + excluded.entries", "excluded.entries"),
    "totals have an upper limb": words("add_totals", "high + excluded.high", "high"),
    "usage has the tail that is not sequenced": words(
        "usage", "tallystick_unsequenced u", "(select * from tallystick_unsequenced where 0) u"
    ),
    "a window ends before its end": words("usage", "e.recorded_at < :until", "e.recorded_at <= :until"),
    "a hold without an end is listed, one with an end is not": words("open_holds", "not exists", "exists"),
    "a hash covers what it stands for": replace(sequencer, "extend", lambda before, position, entry: before),
    "the chain begins at its beginning": replace(sequencer, "START", b"1" * 32),
}


@pytest.mark.parametrize("name", SAFEGUARDS)
def test_is_missed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it some run of the state machine fails."""

    class Without(LedgerMachine):
        new_url = staticmethod(lambda: f"sqlite:///{tmp_path / uuid.uuid4().hex}.db")

    SAFEGUARDS[name](monkeypatch)
    quick = settings(
        CALM, max_examples=100, stateful_step_count=40, phases=[Phase.generate], report_multiple_bugs=False
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Without, settings=quick)
