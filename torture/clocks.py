"""A Tally that lives a little later: leases and slots of killed processes run out without waiting."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tallystick import Tally
from tallystick.app.environment import configured_provider
from tallystick.meters.config import load
from tallystick.storage import Store, open_store
from tallystick.values.instant import SECOND, Clock, SystemClock


class LaterClock(SystemClock):
    """The machine's clock, so many seconds on."""

    def __init__(self, seconds: float) -> None:
        self._shift = int(seconds * SECOND)

    def now(self) -> int:
        """The instant that will be then."""
        return super().now() + self._shift


def tally(environ: Mapping[str, str], *, clock: Clock | None = None, store: Store | None = None) -> Tally:
    """The Tally of an environment, as `Tally.from_config` makes it, with a clock or store of one's own."""
    settings = load(Path(environ["TALLYSTICK_CONFIG"]))
    return Tally(
        store or open_store(environ["TALLYSTICK_STORE"]),
        settings.meters,
        provider=configured_provider(settings, environ),
        tenant=settings.tenant,
        mode=settings.mode,
        delivery=settings.delivery,
        clock=clock,
        spool=Path(settings.store.spool) if settings.store.spool else None,
    )
