"""The main job: sandbox, gateway, replay, outage, kill, drain, and the table that must balance."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tallystick.app import Tally
from tallystick.app.environment import configured_provider
from tallystick.demo.client import Client, Logged, read_log
from tallystick.demo.person import Person
from tallystick.demo.processes import Gateway, free_port
from tallystick.demo.report import Report, build
from tallystick.demo.traffic import assign, customers, trace
from tallystick.meters.config import load
from tallystick.sandbox import Sandbox
from tallystick.storage import open_store
from tallystick.values.identifiers import SystemIds
from tallystick.values.instant import MINUTE, SystemClock

PRICES = {"ai_tokens": "0.0015", "api_calls": "0.2"}  # cents per unit
KEY = "sk_test_tallystick_demo"
QUARTER, AN_HOUR = 15, 60  # minutes between looks at what is in doubt: at first, and later
LEAST_LOOKS, LOOKS = 8, 60  # a total that shows nothing for a day is left to a person
Tell = Callable[[str], None]


class Plan(msgspec.Struct, frozen=True):
    """What to run: how many calls for how many customers, from which seed, on which store.

    `store` is a URL, or "" for a SQLite file in a folder that is removed at the end.
    """

    calls: int = 0
    customers: int = 300
    seed: int = 1
    store: str = ""
    connections: int = 64
    outage_at: float = 0.35
    outage_until: float = 0.6
    kills_at: tuple[float, ...] = (0.2, 0.5, 0.8)
    hell: bool = False


def run(plan: Plan, *, environ: dict[str, str], tell: Tell, progress: Callable[[int, int], None]) -> Report:
    """Run the whole job and add it up; raises only when it could not be run at all."""
    folder = Path(tempfile.mkdtemp(prefix="tallystick-demo-", dir=Path.cwd()))
    try:
        with Sandbox.start() as sandbox:
            return _Job(plan, folder, sandbox, environ, tell, progress).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Later(SystemClock):
    """The machine's clock, so many minutes on: two readings ten minutes apart without waiting for them."""

    def __init__(self, minutes: int) -> None:
        self._shift = minutes * MINUTE

    def now(self) -> int:
        """The instant that will be then."""
        return super().now() + self._shift


class _Job:
    def __init__(
        self,
        plan: Plan,
        folder: Path,
        sandbox: Sandbox,
        environ: dict[str, str],
        tell: Tell,
        progress: Callable[[int, int], None],
    ) -> None:
        self._plan = plan
        self._sandbox = sandbox
        self._tell = tell
        self._progress = progress
        self._names = customers(plan.customers)
        calls = trace()[: plan.calls] if plan.calls else trace()
        self._calls = list(zip(calls, assign(len(calls), self._names, plan.seed), strict=True))
        self._store = plan.store or f"sqlite:///{folder / 'ledger.db'}"
        self._log = folder / "client.jsonl"
        self._clock = SystemClock()
        self._port = free_port()
        config = folder / "tallystick.toml"
        config.write_text(_CONFIG.format(tenant=f"demo-{SystemIds().next().hex()}"))
        self._environ = {
            **environ,
            "TALLYSTICK_CONFIG": str(config),
            "TALLYSTICK_STORE": self._store,
            "STRIPE_API_KEY": KEY,
            "STRIPE_API_BASE": sandbox.url,
        }
        self._gateway = Gateway(self._port, self._environ, folder / "gateway.log")

    def run(self) -> Report:
        open_store(self._store, auto_migrate=True).close()
        made = self._sandbox.provision(
            meters={name: {"formula": "sum", "unit_amount_decimal": price} for name, price in PRICES.items()},
            customers=self._names,
        )
        with Tally.from_config(environ=self._environ) as tally:
            tally.links.link(made["customers"])
            self._tell(f"{len(self._names)} customers linked; ledger in {self._store.partition(':')[0]}")
            self._gateway.start()
            if self._plan.hell:
                self._sandbox.hell(self._plan.seed)
                self._tell("every fault of the provider is on")
            try:
                asyncio.run(self._replay())
                drained = self._drain(tally) if not self._plan.hell else 0.0
            finally:
                self._gateway.stop()
            if self._plan.hell:
                drained = self._climb_out()
            self._tell(f"drained in {drained:.1f} s")
            log = read_log(self._log)
            return build(tally, self._sandbox, log, made, self._calls, PRICES)

    async def _replay(self) -> None:
        client = Client("127.0.0.1", self._port, self._log, self._clock, connections=self._plan.connections)
        total = len(self._calls)
        events = [
            (self._plan.outage_at, "Stripe goes away", self._sandbox.outage),
            *((share, "SIGKILL to the gateway", self._kill) for share in self._plan.kills_at),
            (self._plan.outage_until, "Stripe is back", self._sandbox.recover),
        ]
        events.sort(key=lambda event: event[0])
        pending = [(int(share * total), what, act) for share, what, act in events]
        running: list[asyncio.Task[Any]] = []

        def note(done: int) -> None:
            self._progress(done, total)
            while pending and done >= pending[0][0]:
                at, what, act = pending.pop(0)
                self._tell(f"call {at}: {what}")
                running.append(asyncio.create_task(asyncio.to_thread(act)))

        await client.replay(self._calls, 10, note)
        await asyncio.gather(*running)

    def _kill(self) -> None:
        self._gateway.kill()
        self._gateway.start()

    def _climb_out(self) -> float:
        """Heal the provider; relays of later hours, by its clock too, settle what nobody knows the outcome of."""
        began = self._clock.elapsed()
        self._sandbox.faults()
        self._sandbox.recover()
        person, minutes = Person(self._sandbox, self._environ, self._tell), 0
        for look in range(LOOKS):
            step = QUARTER if look < LEAST_LOOKS else AN_HOUR
            minutes += step
            self._sandbox.advance(step * 60)
            settings = load(Path(self._environ["TALLYSTICK_CONFIG"]))
            with Tally(
                open_store(self._store),
                settings.meters,
                provider=configured_provider(settings, self._environ),
                tenant=settings.tenant,
                delivery=settings.delivery,
                clock=Later(minutes),
            ) as tally:
                tally.relay.drain(wait_seconds=1)
                doubts = tally.rejections.standing() if tally.rejections is not None else {}
                on_its_way = not tally.status().settled or doubts.get("open") or look < LEAST_LOOKS
                if not on_its_way and not person.work_off(tally):
                    break
        self._sandbox.advance(60)  # its totals lag behind what it took last
        return (self._clock.elapsed() - began) / 1_000_000

    def _drain(self, tally: Tally) -> float:
        """Let the gateway's own relay finish; help with ours only if it has not after a minute."""
        began = self._clock.elapsed()
        until = began + 60_000_000
        while self._clock.elapsed() < until and not tally.status().settled:
            tally.relay.pause(0.2)
        if not tally.status().settled:
            tally.relay.drain(wait_seconds=60)
        return (self._clock.elapsed() - began) / 1_000_000


_CONFIG = """\
tenant = "{tenant}"
mode = "test"

[meters.ai_tokens]
unit = "token"
formula = "sum"

[meters.api_calls]
unit = "call"
formula = "count"

[delivery]
inline = true
budget_ms = 300
relay = "in-process"
"""

__all__ = ["Logged", "Plan", "run"]
