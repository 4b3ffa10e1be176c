"""The loss table's own row for tallystick; the peers come from the registry and are measured by `make loss-table`."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.loss import __main__ as table
from benchmarks.loss.collector import Collector
from benchmarks.loss.subjects import Ours


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Ours]:
    subject = Ours(tmp_path)
    yield subject
    subject.close()


@pytest.mark.parametrize(
    "scenario", [table.stopped(signal.SIGKILL), table.disconnects], ids=["kill", "leave"]
)
def test_nothing_answered_is_lost(ours: Ours, scenario: table.Scenario) -> None:
    customers = [f"c{n}" for n in range(8)]
    ours.customers(customers)
    assert scenario(ours, customers) == set()
    assert ours.known() == set(customers)


def test_what_is_missing_is_called_lost(ours: Ours, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a link nothing can be delivered: the table must say so."""
    monkeypatch.setattr(table, "PATIENCE", 0.5)
    assert table.undisturbed(ours, ["unlinked"]) == {"unlinked"}


def test_the_collector_understands_both_peers() -> None:
    collector = Collector()
    collector.take({"events": [{"customerId": "a"}]})
    collector.take([{"customerId": "b"}])
    collector.down()
    assert collector.customers == {"a", "b"}


def test_the_page_names_every_share() -> None:
    lost = {"a kill": {"tallystick": 0, "peer 1": 10}}
    text = table.page(lost, ["tallystick", "peer 1"])
    assert "| a kill | 0 of 40 lost (0 %) | 10 of 40 lost (25 %) |" in text
