"""The values of delivery: what is owed, who may send, and what is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tallystick.meters import Meter
from tallystick.providers import Instruction, Profile

SlotKey = tuple[int, str, str, str, str]  # lane, tenant, mode, provider customer, provider meter
PLACE = ("lane", "tenant", "mode", "provider_customer", "provider_meter")


class Owed(msgspec.Struct, frozen=True, gc=False):
    """A committed entry that no dispatch carries yet; `recorded_at` in microseconds since 1970 UTC."""

    lane: int
    entry: bytes
    tenant: str
    mode: str
    customer: str
    meter: str
    quantity: int
    recorded_at: int


class Slot(msgspec.Struct, frozen=True, gc=False):
    """The right to send for one provider customer and meter, until `expires_at` (microseconds).

    `lasts_until` is the same instant on this process's monotonic clock: a clock that is set back while a
    sender stands still must not lengthen its right.
    """

    key: SlotKey
    fence: int
    expires_at: int
    lasts_until: int = 2**62

    @property
    def place(self) -> dict[str, Any]:
        """The parameters that select its dispatches."""
        return dict(zip(PLACE, self.key, strict=True))


class Dispatch(msgspec.Struct, frozen=True, gc=False):
    """The frozen instruction to the provider, and where it stands.

    `quantity` counts steps, `value` is the same in units as plain digits; `happened_at` is in seconds,
    all other instants in microseconds since 1970 UTC. `first_sent_at` is the first attempt that may
    have arrived (None: none can have).
    """

    lane: int
    dispatch: bytes
    part: int
    tenant: str
    mode: str
    customer: str
    meter: str
    provider_customer: str
    provider_meter: str
    identifier: str
    quantity: int
    value: str
    happened_at: int
    entries: int
    payload_hash: bytes
    created_at: int
    state: str
    attempt: int
    idempotency_key: str
    fence: int
    first_sent_at: int | None
    due_at: int
    reason: str = ""

    @property
    def slot_key(self) -> SlotKey:
        """The slot this dispatch is sent under."""
        return (self.lane, self.tenant, self.mode, self.provider_customer, self.provider_meter)

    @property
    def instruction(self) -> Instruction:
        """What the provider is told."""
        return Instruction(
            self.identifier,
            self.provider_customer,
            self.provider_meter,
            self.value,
            self.happened_at,
            self.idempotency_key,
        )

    def row(self) -> tuple[Any, ...]:
        """The database row."""
        return msgspec.structs.astuple(self)


def to_dispatch(row: Any) -> Dispatch:
    """The dispatch of a database row."""
    values = list(row)
    values[1], values[14] = bytes(values[1]), bytes(values[14])
    return Dispatch(*values)


class Terms(msgspec.Struct, frozen=True):
    """What claims of one sender have in common."""

    owner: str
    prefix: str
    profile: Profile
    meter: Callable[[str], Meter]
    new_id: Callable[[], bytes]
    now: Callable[[], int]
    elapsed: Callable[[], int]
    lease: int  # microseconds

    def is_absolute(self, meter: str) -> bool:
        """Whether a dispatch of that meter may be repeated at any time without counting twice."""
        return self.meter(meter).formula.is_absolute


class Attempt(msgspec.Struct, frozen=True):
    """A dispatch to send now: under which slot, and what was known of it before."""

    dispatch: Dispatch
    slot: Slot
    sent_before: int | None
