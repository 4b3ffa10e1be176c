"""What a provider says later about instructions it had accepted: notices, and the reports they announce."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from tallystick.providers.check import Check


class Sample(msgspec.Struct, frozen=True):
    """One rejected instruction that a report names, by its identifier or its attempt's idempotency key."""

    identifier: str
    message: str = ""


class Rejection(msgspec.Struct, frozen=True):
    """One kind of error: the provider's code, how often, and a few samples (never all of them for sure)."""

    code: str
    errors: int
    samples: tuple[Sample, ...] = ()


class Report(msgspec.Struct, frozen=True):
    """Errors of one meter in one stretch of time; instants in whole seconds since 1970 UTC.

    `meter` is the provider's name for it, '' where it found none. What was rejected had been received
    within [since, until).
    """

    identity: str
    meter: str
    created_at: int
    since: int
    until: int
    rejections: tuple[Rejection, ...]

    @property
    def errors(self) -> int:
        """How many instructions were rejected, named or not."""
        return sum(rejection.errors for rejection in self.rejections)


class Notice(msgspec.Struct, frozen=True):
    """A genuine message of the provider's: that something happened, not what.

    `mode` is "live" or "test"; `reports` whether it announces a report.
    """

    identity: str
    kind: str
    mode: str
    reports: bool


class Reports(Protocol):
    """The later word of a provider."""

    def verified(self, body: bytes, signature: str, secrets: Sequence[str]) -> Notice:
        """The notice of a pushed message, signed with any of the secrets; NoticeError for anything else."""
        ...

    def fetch(self, identity: str) -> Report:
        """The report that a notice announces, asked for under our own key; ProviderError."""
        ...

    def doctor(self) -> Check:
        """Whether notices of every kind are pushed to somebody; what cannot be looked at is not well either."""
        ...

    def since(self, instant: int) -> Iterator[Report]:
        """The reports made since then (seconds since 1970 UTC), oldest first.

        ProviderError when they cannot be listed, or, after all others, when one cannot be read.
        """
        ...
