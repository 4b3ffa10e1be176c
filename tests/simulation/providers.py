"""The real providers, each over the simulated wire; without their own transport, whose TLS context costs a seed."""

from __future__ import annotations

from unittest.mock import patch

from tallystick.providers import Provider
from tallystick.providers.lago import LagoProvider
from tallystick.providers.openmeter import OpenMeterProvider
from tallystick.providers.stripe import StripeProvider
from tallystick.providers.stripe.ways import MeterEventStream
from tests.simulation.plan import WINDOWS
from tests.simulation.wire import Line, PlainWire, StripeWire
from tests.simulation.world import SECOND, World

BASE = "http://provider.invalid"


def connect(way: str, mode: str, line: Line, world: World, *, has_reports: bool) -> Provider:
    """A provider by a way to tell it (`plan.WAYS`)."""
    with (
        patch("tallystick.providers.stripe.provider.KeptAliveClient", lambda _: StripeWire(line, world)),
        patch("tallystick.providers.api.Connections", lambda _: PlainWire(line)),
    ):
        if way in ("lago", "lago_clickhouse"):
            return LagoProvider("lago_simulation", base=BASE)
        if way in WINDOWS:
            return OpenMeterProvider("om_simulation", base=BASE, duplicate_window_seconds=WINDOWS[way])
        provider = StripeProvider(f"sk_{mode}_simulation", base=BASE, via=way)  # type: ignore[arg-type]
        if not has_reports:  # the account refuses at once, and has no reports
            provider.reports = None
        if isinstance(provider._way, MeterEventStream):
            provider._way._lock = GreenLock(world)  # type: ignore[assignment]
        return provider


class GreenLock:
    """A lock whose holder may stand still while other threads of its process go on."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._held = False

    def __enter__(self) -> None:
        self._world.wait(lambda: not self._held, SECOND // 100)
        self._held = True

    def __exit__(self, *_: object) -> None:
        self._held = False
