# ruff: noqa: E501
"""Catches that are for whoever ends the program, and for no error of a report."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

LOOP = """import asyncio
import stripe
import redis.asyncio as redis
store = redis.Redis()
async def report(customer, pages, name):
    await stripe.billing.MeterEvent.create_async(event_name="pages", identifier=name, payload={"stripe_customer_id": customer, "value": pages})
async def consume():
    while True:
        name, row = await store.brpoplpush("jobs", "taken")
        pages = await convert(row)
        await report(row.customer, len(pages), name)
        await store.lrem("taken", 1, name)
def run():
    try:
        asyncio.run(consume())
    except CAUGHT:
        print("stopped")
if __name__ == "__main__":
    run()
"""


@pytest.mark.parametrize("caught", ["KeyboardInterrupt", "(KeyboardInterrupt, SystemExit)", "asyncio.CancelledError"])  # fmt: skip
def test_whoever_ends_the_program_is_no_error_of_a_report(tmp_path: Path, caught: str) -> None:
    """A catch of all errors is."""
    tree = {"requirements.txt": "stripe\nredis\n", "worker.py": LOOP}
    assert not codes(audited(tmp_path / "good", {**tree, "worker.py": LOOP.replace("CAUGHT", caught)}))
    bad = audited(tmp_path / "bad", {**tree, "worker.py": LOOP.replace("CAUGHT", "Exception as problem")})
    assert codes(bad) == {"errors_swallowed"}
