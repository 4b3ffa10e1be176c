"""What delivery asks of a provider, and every answer it may get."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

import msgspec

from tallystick.providers.anchors import Anchors
from tallystick.providers.check import Check
from tallystick.providers.reports import Reports


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
    key); `retry_after_seconds` is the provider's own wish. `too_fast` is whether it was called too often, by
    whomever.
    """

    outcome: Outcome
    reason: str = ""
    answered: bool = True
    retry_after_seconds: float | None = None
    too_fast: bool = False


FOR_EVER = 100 * 366 * 86400  # seconds; longer than any ledger lives


class Profile(msgspec.Struct, frozen=True):
    """A provider's rules and limits, as data.

    `duplicate_window_seconds`: how long a repeated identifier is recognised (0: not at all).
    `max_age_seconds`: the oldest usage that is taken. `closes_after_seconds`: how long after a period's
    end usage still reaches its invoice. `significant_digits`: of one value. `batch_size`: the most
    instructions in one call. `requests_per_second`: 0 where no limit is published.
    `finds_identifiers`: whether `has` can tell that an instruction arrived; one that did may be missing
    from the answer for `settling_seconds`. `totals_are_doubles`: totals are read back as binary
    floating point and mean the nearest step of the meter. `totals_are_whole_periods`: no smaller window than a
    billing period can be read, so that totals confirm nothing. `formulas`: how its meters can add up.
    `names_periods`: whether `period` says which billing cycle runs. `whole_numbers`: whether it takes nothing else.
    """

    name: str
    duplicate_window_seconds: int
    max_age_seconds: int
    significant_digits: int
    timeout_seconds: float
    closes_after_seconds: int = 0
    batch_size: int = 1
    requests_per_second: int = 0
    finds_identifiers: bool = False
    settling_seconds: int = 0
    totals_are_doubles: bool = False
    totals_are_whole_periods: bool = False
    formulas: tuple[str, ...] = ("sum",)
    names_periods: bool = False
    whole_numbers: bool = False

    def meant(self, total: Decimal, decimals: int) -> Decimal:
        """What a total read back means for a meter of so many decimals.

        Every quantity is a whole number of steps, so the nearest step is the total that was added up,
        while its errors stay below half a step.
        """
        return total.quantize(Decimal(1).scaleb(-decimals)) if self.totals_are_doubles else total


class Wanted(msgspec.Struct, frozen=True):
    """A meter that the provider should have. Count meters are provisioned as `sum`: corrections need signs."""

    name: str
    event_name: str
    formula: str = "sum"
    unit_amount_decimal: str = ""
    currency: str = "usd"


class Change(msgspec.Struct, frozen=True):
    """Something to create at the provider: a meter, or a price on it."""

    kind: str
    meter: Wanted
    about: str


class Provider(Protocol):
    """Somebody who turns usage into invoices; `mode` is "live", "test", or "" where keys do not tell.

    `reports` is None where everything is refused at once, nothing later; `anchors` where it keeps none.
    """

    profile: Profile
    mode: str
    reports: Reports | None
    anchors: Anchors | None

    def send(self, instruction: Instruction, *, still_ours: Callable[[], bool]) -> Answer:
        """Make one attempt; never raises.

        `still_ours` is asked right before the bytes leave; False gives NOT_SENT.
        """
        ...

    def send_many(
        self, instructions: Sequence[Instruction], *, still_ours: Callable[[], bool]
    ) -> list[Answer]:
        """Make one attempt for up to `profile.batch_size` instructions; an answer for each. Never raises."""
        ...

    def has(self, instruction: Instruction) -> bool:
        """Whether an earlier attempt is known to have arrived; False proves nothing by itself.

        Raises ProviderError when that cannot be read, or the provider cannot tell
        (`profile.finds_identifiers`).
        """
        ...

    def total(self, customer: str, meter: str, since: int, until: int) -> Decimal:
        """The provider's own total for whole minutes [since, until), seconds since 1970 UTC.

        Raises NoSuchCustomerError for a customer that is gone, ProviderError when it cannot be read.
        """
        ...

    def period(self, customer: str, meter: str) -> tuple[int, int] | None:
        """The customer's running period [start, end) for a meter, in seconds since 1970 UTC; None: not known.

        Raises ProviderError when it cannot be read.
        """
        ...

    def time(self) -> int | None:
        """What the provider's own clock shows, in seconds since 1970 UTC; None: it does not say.

        ProviderError when it cannot be asked.
        """
        ...

    def plan(self, wanted: Iterable[Wanted]) -> list[Change]:
        """What the provider lacks, in the order to create it. Raises ProviderError, or ConfigError (key)."""
        ...

    def apply(self, changes: Iterable[Change]) -> list[str]:
        """Create what a plan lists; the ids made. Raises as `plan` does."""
        ...

    def doctor(self, wanted: Iterable[Wanted], links: Mapping[str, str]) -> list[Check]:
        """Whether meters and linked customers are as billing needs them. Raises as `plan` does."""
        ...
