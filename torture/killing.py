"""One kill: start, work, die at the failpoint, check, start again, repeat what got no answer, drain, check."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

from tallystick import Tally
from tallystick.sandbox import Sandbox
from tallystick.storage import open_store
from torture import checks
from torture.application import ORDERS, transaction
from torture.calls import ESTIMATE, Call, Client, calls_of, quantity_of
from torture.clocks import LaterClock, tally
from torture.forge import Forge, Process
from torture.plan import Kill
from torture.records import Records, read

LATER = 45  # seconds; leases (10 s) and slots (30 s) of the dead have run out
STARTING, WORKING, STOPPING = 20.0, 4.0, 10.0
KEY = "sk_test_torture"
METERS = ("held", "unheld", "orders", "expiring", "spooled")
CONFIG = """\
tenant = "torture"
mode = "test"
[meters.held]
[meters.unheld]
hold = false
[meters.orders]
hold = false
[meters.spooled]
hold = false
on_ledger_failure = "allow_and_spool"
[store]
spool = "{spool}"
[meters.expiring]
hold_seconds = 30
on_expiry = "settle"
settle_at = {estimate}
[delivery]
inline = {inline}
budget_ms = 200
relay = "process"
"""


@dataclass
class Outcome:
    """What a kill came to; no problems means that every invariant held."""

    number: int
    what: str
    died: bool
    answered: int
    unanswered: int
    problems: list[str] = field(default_factory=list)


class Batch:
    """What some kills share: a sandbox, a PostgreSQL database, a SQLite file to copy; customers of their own."""

    def __init__(self, forge: Forge, folder: Path, kills: Sequence[Kill], postgres: str) -> None:
        self._forge = forge
        self._folder = folder
        self._postgres = postgres
        self._customers = {kill.number: [f"k{kill.number}{name}" for name in "abc"] for kill in kills}
        self.sandbox = Sandbox.start()
        meters = {m: {"formula": "sum", "unit_amount_decimal": "1"} for m in METERS}
        names = [name for customers in self._customers.values() for name in customers]
        self._links = self.sandbox.provision(meters=meters, customers=names)["customers"]
        self._names = {provider: name for name, provider in self._links.items()}
        self._template = folder / "template.db"
        if any(kill.dialect == "sqlite" for kill in kills):
            self._prepare(f"sqlite:///{self._template}")
        if any(kill.dialect == "postgres" for kill in kills):
            self._prepare(postgres)

    def close(self) -> None:
        """Stop the sandbox."""
        self.sandbox.stop()

    def _prepare(self, url: str) -> None:
        open_store(url, auto_migrate=True).close()
        with transaction(url) as db:
            db.execute(ORDERS)
        with tally(self._environ(url, "template")) as made:
            made.links.link(self._links)

    def _environ(self, url: str, name: str, inline: str = "false") -> dict[str, str]:
        config = self._folder / f"{name}.toml"
        spool = self._folder / f"{name}.spool"
        config.write_text(CONFIG.format(inline=inline, estimate=ESTIMATE, spool=spool))
        return {
            "TALLYSTICK_CONFIG": str(config),
            "TALLYSTICK_STORE": url,
            "STRIPE_API_KEY": KEY,
            "STRIPE_API_BASE": self.sandbox.url,
            "TORTURE_CONTROL": os.environ.get("TORTURE_CONTROL", ""),
        }

    def run(self, kill: Kill) -> Outcome:
        """Run one kill on a ledger that nobody else uses meanwhile."""
        url = self._postgres
        if kill.dialect == "sqlite":
            file = self._folder / f"{kill.number}.db"
            shutil.copyfile(self._template, file)
            url = f"sqlite:///{file}"
        inline = "true" if kill.scenario == "app" else "false"
        one = _One(self, kill, self._customers[kill.number], self._environ(url, f"{kill.number}", inline))
        outcome = one.run()
        if kill.dialect == "sqlite" and not outcome.problems:
            for each in self._folder.glob(f"{kill.number}.db*"):
                each.unlink()
        return outcome

    def start(self, role: str, order: dict[str, Any], *sockets: socket.socket) -> Process:
        """A process that may be killed."""
        return self._forge.start(role, order, *sockets)

    def totals(self, customers: Sequence[str]) -> dict[tuple[str, str], Decimal]:
        """The provider's totals of these customers."""
        found = {}
        for row in self.sandbox.totals():
            name = self._names[row["customer"]]
            if name in customers:
                found[name, row["event_name"]] = Decimal(row["total"])
        return found


