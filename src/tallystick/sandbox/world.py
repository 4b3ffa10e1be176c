"""Everything one Stripe account knows in one mode: objects as plain dictionaries, events as values."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from tallystick.sandbox.clock import Clock
from tallystick.sandbox.refusal import missing

Object = dict[str, Any]


class Event(msgspec.Struct, gc=False):
    """A meter event as it was accepted; `cancelled` by an adjustment."""

    meter: str
    customer: str
    value: Decimal
    identifier: str
    timestamp: int
    received_at: int
    cancelled: bool = False


class World:
    """One account in one mode."""

    def __init__(self, mode: str, clock: Clock) -> None:
        self.mode = mode
        self.clock = clock
        self.draft_seconds = 3600
        self.summary_lag_seconds = 0
        self.objects: dict[str, dict[str, Object]] = {}
        self.events: dict[tuple[str, str], list[Event]] = {}
        self.identifiers: dict[str, Event] = {}
        self.by_event_name: dict[str, Object] = {}
        self._counters: dict[str, int] = {}

    @property
    def livemode(self) -> bool:
        """Whether this is the live partition."""
        return self.mode == "live"

    def new_id(self, prefix: str) -> str:
        """A new id such as `cus_sandbox000001`."""
        count = self._counters[prefix] = self._counters.get(prefix, 0) + 1
        return f"{prefix}_sandbox{count:06d}"

    def add(self, kind: str, prefix: str, fields: Object) -> Object:
        """Make an object of a kind and keep it."""
        identity = fields.pop("id", None) or self.new_id(prefix)
        made: Object = {
            "id": identity,
            "object": kind,
            "created": self.clock.now(),
            "livemode": self.livemode,
            "metadata": {},
        }
        made.update(fields)
        self.objects.setdefault(kind, {})[identity] = made
        return made

    def all(self, kind: str) -> list[Object]:
        """All objects of a kind, oldest first."""
        return list(self.objects.get(kind, {}).values())

    def get(self, kind: str, identity: str, word: str | None = None) -> Object:
        """One object; Stripe's 404 when it is not there."""
        found = self.objects.get(kind, {}).get(identity)
        if found is None:
            raise missing(word or kind.rsplit(".", 1)[-1], identity)
        return found

    def events_of(
        self, meter: str, customer: str, since: int, until: int, received_by: int | None = None
    ) -> list[Event]:
        """Accepted events of a customer with timestamps in [since, until)."""
        return [
            event
            for event in self.events.get((meter, customer), ())
            if since <= event.timestamp < until
            and not event.cancelled
            and (received_by is None or event.received_at <= received_by)
        ]


def aggregate(formula: str, events: list[Event]) -> Decimal:
    """What a meter's formula makes of events."""
    if formula == "count":
        return Decimal(len(events))
    if formula == "last":
        return events[-1].value if events else Decimal(0)
    return sum((event.value for event in events), Decimal(0))
