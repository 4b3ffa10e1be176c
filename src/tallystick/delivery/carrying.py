"""Carrying: the value of a last meter is told again at the start of each period, or nothing would be billed.

Upkeep of the relay: it asks the provider for the periods that run now, and where one has begun without a
word from us, tells it what stood before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tallystick.cycles import Period, ask, unknown_places
from tallystick.delivery import absolutes, rules
from tallystick.delivery.flows import release, take_slots
from tallystick.delivery.model import Slot, SlotKey
from tallystick.delivery.sender import Sender
from tallystick.errors import ProviderError
from tallystick.meters import Meter
from tallystick.storage import Flow, Statement
from tallystick.values.instant import HOUR, MINUTE, SECOND

AT_ONCE = 50


class Carrying:
    """Carries for one tenant and mode; `find` is told when the provider's periods cannot be read."""

    def __init__(self, sender: Sender, find: Callable[[str, str, str], None]) -> None:
        self._sender = sender
        self._ledger = sender.ledger
        self._find = find
        self._where = {"tenant": sender.ledger.where.tenant, "mode": sender.ledger.where.mode}
        self._next = 0

    def chore(self) -> int:
        """The relay's piece of upkeep: one look a minute at the meters that carry."""
        now = self._ledger.clock.now()
        if now < self._next <= now + MINUTE or self._sender.breaker.is_open:
            return 0
        self._next = now + MINUTE
        return self.step()

    def step(self) -> int:
        """Learn the running periods that are not known, then carry into them; how many values were carried."""
        meters = [meter for meter in self._sender.catalogue if meter.formula.is_absolute]
        for meter in meters:
            self._learn(meter)
        return sum(self._carry(meter) for meter in meters if meter.carry)

    def _learn(self, meter: Meter) -> None:
        now = self._ledger.clock.now()
        places = unknown_places(self._ledger, meter.provider_name, asked_before=now - HOUR, limit=AT_ONCE)
        try:
            ask(self._ledger, self._sender.provider, places)
        except ProviderError as error:
            self._find("periods_unreadable", meter.name, f"periods of {meter.name} cannot be read: {error}")

    def _carry(self, meter: Meter) -> int:
        silent = self._ledger.read(self._silent(meter))
        if not silent:
            return 0
        count: int = self._ledger.commit.run(errand=lambda: self._carrying(silent))
        return count

    def _silent(self, meter: Meter) -> Flow[dict[SlotKey, Period]]:
        """Slots of a meter whose running period has no value of its own, and not the one that stood before."""
        where = {**self._where, "provider_meter": meter.provider_name}
        bounds = {"second": self._ledger.clock.now() // SECOND, "limit": AT_ONCE}
        rows = yield Statement("silent_periods", {**where, **bounds})
        return {(row[0], row[1], row[2], row[3], row[4]): Period(row[5], row[6]) for row in rows}

    def _carrying(self, silent: Mapping[SlotKey, Period]) -> Flow[int]:
        slots = yield from take_slots(list(silent), self._sender.terms)
        count = 0
        for key, slot in slots.items():
            count += yield from self._told_again(slot, silent[key])
        yield from release(list(slots.values()), {})
        return count

    def _told_again(self, slot: Slot, period: Period) -> Flow[int]:
        """Carry into a period, unless it has a value of its own; what was late for the one before is carried, too."""
        before = yield from absolutes.newest(slot, Period(0, period.since))
        inside = yield from absolutes.newest(slot, period)
        if before is None or (inside is not None and (inside.entries or inside.value == before.value)):
            return 0
        terms, second = self._sender.terms, period.since if inside is None else inside.happened_at + 1
        carried = rules.carried(before, terms.new_id(), terms.prefix, second, terms.now())
        yield Statement("insert_dispatches", rows=[carried.row()])
        return 1
