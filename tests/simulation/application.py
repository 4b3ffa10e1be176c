"""The application under simulation: its clients, its requests, its relays, and who restarts them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tallystick import Catalogue, Formula, Meter, Tally
from tallystick.delivery import due
from tallystick.errors import LedgerError
from tallystick.ledger.model import Entry, Kind, Posting
from tallystick.values.identifiers import lane_of
from tests.simulation.person import Person
from tests.simulation.plan import ABSOLUTES, DAY, HOUR, SECOND, WAYS, Plan
from tests.simulation.restored import SETTLED, Note, back_up, recover, told, wishes
from tests.simulation.seams import BrittleStore, application_connection, start_tally
from tests.simulation.stand_in import StandIn
from tests.simulation.stripe_account import StripeAccount
from tests.simulation.witness import Witness
from tests.simulation.world import NEVER, Actor, Process, World

METERS = Catalogue(
    [
        Meter("tokens", hold=False),
        Meter("calls", formula=Formula.COUNT),
        Meter("gb", decimals=3),
        Meter("seats", formula=Formula.LAST, carry=True, hold=False),
        Meter("peak", formula=Formula.MAX, hold=False),
        Meter("people", formula=Formula.UNIQUE, unique_of="user", hold=False),
    ]
)
LINKS = {"org_a": "cus_a", "org_b": "cus_b", "org_c": "cus_c", "org_gone": "cus_gone"}


def _told(plan: Plan) -> Catalogue:
    """The meters that the application declares: by some ways not all can be told."""
    return METERS if plan.way == WAYS[0] else Catalogue([METERS[name] for name in plan.meters])


@dataclass
class Wish:
    """One thing that a client asks for, and what its own log says became of it."""

    number: int
    kind: str
    mode: str
    customer: str
    meter: str
    steps: int
    key: str | None = None
    attempts: int = 0
    acknowledged: bool = False
    expects: int | None = None  # steps that must stand in the ledger once acknowledged (None: no entry)
    conflicting: bool = False

    @property
    def mark(self) -> dict[str, int]:
        """The attributes that tell which wish an entry came from, and of which of the application's users."""
        return {"wish": self.number, "user": user_of(self.number)}


def user_of(wish: int) -> int:
    """Who sat before the screen: one of a few, so that the same come again."""
    return wish * 7 % 5


@dataclass
class Machine:
    """A process and what runs in it."""

    process: Process
    tallies: dict[str, Tally]
    relays: list[Actor] = field(default_factory=list)


