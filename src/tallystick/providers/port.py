"""What delivery asks of a provider, and every answer it may get."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

import msgspec


class Outcome(StrEnum):
    """What is known after an attempt."""

    ACCEPTED = "accepted"  # the provider has it, from this attempt or an earlier one
    NOT_SENT = "not_sent"  # it certainly has not reached the provider's books: safe to send at any time
    UNKNOWN = "unknown"  # it may or may not have been counted
    REFUSED = "refused"  # the provider will not take it as it is
    PAUSED = "paused"  # our key is not accepted: nothing is wrong with the instruction


class Instruction(msgspec.Struct, frozen=True, gc=False):
    """One call to make, byte-identical at every attempt but for `idempotency_key`.

    `value` is the quantity in units as plain digits, `happened_at` the billing time in whole seconds
    since 1970 UTC.
    """

    identifier: str
    customer: str
    meter: str
    value: str
    happened_at: int
    idempotency_key: str


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What an attempt came to.

    `answered` is whether the provider gave a reply of its own (a stored error needs a new idempotency
    key); `retry_after_seconds` is the provider's own wish.
    """

    outcome: Outcome
    reason: str = ""
    answered: bool = True
    retry_after_seconds: float | None = None


class Profile(msgspec.Struct, frozen=True):
    """A provider's limits, as data."""

    name: str
    duplicate_window_seconds: int
    max_age_seconds: int
    significant_digits: int
    timeout_seconds: float


class Provider(Protocol):
    """Somebody who turns usage into invoices."""

    profile: Profile

    def send(self, instruction: Instruction, *, still_ours: Callable[[], bool]) -> Answer:
        """Make one attempt; never raises.

        `still_ours` is asked right before the bytes leave; False gives NOT_SENT.
        """
        ...

    def total(self, customer: str, meter: str, since: int, until: int) -> Decimal:
        """The provider's own total for whole minutes [since, until), seconds since 1970 UTC.

        Raises ProviderError when it cannot be read.
        """
        ...
