"""The judge: reads the database with SQL of its own, asks the provider and the clients, and compares.

T1 to T6 and T9 to T12 of what must hold; everything it says names the entries or dispatches it is about.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from tallystick import Tally
from tests.simulation import absolutes, restored
from tests.simulation.afterthoughts import SILENT
from tests.simulation.application import LINKS, METERS, Application, Wish
from tests.simulation.billing import Subscription, invoice_lines
from tests.simulation.person import ANEW, OWNERS
from tests.simulation.plan import ABSOLUTES, SECOND, SUMS, Plan
from tests.simulation.stand_in import LAGO, StandIn
from tests.simulation.stripe_account import Event, StripeAccount

LISTED = ("ready", "sending", "unknown", "parked")  # not known to be delivered
DONE = ("accepted", "confirmed")
RECOVERED = -1  # the wish of an entry that was found at the provider after a restore
RESTORED = (  # what a recovery says of a dispatch; only of their sum it says so for sure
    "the provider had it when this ledger was restored",
    "the provider's totals lacked it when this ledger was restored; sent under a new identity",
)
DISPATCHES = """
select dispatch, mode, customer, meter, quantity, value, identifier, happened_at, state, reason,
provider_customer, provider_meter, first_sent_at from tallystick_dispatches
"""
Place = tuple[str, str, str, int]  # mode, customer, meter, period


@dataclass(frozen=True)
class Row:
    """A usage or correction as it stands in the table."""

    entry: bytes
    mode: str
    customer: str
    meter: str
    steps: int
    key: str | None
    wish: int
    second: int
    recorded_at: int


def _row(r: Any) -> Row:
    about = json.loads(r[6])
    wish = about.get("wish", RECOVERED)
    second = (r[9] if wish == RECOVERED else r[7]) // SECOND
    return Row(bytes(r[0]), r[1], r[2], r[3], r[4], r[5], wish, second, r[7])


def minute_of(d: Any) -> Place:
    """The mode, provider customer and meter, and minute of a dispatch as read: the finest total there is."""
    return d[1], d[10], d[11], d[7] // 60


class Judge:
    """Everything that is wrong after a run, as lines of text."""

    def __init__(self, application: Application, tallies: dict[str, Tally]) -> None:
        self.application = application
        self.plan: Plan = application.plan
        self.accounts: Mapping[str, StripeAccount | StandIn] = application.accounts
        self.tallies = tallies
        self.problems: list[str] = []
        self.parked = 0
        with closing(sqlite3.connect(application.path)) as connection:
            self._read(connection, application.path)

    def _read(self, connection: sqlite3.Connection, path: Path) -> None:
        def ask(sql: str) -> list[Any]:
            return connection.execute(sql).fetchall()

        entries = ask(
            "select entry, mode, customer, meter, quantity, key, attributes, recorded_at, kind, occurred_at "
            "from tallystick_entries"
        )
        self.rows = [_row(r) for r in entries if r[8] > 1]
        self.holds = {bytes(r[0]): r[1] for r in entries if r[8] == 1}
        self.resolved = {bytes(r[0]) for r in ask("select hold from tallystick_resolutions")}
        self.settled = {bytes(r[0]) for r in ask("select hold from tallystick_resolutions where outcome = 1")}
        self.refers = [r[0] for r in ask("select refers from tallystick_entries where refers is not null")]
        self.owed = {
            bytes(e): d and bytes(d) for e, d in ask("select entry, dispatch from tallystick_obligations")
        }
        self.dispatches = ask(DISPATCHES)
        self.lost_dispatches: list[Any] = []
        if self.application.lost is not None:
            with closing(sqlite3.connect(self.application.lost)) as lost:
                self.lost_dispatches = lost.execute(DISPATCHES).fetchall()
        self.app_rows = {r[0] for r in ask("select wish from app_rows")}

    def check(self) -> list[str]:
        """All checks; empty when everything holds."""
        self._clients()
        self._keys()
        self._holds()
        self._obligations()
        self._events()
        self._conservation()
        self.problems += absolutes.problems(self) + restored.problems(self)
        self._ledger()
        for mode, account in self.accounts.items():
            self.problems += [f"{mode}: {violation}" for violation in account.violations]
        if self.plan.exact:
            self._invoices()
        return self.problems

    # The clients' own log against the ledger

    def _clients(self) -> None:
        """T1, T2, T10: what was acknowledged is there, exactly; what is there was asked for."""
        found: dict[int, list[Row]] = defaultdict(list)
        for row in self.rows:
            if row.wish != RECOVERED:
                found[row.wish].append(row)
        for wish in self.application.wishes:
            if wish.number in self.application.gone:
                continue
            rows = [row for row in found.pop(wish.number, []) if row.steps]
            for row in rows:
                if (row.mode, row.customer, row.meter) != (wish.mode, wish.customer, wish.meter):
                    self.problems.append(f"wish {wish.number} landed elsewhere: {row}")
            if wish.kind in ("ride", "rollback") and (wish.number in self.app_rows) != bool(rows):
                self.problems.append(f"T1: wish {wish.number}: the application's row and the entry differ")
            if wish.key is None:
                self._one(wish, rows)
        self.problems += [f"nobody asked for {rows}" for rows in found.values()]

    def _one(self, wish: Wish, rows: list[Row]) -> None:
        possible = (
            []
            if wish.kind == "rollback" or (wish.kind == "failing" and wish.steps % 2 == 0)
            else [wish.steps]
        )
        got = [row.steps for row in rows]
        if got not in ([], possible):
            self.problems.append(
                f"wish {wish.number} ({wish.kind}) asked for {possible}, the ledger has {got}"
            )
        if wish.acknowledged and got != ([] if wish.expects is None else [wish.expects]):
            self.problems.append(f"T2: wish {wish.number} was told {wish.expects}, the ledger has {got}")

    def _keys(self) -> None:
        """T3: one entry per key, however often it was asked for."""
        groups: dict[tuple[str, str, str, str], list[Wish]] = defaultdict(list)
        for wish in self.application.wishes:
            if wish.key is not None:
                groups[wish.mode, wish.customer, wish.meter, wish.key].append(wish)
        keyed = [r for r in self.rows if r.key is not None and r.wish != RECOVERED]
        rows = Counter((r.mode, r.customer, r.meter, r.key) for r in keyed)
        steps = {(r.mode, r.customer, r.meter, r.key): r for r in self.rows}
        for place, wishes in groups.items():
            count = rows.pop(place, 0)
            told = any(wish.acknowledged and wish.expects is not None for wish in wishes)
            if count > 1 or (told and count != 1):
                self.problems.append(f"T3: key {place} has {count} entries, acknowledged: {told}")
            if count and steps[place].steps not in {w.steps for w in wishes if w.number == steps[place].wish}:
                self.problems.append(f"T3: key {place} stands for another quantity than its wish")
        self.problems += [f"T3: key {place} was never asked for" for place in rows]

    def _holds(self) -> None:
        """T5: a hold is resolved or listed; a settled one has its usage, an open one has none."""
        listed = {hold.entry for tally in self.tallies.values() for hold in tally.ledger.open_holds(10**6)}
        if listed != set(self.holds) - self.resolved:
            self.problems.append(
                f"T5: {len(listed)} holds are listed, {len(set(self.holds) - self.resolved)} open"
            )
        used = Counter(bytes(hold) for hold in self.refers)
        for hold, count in used.items():
            if hold not in self.settled or count > 1:
                self.problems.append(
                    f"T5: hold {hold.hex()} has {count} usages, settled: {hold in self.settled}"
                )

    # The ledger against deliveries, deliveries against the provider

    def _obligations(self) -> None:
        """Every usage is owed once, and a dispatch carries exactly its entries."""
        steps = {row.entry: row.steps for row in self.rows}
        meters = {row.entry: row.meter for row in self.rows}
        if set(self.owed) != {entry for entry, quantity in steps.items() if quantity}:
            self.problems.append("the obligations are not the entries with a quantity")
        carried: Counter[bytes] = Counter()
        for entry, dispatch in self.owed.items():
            if dispatch is not None and meters[entry] not in ABSOLUTES:
                carried[dispatch] += steps[entry]
        frozen: Counter[bytes] = Counter()
        for dispatch, _, _, meter, quantity, _, _, _, state, *_ in self.dispatches:
            if (
                state != "refused" and meter not in ABSOLUTES
            ):  # proven absent: its successor carries the entries
                frozen[bytes(dispatch)] += quantity
        for dispatch in carried.keys() | frozen.keys():
            if carried[dispatch] != frozen[dispatch]:
                self.problems.append(
                    f"dispatch {dispatch.hex()} says {frozen[dispatch]}, its entries {carried[dispatch]}"
                )

    def _events(self) -> None:
        """T9: what the provider counted is one of our dispatches, as it was frozen, once.

        An absolute stands for itself, and may come again when the provider has forgotten its identifier.
        """
        mine = {(d[1], d[6]): d for d in self.dispatches}
        known = {(d[1], d[6]): d for d in self.lost_dispatches} | mine
        counted: Counter[tuple[str, str]] = Counter()
        for mode, account in self.accounts.items():
            for event in account.events:
                counted[mode, event.identifier] += 1
                frozen = known.get((mode, event.identifier))
                if frozen is None:
                    self.problems.append(f"the provider counted {event}, which nobody sent in {mode}")
                elif (event.value, event.timestamp) != (Decimal(frozen[5]), frozen[7]):
                    self.problems.append(f"the provider counted {event}, the dispatch says {frozen}")
        self.problems += [
            f"{name} was counted {n} times"
            for name, n in counted.items()
            if n > 1 and not (name in known and known[name][3] in ABSOLUTES)
        ]
        said: dict[Place, list[str]] = defaultdict(list)
        net: Counter[Place] = Counter()
        for (mode, identifier), frozen in mine.items():
            believed = frozen[8] in DONE and not counted[mode, identifier] and frozen[9] not in RESTORED
            if believed and not self._lost_silently(frozen):
                said[minute_of(frozen)].append(f"{identifier} is {frozen[8]} and the provider has it not")
                net[minute_of(frozen)] += 0 if self._comes_to_nothing(identifier) else frozen[4]
            if frozen[8] in ("ready", "sending", "unknown"):
                self.problems.append(f"{identifier} is still {frozen[8]} when all is healed")
            if (
                frozen[8] == "refused"
                and frozen[3] not in ABSOLUTES
                and counted[mode, identifier]
                and frozen[9] not in RESTORED
                and not self._is_void(mode, identifier)
            ):
                said[minute_of(frozen)].append(f"{identifier} was proven absent, and the provider has it")
                net[minute_of(frozen)] -= frozen[4]
            if frozen[8] == "parked" and counted[mode, identifier] and frozen[12] is None:
                self.problems.append(f"{identifier} is listed as never sent, and the provider has it")
            if frozen[8] == "parked" and counted[mode, identifier] and self.plan.way in LAGO:
                self.problems.append(f"{identifier} is parked, and the provider has it for good")

        for minute, complaints in said.items():
            if (
                net[minute] or self.plan.hell is None
            ):  # equal quantities of one minute may stand for each other
                self.problems += complaints

    def _conservation(self) -> None:
        """T6: recorded = the provider's total + what is listed, per customer, meter and period."""
        boundaries = {s.customer: s.boundaries(2**33) for s in self._cycles()}
        recorded: Counter[Place] = Counter()
        explained: Counter[Place] = Counter()

        def place(mode: str, customer: str, meter: str, second: int) -> Place:
            cuts = boundaries.get(LINKS.get(customer, ""), [])
            if self.plan.restored is not None:  # what was found again is known by its minute
                return mode, customer, meter, sum(cut // 60 <= second // 60 for cut in cuts)
            return mode, customer, meter, sum(cut <= second for cut in cuts)

        counted = {(mode, e.identifier) for mode, a in self.accounts.items() for e in a.events}
        for row in (row for row in self.rows if row.meter in SUMS):
            recorded[place(row.mode, row.customer, row.meter, row.second)] += row.steps
            if row.steps and self.owed.get(row.entry, b"") is None:
                explained[place(row.mode, row.customer, row.meter, row.second)] += row.steps
        for mode, account in self.accounts.items():
            for event in account.events:
                if event.meter in ABSOLUTES or self._is_void(mode, event.identifier):
                    continue
                explained[place(mode, self.owner(event.customer), event.meter, event.timestamp)] += (
                    self.steps(event)
                )
        for d in self.dispatches:
            if d[3] not in ABSOLUTES and (
                (d[8] in LISTED and (d[1], d[6]) not in counted) or self._lost_silently(d)
            ):
                explained[place(d[1], d[2], d[3], d[7])] += d[4]
        for key in recorded.keys() | explained.keys():
            if recorded[key] != explained[key]:
                self.problems.append(
                    f"T6: {key}: recorded {recorded[key]}, delivered and listed {explained[key]}"
                )
        self._listing()

    def owner(self, customer: str) -> str:
        """Whose usage a customer of the provider is billed for."""
        names = {provider: name for name, provider in LINKS.items()}
        return names[customer] if customer in names else OWNERS[next(g for g in ANEW if ANEW[g] == customer)]

    def steps(self, event: Event) -> int:
        """The quantity of an event, in steps of its meter."""
        return int(event.value.scaleb(METERS[event.meter].decimals))

    def _lost_silently(self, d: Any) -> bool:
        """Whether the provider lost it without a word; then a finding names its window (the person looks)."""
        lost = {lost.identifier for lost in self.accounts[d[1]].later.lost if lost.code == SILENT}
        return d[8] == "accepted" and d[6] in lost

    def _is_void(self, mode: str, identifier: str) -> bool:
        """Whether an event was of a customer that is gone, and its usage goes to the customer's successor."""
        states = [d[8] for d in self.dispatches if (d[1], d[6]) == (mode, identifier)]
        customers = {e.customer for e in self.accounts[mode].events if e.identifier == identifier}
        gone = customers <= self.accounts[mode].deleted.keys()
        return gone and (states == ["refused"] or self._comes_to_nothing(identifier))

    def _comes_to_nothing(self, identifier: str) -> bool:
        """Whether what was accepted in the dispatch's minute adds up to nothing, for a customer that is gone."""
        own = next((d for d in self.dispatches if d[6] == identifier), None)
        if own is None:  # nobody sent it; that is said elsewhere
            return False
        gone = own[10] in self.accounts[own[1]].deleted
        return (gone and own[8] in DONE) and not sum(
            d[4] for d in self.dispatches if minute_of(d) == minute_of(own) and d[8] in DONE
        )

    def _cycles(self) -> list[Subscription]:
        return self.plan.subscriptions

    def _listing(self) -> None:
        """What could not be delivered is shown by `status`, with a reason."""
        for mode, tally in self.tallies.items():
            status = tally.status()
            parked = {d[6] for d in self.dispatches if d[1] == mode and d[8] == "parked"}
            self.parked += len(parked)
            if {d.identifier for d in status.parked} != parked or not all(d.reason for d in status.parked):
                self.problems.append(
                    f"{mode}: {len(parked)} dispatches are parked, status lists {status.parked}"
                )
            waiting = {r.entry for r in self.rows if r.mode == mode and self.owed.get(r.entry, b"") is None}
            if status.undelivered != len(waiting):
                self.problems.append(f"{mode}: {len(waiting)} entries wait, status says {status.undelivered}")

    def _ledger(self) -> None:
        """T4, T12: the chains hold, and totals recomputed from raw entries are the same."""
        for mode, tally in self.tallies.items():
            raw: dict[tuple[str, str], tuple[int, int]] = {}
            for row in self.rows:
                if row.mode == mode:
                    count, steps = raw.get((row.customer, row.meter), (0, 0))
                    raw[row.customer, row.meter] = (count + 1, steps + row.steps)
            if not tally.ledger.totals() == tally.ledger.recomputed_totals() == raw:
                self.problems.append(f"T12: {mode}: totals differ from the entries")
        self.problems += next(iter(self.tallies.values())).ledger.broken_links()

    # Where nothing excuses it: invoices

    def _invoices(self) -> None:
        """T7 with ordinary faults: every invoice says to the last digit what was used in its period."""
        names = {provider: name for name, provider in LINKS.items()}
        for subscription in self._cycles():
            customer = names[subscription.customer]
            for line in invoice_lines(self.accounts["test"], subscription, list(SUMS), self.plan_end()):
                used = sum(
                    row.steps
                    for row in self.rows
                    if (row.mode, row.customer, row.meter) == ("test", customer, line.meter)
                    and line.start <= row.second < line.end
                )
                if line.quantity.scaleb(METERS[line.meter].decimals) != used:
                    self.problems.append(f"T7: {line}: {used} steps were used")
        for d in self.dispatches:
            if d[8] not in DONE and d[2] != "org_gone":
                self.problems.append(f"calm seas, and {d[6]} is {d[8]}: {d[9]}")

    def plan_end(self) -> int:
        """When the run ended, in seconds; later invoices were not made."""
        return (self.plan.start + self.plan.length) // SECOND
