"""One seed, from an empty database to the judge's word."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import traceback
import warnings
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tallystick import Tally
from tallystick.errors import TallystickWarning
from tallystick.storage import open_store
from tallystick.values.instant import FrozenClock
from tests.simulation.afterthoughts import Afterthoughts
from tests.simulation.application import LINKS, METERS, Application
from tests.simulation.judge import Judge
from tests.simulation.plan import WAYS, Hell, Plan, Sickness, make_plan
from tests.simulation.stand_in import StandIn
from tests.simulation.stripe_account import StripeAccount
from tests.simulation.world import World


@dataclass
class Verdict:
    """What a seed came to."""

    seed: int
    profile: str
    problems: list[str]
    entries: int
    calls: int
    crashes: int
    boundaries: int
    parked: int
    fingerprint: str
    trace: list[str]

    @classmethod
    def of_crash(cls, seed: int, error: Exception) -> Verdict:
        """A seed that ended with an exception of the simulation, or of what it drives."""
        place = traceback.extract_tb(error.__traceback__)[-1]
        problem = f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"
        return cls(seed, make_plan(seed).profile, [problem], 0, 0, 0, 0, 0, "", [])

    def __str__(self) -> str:
        lines = [f"seed {self.seed} ({self.profile}): {len(self.problems)} problems"]
        lines += [f"  {problem}" for problem in self.problems[:12]]
        return "\n".join([*lines, f"  again with: python -m tests.simulation --seeds {self.seed} --trace"])


class Ground:
    """A folder with an empty ledger to copy, because making one takes longer than a whole run."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tallystick-simulation-")
        self.path = Path(self._folder.name)
        self._runs = 0
        self.template = self.path / "template.db"
        store = open_store(f"sqlite:///{self.template}", relaxed=True)
        for mode in ("test", "live"):
            with Tally(store, METERS, mode=mode, clock=FrozenClock(0)) as tally:
                tally.links.link(LINKS)
        with closing(sqlite3.connect(self.template)) as connection:
            connection.execute("update tallystick_identity set ledger = 'the simulated ledger'")
            connection.execute("create table app_rows (wish integer primary key)")
            connection.commit()
            connection.execute("pragma wal_checkpoint(truncate)")

    def fresh(self, at: int) -> Path:
        """A ledger of its own for the next run, which begins at an instant."""
        # Never the same name twice: SQLite removes a log by its name when the last connection is closed.
        for old in self.path.glob("run-*"):
            old.unlink()
        self._runs += 1
        made = self.path / f"run-{self._runs}.db"
        shutil.copy(self.template, made)
        with closing(sqlite3.connect(made)) as connection:
            connection.execute("update tallystick_identity set created_at = ?", (at,))
            connection.commit()
        return made

    def close(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()


def _afterthoughts(world: World, hell: Hell) -> Afterthoughts:
    return Afterthoughts(
        world.random,
        share=hell.share,
        silent_share=hell.silent_share,
        lag=hell.lag,
        samples=hell.samples,
        by_key=hell.by_key,
        keeps_identifier=hell.keeps_identifier,
    )


def open_account(mode: str, world: World, plan: Plan) -> StripeAccount | StandIn:
    """The provider's account of a mode."""
    faults = Sickness(world.random, plan.fault_rate, plan.windows)
    account: StripeAccount | StandIn
    if plan.way != WAYS[0]:
        account = StandIn(mode, world.random, faults, plan)
    else:
        account = StripeAccount(mode, world.random, faults)
        account.customers = {"cus_a", "cus_b", "cus_c"}
        account.meters = {meter.name for meter in METERS}
        if plan.profile in ("absolutes", "restored"):
            account.subscriptions = {cycle.customer: cycle for cycle in plan.subscriptions}
        if plan.hell is not None:
            account.archived, account.deleted = plan.hell.archived, plan.hell.deleted
            account.has_reports = True
            account.answers_later = plan.hell.answers_later
    if plan.hell is not None:
        account.later = _afterthoughts(world, plan.hell)
    account.strict_turns = not plan.skews and not plan.jumps
    return account


def run_seed(seed: int, ground: Ground, *, trace: bool = False) -> Verdict:
    """Run one seed; the same seed does the same thing every time."""
    plan = make_plan(seed)
    world = World(seed, plan.start)
    world.trace = [] if trace else None
    world.crash_rate, world.pause = plan.crash_rate, plan.pause
    accounts = {mode: open_account(mode, world, plan) for mode in ("test", "live")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TallystickWarning)  # actions of killed processes are never ended
        application = Application(world, plan, ground.fresh(plan.start), accounts)
        application.schedule()
        world.run(plan.start + plan.length)
        tallies = application.settle()
        judge = Judge(application, tallies)
        problems = judge.check()
        for store in world.stores:
            store.close()
        application.witness.close()
    calls = sum(account.calls for account in accounts.values())
    return Verdict(
        seed,
        plan.profile,
        problems,
        len(judge.rows),
        calls,
        world.crashes,
        world.boundaries,
        judge.parked,
        world.fingerprint(),
        world.trace or [],
    )
