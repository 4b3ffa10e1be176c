"""A temporary ledger in the place of the real one, without network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tallystick.app import Tally
from tallystick.meters import Catalogue
from tallystick.storage import open_store
from tallystick.values.instant import Clock

# What a Tally is made of and a test replaces; meters, tenant and mode stay the application's.
_PARTS = (
    "ledger",
    "provider",
    "links",
    "sender",
    "courier",
    "relay",
    "noted",
    "holds",
    "expirer",
    "anchoring",
    "carrying",
    "confirmer",
    "deadlines",
    "rejections",
    "spool",
    "alarms",
)


def create(url: str, meters: Catalogue, clock: Clock | None) -> Tally:
    """A Tally of its own, without a provider; its store gives up durability for speed."""
    return Tally(open_store(url, relaxed=True, auto_migrate=True), meters, clock=clock)


@contextmanager
def temporary(tally: Tally, url: str, *, clock: Clock | None = None) -> Iterator[Tally]:
    """Have an application's own Tally write to another ledger, and send nothing, within the block.

    `url` is the store of the test, whose durability is relaxed. What was declared stays in force.
    """
    where = tally.ledger.where
    store = open_store(url, relaxed=True, auto_migrate=True)
    fresh = Tally(store, tally.meters, tenant=where.tenant, mode=where.mode, clock=clock)
    before = {name: getattr(tally, name) for name in _PARTS}
    _replace(tally, {name: getattr(fresh, name) for name in _PARTS})
    try:
        yield tally
    finally:
        tally.close()
        _replace(tally, before)


def _replace(tally: Tally, parts: dict[str, object]) -> None:
    for name, part in parts.items():
        setattr(tally, name, part)
    tally._recorder.ledger = tally.ledger
    tally._recorder.spool = tally.spool
