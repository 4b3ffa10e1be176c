"""The examples of docs/jobs.md run as they stand; each is run twice, and counts once."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dramatiq
import procrastinate
import pytest
import sqlalchemy
from celery import Celery
from dramatiq.brokers.stub import StubBroker
from procrastinate.testing import InMemoryConnector

from tallystick import Catalogue, Meter, Tally

PAGE = (Path(__file__).parents[2] / "docs" / "jobs.md").read_text()
Counted = Callable[[str], list[tuple[str, int]]]


@pytest.fixture
def tally_meters() -> Catalogue:
    return Catalogue([Meter("gpu_seconds"), Meter("documents")])


@pytest.fixture
def examples(tally: Tally) -> dict[str, Any]:
    """The names that the page's examples define."""
    dramatiq.set_broker(StubBroker())
    names: dict[str, Any] = {
        "tally": tally,
        "celery": Celery(),
        "dramatiq": dramatiq,
        "procrastinate_app": procrastinate.App(connector=InMemoryConnector()),
        "database": sqlalchemy.create_engine(tally.ledger.store.url),
        "save": lambda transaction, document: None,
        "run_model": lambda job_id: 5,
    }
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, names)
    return names


@pytest.mark.parametrize("queue", ["celery", "dramatiq", "procrastinate", "rq"])
def test_jobs(examples: dict[str, Any], counted: Counted, queue: str) -> None:
    for _ in range(2):
        examples[f"render_with_{queue}"](7, "org")
    assert counted("org") == [("gpu_seconds", 5)]


def test_bulk_work(examples: dict[str, Any], counted: Counted) -> None:
    """The first attempt dies after two documents."""

    def save(transaction: Any, document: str) -> None:
        if document == "c" and not counted("org")[2:]:
            examples["save"] = lambda *_: None
            raise RuntimeError("killed")

    examples["save"] = save
    with pytest.raises(RuntimeError):
        examples["import_documents"]("job", "org", ["a", "b", "c"])
    assert len(counted("org")) == 2
    examples["import_documents"]("job", "org", ["a", "b", "c"])
    assert counted("org") == [("documents", 1)] * 3
    examples["database"].dispose()


def test_nested_work(examples: dict[str, Any], counted: Counted) -> None:
    for _ in range(2):
        examples["film"](7, "org")
    assert counted("org") == [("gpu_seconds", 6)]