class Application:
    """Two web processes and two relays on one database; whoever dies is started again."""

    def __init__(
        self, world: World, plan: Plan, path: Path, accounts: Mapping[str, StripeAccount | StandIn]
    ) -> None:
        self.world = world
        self.plan = plan
        self.path = path
        self.accounts = accounts
        self.modes = ["test", "live"] if plan.with_live else ["test"]
        self.machines: dict[str, Machine] = {}
        self.wishes: list[Wish] = []
        self.closing = False
        self.witness = Witness(path)
        self.notes = {mode: Note() for mode in self.modes} if plan.restored else {}
        self.lost: Path | None = None  # the database that a backup took the place of
        self.gone: set[int] = set()  # wishes that only that one knew
        self._incarnations = 0
        self._random = Random(f"wishes {plan.seed}")
        world.on_death = self._bury

    # Processes

    def start(self, name: str) -> None:
        """Start a process, unless it runs or nothing may run now."""
        machine = self.machines.get(name)
        if self.closing or self._dark() or (machine is not None and machine.process.alive):
            return
        self._incarnations += 1
        process = Process(self.world, name, self.plan.skews.get(name, 0))
        # A new process opens its database before anything can go wrong with it.
        machine = self.machines[name] = Machine(process, {m: self._tally(process, m) for m in self.modes})
        if name.startswith("relay"):
            for tally in machine.tallies.values():
                machine.relays.append(self.world.spawn(process, lambda t=tally: self._relay(t)))  # type: ignore[misc]

    def _tally(self, process: Process, mode: str) -> Tally:
        plan = self.plan
        store = BrittleStore(
            self.path, self.world, busy_rate=plan.busy_rate, unreachable_rate=plan.unreachable_rate
        )
        number = self._incarnations * 2 + (mode == "live")
        return start_tally(
            self.world,
            process,
            store,
            _told(plan),
            self.accounts[mode],
            self.witness,
            way=plan.way,
            mode=mode,
            incarnation=number,
            note=self.notes.get(mode),
        )

    def _dark(self) -> bool:
        blackout = self.plan.blackout
        return blackout is not None and blackout[0] <= self.world.now < blackout[1]

    def _bury(self, process: Process) -> None:
        """A dead process leaves its file open; its supervisor starts it again after a while."""
        wait = int(self._random.expovariate(1 / 10)) * SECOND + SECOND
        self.world.spawn(None, lambda: self.start(process.name), at=self.world.now + wait)

    def kill_all(self) -> None:
        """End every process where it stands."""
        for machine in self.machines.values():
            self.world.kill(machine.process)

    def nudge(self) -> None:
        """Relays look again soon (a real one looks twice a second)."""
        for machine in self.machines.values():
            for relay in machine.relays:
                self.world.nudge(relay, self.world.now + self._random.randrange(1, 4 * SECOND))

    def _relay(self, tally: Tally) -> None:
        relay, world = tally.relay, self.world
        assert relay is not None
        assert tally.sender is not None
        while True:
            try:
                idle = not relay._hold_lease() or relay.step().idle
                soonest = tally.ledger.read(due.next_due(tally.ledger.where))
            except LedgerError:
                idle, soonest = True, world.now
            if idle:
                rest = NEVER // 4 if soonest is None else max(soonest - world.now, 0)
                lazy = int(self._random.expovariate(1 / self.plan.laziness))
                if self.plan.meters == ABSOLUTES:  # values are carried when nothing is due
                    rest, lazy = 0, self._random.randrange(self.plan.rest_at(world.now))
                rest = max(rest, int(tally.sender.breaker.closes_in_seconds * SECOND), SECOND)
                world.sleep(rest + lazy)

    # Clients

    def schedule(self) -> None:
        """Enter everything that will happen into the schedule."""
        world, plan = self.world, self.plan
        for name in ("app1", "app2", "relay1", "relay2"):
            world.spawn(None, lambda n=name: self.start(n))  # type: ignore[misc]
        for at, count in plan.bursts:
            world.spawn(None, lambda n=count: self._burst(n), at=at)  # type: ignore[misc]
        for at, name, skew in plan.jumps:
            world.spawn(None, lambda n=name, s=skew: self._jump(n, s), at=at)  # type: ignore[misc]
        if plan.restored is not None:
            world.spawn(None, self._back_up, at=plan.restored[0])
        if plan.blackout is not None:
            world.spawn(None, self.kill_all, at=plan.blackout[0])
            for name in ("app1", "app2", "relay1", "relay2"):
                world.spawn(None, lambda n=name: self.start(n), at=plan.blackout[1])  # type: ignore[misc]

    def _back_up(self) -> None:
        assert self.plan.restored is not None
        copy = self.path.with_suffix(".backup.db")
        back_up(self.path, copy)
        known = {mode: note.generation for mode, note in self.notes.items()}
        self.world.spawn(None, lambda: self._restore(copy, known), at=self.plan.restored[1])

    def _restore(self, copy: Path, known: dict[str, int]) -> None:
        """Put the copy in the place of the database, once every anchor says more than it did then."""
        if any(self.notes[mode].generation < known[mode] + 2 for mode in self.modes):
            self.world.spawn(None, lambda: self._restore(copy, known), at=self.world.now + 60 * SECOND)
            return
        self.kill_all()
        self.lost, self.path = self.path, copy
        self.gone = wishes(self.lost) - wishes(copy)
        self.witness.close()
        self.witness = Witness(copy)
        wait = (SETTLED + self._random.randrange(3600)) * SECOND
        self.world.spawn(None, self._recover, at=self.world.now + wait)

    def _recover(self) -> None:
        """A person recovers each mode, and tries again while the provider is away."""
        self._incarnations += 1
        process = Process(self.world, "the person")
        for mode in self.modes:
            if not recover(self._tally(process, mode), self._sent(mode)):
                self.world.spawn(None, self._recover, at=self.world.now + HOUR)
                return
        self.nudge()

    def _sent(self, mode: str) -> set[int]:
        """The wishes that the provider was told of by the database that is lost."""
        assert self.lost is not None
        return set(told(self.lost, {event.identifier for event in self.accounts[mode].events}))

    def _jump(self, name: str, skew: int) -> None:
        self.plan.skews[name] = skew
        if name in self.machines:
            self.machines[name].process.skew = skew

    def _burst(self, count: int) -> None:
        # Some bursts are one customer's on one meter: they compete for a slot and share dispatches.
        shared = (self._random.choice(["org_a", "org_b"]), self.plan.meters[0])
        place = shared if self._random.random() < 0.4 else None
        for _ in range(count):
            self.send(self._wish(place))
            self.world.sleep(self._random.choice([0, 0, 0, SECOND // 10, SECOND]))

    def _wish(self, place: tuple[str, str] | None) -> Wish:
        random = self._random
        kinds: tuple[str, ...] = (
            "record",
            "record",
            "keyed",
            "action",
            "failing",
            "ride",
            "rollback",
            "many",
            "repeat",
            "correction",
        )
        if self.plan.restored is not None:  # a key that is lost says nothing about a repeat
            kinds = ("record", "record", "action", "failing", "ride", "rollback", "many", "correction")
        if self.plan.meters == ABSOLUTES:  # what stands, each time: nothing adds up
            kinds = ("record", "record", "keyed", "ride", "rollback", "repeat")
        kind = random.choice(kinds)
        earlier = [w for w in self.wishes if w.key is not None]
        if kind == "repeat" and not earlier:
            kind = "keyed"
        customer, meter = place or (
            random.choice(self.plan.customers),
            random.choice(self.plan.meters),
        )
        steps = (
            1
            if meter == "calls"
            else random.choice([1, 7, 1500, 10**9, 10**6 + 1, random.randrange(1, self.plan.largest)])
        )
        if meter in ABSOLUTES:
            steps = 1 if meter == "people" else random.randrange(1, 100)
        number = len(self.wishes)
        keyed = kind in ("keyed", "action", "failing") and random.random() < 0.7 and not self.plan.restored
        key = f"job:{number}" if keyed else None
        wish = Wish(number, kind, random.choice(self.modes), customer, meter, steps, key)
        if kind == "repeat":
            first = random.choice(earlier)
            wish.mode, wish.customer, wish.meter, wish.key = (
                first.mode,
                first.customer,
                first.meter,
                first.key,
            )
            wish.steps = first.steps + (first.meter not in ("calls", "people"))
        self.wishes.append(wish)
        return wish

    def send(self, wish: Wish) -> None:
        """A client calls one of the web processes, if any runs."""
        machine = self.machines.get(self._random.choice(["app1", "app2"]))
        if machine is None or not machine.process.alive:
            self._again(wish)
            return
        self.world.spawn(machine.process, lambda: self._serve(machine.tallies[wish.mode], wish))
        # The client gives up waiting at some time; with a key it asks again.
        self._again(wish)

    def _again(self, wish: Wish) -> None:
        if wish.key is not None and wish.attempts < 6 and not self.closing:
            wish.attempts += 1
            wait = self._random.choice([2, 30, 90, 600]) * SECOND
            self.world.spawn(
                None, lambda: None if wish.acknowledged else self.send(wish), at=self.world.now + wait
            )

    def _serve(self, tally: Tally, wish: Wish) -> None:
        with suppress(LedgerError):
            expects = getattr(self, f"_{wish.kind}")(tally, wish)
            self.world.boundary("response")
            wish.acknowledged, wish.expects = True, expects
        self.nudge()

    def _quantity(self, wish: Wish) -> Any:
        from decimal import Decimal

        return Decimal(wish.steps).scaleb(-METERS[wish.meter].decimals)

    def _record(self, tally: Tally, wish: Wish) -> int:
        answer = tally.record(
            wish.meter, self._quantity(wish), customer=wish.customer, key=wish.key, attributes=wish.mark
        )
        wish.conflicting = bool(answer.conflicting)
        return wish.steps

    _keyed = _repeat = _record

    def _many(self, tally: Tally, wish: Wish) -> int:
        row = {"meter": wish.meter, "customer": wish.customer, "attributes": wish.mark}
        tally.record_many([{**row, "quantity": self._quantity(wish)}, {**row, "quantity": 0}])
        return wish.steps

    def _action(self, tally: Tally, wish: Wish) -> int:
        with tally.action(wish.meter, customer=wish.customer, key=wish.key, attributes=wish.mark) as action:
            self.world.boundary("the work")
            action.add(self._quantity(wish))
            self.world.boundary("the rest of the work")
        return wish.steps

    def _failing(self, tally: Tally, wish: Wish) -> int | None:
        """What was counted before the exception counts; nothing counted is void."""
        early = wish.steps % 2 == 0
        with (
            suppress(ZeroDivisionError),
            tally.action(wish.meter, customer=wish.customer, key=wish.key, attributes=wish.mark) as action,
        ):
            if not early:
                action.add(self._quantity(wish))
            self.world.boundary("before it fails")
            raise ZeroDivisionError
        return None if early else wish.steps

    def _ride(self, tally: Tally, wish: Wish) -> int | None:
        with closing(application_connection(self.path)) as connection:
            self.world.crash_point("application's row")
            connection.execute("insert into app_rows (wish) values (?)", (wish.number,))
            tally.record(
                wish.meter, self._quantity(wish), customer=wish.customer, attributes=wish.mark, on=connection
            )
            self.world.crash_point("application's commit")
            connection.execute("rollback" if wish.kind == "rollback" else "commit")
        return None if wish.kind == "rollback" else wish.steps

    _rollback = _ride

    def _correction(self, tally: Tally, wish: Wish) -> int:
        wish.steps = -abs(wish.steps)
        lane = lane_of("default", wish.mode, wish.customer)
        mark = f'{{"wish":{wish.number}}}'
        entry = Entry(
            lane,
            tally.ledger.ids.next(),
            Kind.CORRECTION,
            "default",
            wish.mode,
            "",
            wish.customer,
            wish.meter,
            wish.steps,
            attributes=mark,
        )
        tally.ledger.post(Posting((entry,)))
        return wish.steps

    # The end

    def settle(self) -> dict[str, Tally]:
        """Everything dies once more, everything is healed, and new relays work off what is left."""
        self.closing = True
        self.kill_all()
        self.world.run(self.world.now + SECOND)
        for account in self.accounts.values():
            account.faults.cured = True  # type: ignore[attr-defined]
            account.later.share = account.later.silent_share = 0
        self._incarnations += 1
        process = Process(self.world, "judge")
        tallies = {mode: self._tally(process, mode) for mode in self.modes}
        if self.lost is not None:
            for mode, tally in tallies.items():
                recover(tally, self._sent(mode))
        for tally in tallies.values():
            self._drain(tally)
        if self.plan.hell is not None:
            for mode, tally in tallies.items():
                person = Person(self.path, mode, self.accounts[mode], tally)
                person.mend()
                person.decide(lambda t=tally: self._drain(t))  # type: ignore[misc]
        return tallies

    def _drain(self, tally: Tally) -> None:
        """Work until nothing moves any more; the clock goes from one due instant to the next."""
        relay, deadline, quiet, looked, idle = tally.relay, self.world.now + 30 * DAY, 0, 0, 0
        assert relay is not None
        relay._pool = InTurn()  # type: ignore[assignment]
        while quiet < 3 and self.world.now < deadline:
            relay._hold_lease()
            if not relay.step().idle:
                idle = 0
                continue
            idle += 1
            status = tally.status()
            soonest = tally.ledger.read(due.next_due(tally.ledger.where))
            if tally.rejections is not None:  # its doubts come later, and take up to a day
                looked += 1
                soonest = min(self.world.now + HOUR, soonest or NEVER)
            looked += self.plan.meters == ABSOLUTES
            waits = (
                status.in_delivery
                or (self.plan.meters == ABSOLUTES and looked < 24)
                or (tally.rejections and (looked < 6 or tally.rejections.standing().get("open")))
            )
            quiet = 0 if waits else quiet + 1
            again = SECOND << min(idle, 6)  # what is due may have to wait for hours all the same
            wait = again if soonest is None else max(soonest - self.world.now, again)
            self.world.now += min(wait, HOUR)
        relay._let_go()


class InTurn:
    """A pool of one: the judge's relay has nobody beside it."""

    def map(self, function: Any, items: Any) -> Any:
        """One after the other."""
        return map(function, items)

    def shutdown(self) -> None:
        """Nothing to stop."""
