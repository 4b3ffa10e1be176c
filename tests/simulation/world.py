"""One thread, one virtual clock, many processes: a seed decides who runs next and who dies where.

Every process of the simulation is a set of greenlets that run the real, blocking code. At each boundary
(a statement, a commit, bytes on the wire) the world may let time pass, let somebody else go on, or kill
the process: from then on nothing that it does has any effect, as after SIGKILL.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Any

from greenlet import getcurrent, greenlet

SECOND = 1_000_000
NEVER = 2**62
MOST_CRASHES = 12


class Crash(BaseException):
    """The process has been killed."""


class Process:
    """An operating system's process: it lives until it is killed, and its clock may be wrong."""

    def __init__(self, world: World, name: str, skew: int = 0) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self.skew = skew
        self.actors: list[Actor] = []

    frozen = True  # (clock port) this clock also replaces the database's

    def now(self) -> int:
        """(clock port) The instant that this machine believes in."""
        return self.world.now + self.skew

    def elapsed(self) -> int:
        """(clock port) The monotonic clock."""
        return self.world.now

    def pause(self, seconds: float) -> None:
        """(clock port) Stand still, while the others go on."""
        self.world.sleep(int(seconds * SECOND))


class Actor:
    """A thread of a process (or, without one, of fate)."""

    def __init__(self, process: Process | None, run: Callable[[], None]) -> None:
        self.process = process
        self.turn = 0  # of the entry in the schedule that counts; older ones are void
        self.checked_at = 0  # when this thread last asked whether it may send
        self.done = False
        self._run = run
        self.thread = greenlet(self._main)

    def _main(self) -> None:
        try:
            self._run()
        except Crash:
            pass
        finally:
            self.done = True


class World:
    """The schedule, the clock, and chance.

    `crash_rate` is the chance to die at a boundary, `pause` gives how long a thread stands still there.
    """

    def __init__(self, seed: int, start: int) -> None:
        self.random = Random(seed)
        self.now = start
        self.crash_rate = 0.0
        self.pause: Callable[[], int] = lambda: 0
        self.boundaries = self.crashes = 0
        self.on_death: Callable[[Process], None] = lambda process: None
        self.trace: list[str] | None = None
        self._digest = hashlib.sha256()
        self._schedule: list[tuple[int, int, Actor, int]] = []
        self._entries = 0
        self._actors: dict[greenlet, Actor] = {}
        self.stores: list[Any] = []  # of every incarnation: the killed close nothing

    # Threads

    def spawn(self, process: Process | None, run: Callable[[], None], *, at: int | None = None) -> Actor:
        """A new thread that starts at an instant (now)."""
        actor = Actor(process, run)
        self._actors[actor.thread] = actor
        if process is not None:
            process.actors.append(actor)
        self._wake_at(actor, self.now if at is None else at)
        return actor

    @property
    def current(self) -> Actor | None:
        """The thread that runs; None in the judge's own code."""
        return self._actors.get(getcurrent())

    def _wake_at(self, actor: Actor, at: int) -> None:
        self._entries += 1
        actor.turn = self._entries
        heappush(self._schedule, (at, self._entries, actor, self._entries))

    def nudge(self, actor: Actor, at: int) -> None:
        """Wake a sleeping thread at an instant at the latest."""
        if not actor.done:
            self._wake_at(actor, at)

    def run(self, until: int) -> None:
        """Let everybody live until an instant."""
        while self._schedule and self._schedule[0][0] <= until:
            at, _, actor, turn = heappop(self._schedule)
            if actor.done or actor.turn != turn:
                continue
            self.now = max(self.now, at)
            actor.thread.switch()
            if actor.done:
                self._actors.pop(actor.thread, None)
        self.now = max(self.now, until)

    def sleep(self, microseconds: int) -> None:
        """The running thread stands still; others go on."""
        actor = self.current
        if actor is None:
            self.now += microseconds
            return
        self._check(actor)
        at = self.now + microseconds
        if self._schedule and self._schedule[0][0] <= at:
            self._wake_at(actor, at)
            parent = actor.thread.parent
            assert parent is not None
            parent.switch()
            self._check(actor)
        else:
            self.now = at

    def wait(self, ready: Callable[[], bool], nap: int) -> None:
        """The running thread looks again and again, ever less often but once a minute, until it is so."""
        while not ready():
            self.sleep(nap)
            nap = min(nap * 2, 60 * SECOND)

    # Death

    def boundary(self, name: str) -> None:
        """A place between two effects: the process may die here, or somebody else may go first."""
        actor = self.current
        if actor is None or actor.process is None:
            return  # the judge and fate take no time
        self.crash_point(name)
        self.sleep(self.pause())

    def crash_point(self, name: str) -> None:
        """A place where the process may die, but where nobody else can come in between."""
        actor = self.current
        if actor is None or actor.process is None:
            return
        self._check(actor)
        self.boundaries += 1
        line = f"{self.now} {actor.process.name} {name}"
        self._digest.update(line.encode())
        if self.trace is not None:
            self.trace.append(line)
        if self.random.random() < self.crash_rate and self.crashes < MOST_CRASHES:
            self.kill(actor.process)
            raise Crash

    def kill(self, process: Process) -> None:
        """SIGKILL: all threads of a process, wherever they are."""
        if not process.alive:
            return
        self.crashes += 1
        process.alive = False
        if self.trace is not None:
            self.trace.append(f"{self.now} {process.name} is killed")
        for actor in process.actors:
            if not actor.done and actor is not self.current:
                self._wake_at(actor, self.now)
        self.on_death(process)

    def _check(self, actor: Actor) -> None:
        if actor.process is not None and not actor.process.alive:
            raise Crash

    def fingerprint(self) -> str:
        """What happened, in one word: equal for equal runs."""
        return self._digest.hexdigest()[:16]