class _One:
    def __init__(self, batch: Batch, kill: Kill, customers: list[str], environ: dict[str, str]) -> None:
        self._batch = batch
        self._kill = kill
        self._customers = customers
        self._environ = environ
        self._url = environ["TALLYSTICK_STORE"]
        self._lists = calls_of(customers)
        self._calls = [call for calls in self._lists for call in calls]

    def run(self) -> Outcome:
        died = getattr(self, f"_{self._kill.scenario}")()
        before = read(self._url, self._customers)
        problems = [] if died else [f"{self._kill.point} was not reached"]
        problems += checks.after_the_kill(before, self._calls)
        answered = sum(call.answered for call in self._calls)
        outcome = Outcome(
            self._kill.number, str(self._kill), died, answered, len(self._calls) - answered, problems
        )
        self._repeat()
        self._drain(LATER)
        problems += self._after(before)
        return outcome

    def _after(self, before: Records) -> list[str]:
        after = read(self._url, self._customers)
        problems = checks.after_the_drain(before, after, self._calls, self._batch.totals(self._customers))
        with tally({**self._environ}) as made:
            lanes = {row[0] for row in after.entries.values()}
            problems += [f"T4: {why}" for lane in sorted(lanes) for why in _broken(made, lane)]
            if made.ledger.totals() != made.ledger.recomputed_totals():
                problems.append("T12: the totals are not what the entries add up to")
        return problems

    # The ways to die

    def _app(self) -> bool:
        with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
            victim = self._batch.start("app", self._order(armed=True), listener)
            clients = [Client(listener.getsockname(), calls) for calls in self._lists]
            for client in clients:
                client.start()
            died = self._kill_at_the_point(victim, clients)
        for client in clients:
            client.join()
        return died

    def _relay(self) -> bool:
        self._record()
        victim = self._batch.start("relay", {**self._order(armed=True), "arguments": []})
        if self._kill.signal == "STOP":
            return self._stop_and_wake(victim)
        return self._kill_at_the_point(victim, [])

    def _once(self) -> bool:
        self._record()
        victim = self._batch.start("relay", {**self._order(armed=True), "arguments": ["--once"]})
        return self._kill_at_the_point(victim, [])

    def _again(self) -> bool:
        """A kill in the middle of a call, then another one while the relay takes it up again."""
        self._record()
        order = self._order(armed=False)
        order["environ"]["TALLYSTICK_FAILPOINT"] = "transport.sent:3:KILL"  # behind the looks of upkeep
        first = self._batch.start("relay", {**order, "arguments": []})
        first.wait(STARTING)
        second = self._batch.start("later", {**self._order(armed=True), "seconds": LATER})
        died = self._kill_at_the_point(second, [])
        self._drain(2 * LATER)
        return died

    def _expiry(self) -> bool:
        """A worker dies in the middle of its actions; a relay dies while their holds expire by policy."""
        self._calls[:] = [Call("expiring", c, f"{c}-expiring-{n}") for c in self._customers for n in range(3)]
        jobs = [(call.customer, call.job) for call in self._calls]
        worker = self._batch.start("abandon", {**self._order(armed=False), "jobs": jobs})
        worker.wait(STARTING)
        victim = self._batch.start("later", {**self._order(armed=True), "seconds": LATER})
        died = self._kill_at_the_point(victim, [])
        self._drain(2 * LATER)
        for call in self._calls:
            call.status = 200  # each must be billed now, once, with the estimate
        return died

    def _spool(self) -> bool:
        """The ledger cannot write: a worker dies while it spools, or a relay while it replays what is left."""
        self._calls[:] = [Call("spooled", c, f"{c}-spooled-{n}") for c in self._customers for n in range(3)]
        jobs = [(call.customer, call.job) for call in self._calls]
        spooling = self._kill.point in ("spool.keeping", "spool.kept")
        worker = self._batch.start("spooling", {**self._order(armed=spooling), "jobs": jobs})
        if spooling:
            died = self._kill_at_the_point(worker, [])
        else:
            worker.wait(STARTING)
            victim = self._batch.start("later", {**self._order(armed=True), "seconds": LATER})
            died = self._kill_at_the_point(victim, [])
        self._drain(2 * LATER)
        told = worker.text.splitlines()
        for call in self._calls:
            call.status = 200 if f"kept {call.job}" in told else 0
        return died

    def _kill_at_the_point(self, victim: Process, clients: Sequence[Client]) -> bool:
        """Wait until it comes to the failpoint and dies of it; whether it did."""
        word = f"failpoint {self._kill.point}\n"
        for _ in range(int(STARTING / 0.25)):
            if victim.wait(0.25, word=word) or (clients and not any(client.is_alive() for client in clients)):
                break
        reached = victim.wait(WORKING, word=word) and word in victim.text
        if reached and self._kill.signal == "TERM":
            victim.wait(self._kill.grace)
        if not reached or self._kill.signal == "TERM":
            victim.kill()
        victim.wait(STOPPING)
        if not reached:
            victim.text += f"\n(ended with {victim.status})"
        ends = {-signal.SIGKILL} if self._kill.signal == "KILL" else {-signal.SIGKILL, -signal.SIGTERM, 0}
        return reached and victim.status in ends

    def _stop_and_wake(self, victim: Process) -> bool:
        """The process freezes, another one does its work, then it wakes up and goes on as if nothing was."""
        word = f"failpoint {self._kill.point}\n"
        reached = victim.wait(STARTING, word=word) and word in victim.text
        self._drain(LATER)
        victim.kill(signal.SIGCONT)
        victim.wait(0.3)
        victim.kill(signal.SIGTERM)
        if not victim.wait(STOPPING):
            victim.kill()
            victim.wait(STOPPING)
        return reached

    # What happens around it

    def _order(self, *, armed: bool) -> dict[str, Any]:
        plan = f"{self._kill.point}:{self._kill.visit}:{self._kill.signal}" if armed else ""
        return {"environ": {**self._environ, "TALLYSTICK_FAILPOINT": plan}}

    def _record(self) -> None:
        """Record every call as a job does, without a server; the orders with their rows."""
        with tally(self._environ) as made:
            rows = [call for call in self._calls if call.meter != "orders"]
            made.record_many(
                [
                    {"meter": c.meter, "quantity": quantity_of(c.job), "customer": c.customer, "key": c.job}
                    for c in rows
                ]
            )
            self._calls[:] = rows
        for call in rows:
            call.status = 200

    def _repeat(self) -> None:
        """Repeat what got no answer, as a client does, against a process started anew."""
        left = [[call for call in calls if not call.answered] for calls in self._lists]
        left = [calls for calls in left if calls]
        if self._kill.scenario != "app" or not left:
            return
        with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
            server = self._batch.start("app", self._order(armed=False), listener)
            clients = [Client(listener.getsockname(), calls) for calls in left]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
            server.kill()  # what it has answered now must be there as well
            server.wait(STOPPING)
        unanswered = [call.job for calls in left for call in calls if not call.answered]
        if unanswered:
            raise RuntimeError(f"the application did not come back for {unanswered}: {server.text}")

    def _drain(self, seconds: int) -> None:
        """A relay of a later time: sends, tries again and sequences until nothing is owed."""
        with tally(self._environ, clock=LaterClock(seconds)) as made:
            assert made.relay is not None
            made.relay.drain(wait_seconds=5)


def _broken(made: Tally, lane: int) -> list[str]:
    from tallystick.ledger import reading

    return made.ledger.read(reading.broken_links(lane))


def database(server: str, name: str) -> str:
    """An empty database on a PostgreSQL server; its URL."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    parts = psycopg.conninfo.conninfo_to_dict(server)
    port = f"&port={parts['port']}" if "port" in parts else ""
    user = f"{parts.get('user', 'postgres')}:{parts.get('password', '')}"
    return f"postgresql://{user}@/{name}?host={parts.get('host', '')}{port}"


def drop(server: str, name: str) -> None:
    """Remove it again."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"drop database if exists {name} with (force)")


__all__ = ["Batch", "Call", "Outcome", "database", "drop"]
