"""Everything one Stripe account knows in one mode: objects as plain dictionaries, events as values."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from tallystick.sandbox.clock import Clock
from tallystick.sandbox.refusal import missing
from tallystick.sandbox.switches import Switches

Object = dict[str, Any]

# Where the listing word differs from the last part of the object's name.
_WORDS = {"test_helpers.test_clock": "test_helpers.test_clock", "v2.core.event": "event"}
_IN_TIME = ("subscription", "invoice")  # things that time does something to
_WINDOWS = {"hour": 3600, "day": 86400}
# The first API version without usage records and metered prices without a meter.
BASIL = "2025-03-31"


class Event(msgspec.Struct, gc=False):
    """A meter event as it was accepted; `cancelled` by an adjustment, `void` when rejected later."""

    meter: str
    customer: str
    value: Decimal
    identifier: str
    timestamp: int
    received_at: int
    received_on: int  # the same on the customer's clock
    cancelled: bool = False
    void: bool = False


class Call(msgspec.Struct, frozen=True):
    """What is known of the request that is being answered."""

    id: str = ""
    key: str | None = None
    version: str = ""
    reject_as: str = (
        ""  # a fault: accept this good event and reject it later, with this code ("-": never say)
    )
    stale_seconds: int = 0  # a fault: answer a reading as of so long ago


class Delivery(msgspec.Struct):
    """One event on its way to one destination; `answers` are (second, HTTP status or 0) of each attempt."""

    id: str
    destination: str
    event: str
    url: str
    due_at: int
    answers: list[tuple[int, int]] = []
    state: str = "pending"  # delivered, failed


class Rejection(msgspec.Struct):
    """A meter event that was answered 2xx and is reported as bad later."""

    code: str
    message: str
    meter: str | None
    identifier: str
    call: Call
    at: int


class World:
    """One account in one mode."""

    def __init__(self, mode: str, clock: Clock, switches: Switches | None = None) -> None:
        self.mode = mode
        self.clock = clock
        self.switches = switches or Switches()
        self.call = Call()
        self.objects: dict[str, dict[str, Object]] = {}
        self.events: dict[tuple[str, str], list[Event]] = {}
        self.identifiers: dict[tuple[str, str], Event] = {}
        self.by_event_name: dict[str, Object] = {}
        self.rejections: list[Rejection] = []
        self.outbox: list[Delivery] = []
        self.deliveries: dict[str, Delivery] = {}
        self.advancing: dict[str, int] = {}  # test clock -> where it is going
        self.due_at = 0  # nothing happens by itself on the sandbox's clock before this second
        self._counters: dict[str, int] = {}

    @property
    def livemode(self) -> bool:
        """Whether this is the live partition."""
        return self.mode == "live"

    def now_of(self, customer: str | None) -> int:
        """The present second of a customer: its test clock's, or the sandbox's."""
        found = self.objects.get("customer", {}).get(customer or "")
        return self.now_at(found.get("test_clock") if found else None)

    def now_at(self, test_clock: str | None) -> int:
        """The present second of a test clock, or the sandbox's."""
        if test_clock is None:
            return self.clock.now()
        frozen: int = self.objects["test_helpers.test_clock"][test_clock]["frozen_time"]
        return frozen

    def touch(self) -> None:
        """Something changed that may be due at once."""
        self.due_at = 0

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
        if kind in _IN_TIME:
            self.touch()
        return made

    def all(self, kind: str) -> list[Object]:
        """All objects of a kind, oldest first."""
        return list(self.objects.get(kind, {}).values())

    def get(self, kind: str, identity: str, word: str | None = None) -> Object:
        """One object; Stripe's 404 when it is not there."""
        found = self.objects.get(kind, {}).get(identity)
        if found is None:
            raise missing(word or _WORDS.get(kind) or kind.rsplit(".", 1)[-1], identity)
        return found

    def remove(self, kind: str, identity: str) -> Object:
        """Delete an object; the answer that says so. A trace stays, so that readers are told."""
        self.get(kind, identity)
        del self.objects[kind][identity]
        trace = {"id": identity, "object": kind, "deleted": True}
        self.objects.setdefault(f"deleted_{kind}", {})[identity] = trace
        self.touch()
        return trace

    def events_of(self, meter: str, customer: str, since: int, until: int) -> list[Event]:
        """Accepted events of a customer with timestamps in [since, until), in order of receipt."""
        return [
            event
            for event in self.events.get((meter, customer), ())
            if since <= event.timestamp < until and not event.cancelled
        ]

    def visible_at(self, event: Event) -> int:
        """From when on summaries contain an event: each has its own share of the jitter."""
        lag = self.switches.summary_lag_seconds
        jitter = self.switches.summary_jitter_seconds
        return event.received_at + lag + _share(event.identifier, jitter)

    def forgotten_at(self, event: Event) -> int:
        """From when on an identifier may come again: each is remembered for its own time."""
        window, jitter = self.switches.window_seconds, self.switches.window_jitter_seconds
        return event.received_at + window + _share(event.identifier, jitter)

    def aggregate(self, meter: Object, events: list[Event]) -> Decimal:
        """What a meter's formula makes of events (of one customer, in order of receipt)."""
        window = meter.get("event_time_window")
        if window:  # only the event received last of each UTC hour or day counts
            newest = {event.timestamp // _WINDOWS[window]: event for event in events}
            events = [event for event in events if newest[event.timestamp // _WINDOWS[window]] is event]
        formula = meter["default_aggregation"]["formula"]
        if formula == "count":
            return Decimal(len(events))
        if formula == "last":
            return self._last(events).value if events else Decimal(0)
        return sum((event.value for event in events), Decimal(0))

    def _last(self, events: list[Event]) -> Event:
        if self.switches.last_by == "receipt":
            return events[-1]
        return max(enumerate(events), key=lambda numbered: (numbered[1].timestamp, numbered[0]))[1]

    def of_customer(self, kind: str, customer: str) -> Iterable[Object]:
        """Objects of a kind that belong to a customer."""
        return (found for found in self.all(kind) if found.get("customer") == customer)


def _share(name: str, of: int) -> int:
    """A part of `of` between nothing and all, always the same for a name."""
    return zlib.crc32(name.encode()) % (of + 1) if of else 0
