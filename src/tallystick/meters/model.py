"""A meter and the catalogue of all meters of one application."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from tallystick.errors import ConfigError, QuantityError, UnknownMeterError
from tallystick.values.quantity import MAX_DECIMALS, from_text, to_steps

MOST_EVENTS = 100  # of one entry, where the provider counts events


class Formula(StrEnum):
    """How the entries of a meter add up over a period."""

    SUM = "sum"
    COUNT = "count"
    LAST = "last"
    MAX = "max"
    UNIQUE = "unique"

    @property
    def is_absolute(self) -> bool:
        """Whether the provider is told where a period stands, instead of what was added to it."""
        return self in (Formula.LAST, Formula.MAX, Formula.UNIQUE)


class Expiry(StrEnum):
    """What becomes of a hold whose action never ended: a person decides, nothing is billed, an estimate is."""

    REVIEW = "review"
    VOID = "void"
    SETTLE = "settle"


class OnLedgerFailure(StrEnum):
    """What becomes of an action when the ledger cannot write: refuse it, or keep its usage in the local spool."""

    REFUSE = "refuse"
    ALLOW_AND_SPOOL = "allow_and_spool"


class StreamBills(StrEnum):
    """What a stream whose client goes away is billed for: what it was sent, or what upstream produces anyway."""

    DELIVERED = "delivered"
    PRODUCED = "produced"


class Meter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is counted: name, unit, decimals (fixed for ever), how it adds up, limits."""

    name: str
    unit: str = "unit"
    decimals: int = 0
    formula: Formula = Formula.SUM
    counted_there: bool = False  # of a count meter: the provider's counts events, whatever their value
    carry: bool | None = None  # of a last meter: whether its value stands in the next period until a new one
    unique_of: str = ""  # of a unique meter: the attribute whose different values are counted
    hold: bool = True
    event_name: str = ""
    limit: int | None = None  # the largest single quantity, in units
    report_from: datetime | None = None  # what is recorded before is shown and not delivered
    foreign_writers: bool = False  # whether others report to this meter too: then totals prove nothing
    bucket_seconds: int = 60  # the longest time whose usage shares a call, where the period is known
    attributes: tuple[str, ...] = ()  # the attributes usage can be grouped by
    hold_seconds: int = 3600  # how long an action may take before its hold is overdue
    on_expiry: Expiry = Expiry.REVIEW
    settle_at: int | str | None = None  # the estimate that on_expiry = "settle" bills, in units
    stream_bills: StreamBills = StreamBills.DELIVERED
    drain_seconds: int = 30  # how long a produced stream is read on after its client has gone
    checkpoint_seconds: int = 5  # how often a stream notes durably how far it has come
    on_ledger_failure: OnLedgerFailure = OnLedgerFailure.REFUSE

    @property
    def provider_name(self) -> str:
        """The meter's event name at the provider; the meter's own name unless declared otherwise."""
        return self.event_name or self.name

    @property
    def provider_formula(self) -> str:
        """How the provider's meter adds up; a count is a sum there, so that corrections can take one back."""
        if self.counted_there:
            return "count"
        return "last" if self.formula.is_absolute else "sum"

    @property
    def estimate(self) -> int:
        """What `settle_at` says, in steps; QuantityError when it is not exact."""
        wanted: Any = self.settle_at
        if isinstance(wanted, str):
            wanted = from_text(wanted, what=f"meter {self.name!r}, settle_at")
        return self.steps(wanted)

    def steps(self, value: Any) -> int:
        """The quantity in steps of 10^-decimals; QuantityError when it is not exact or not in bounds."""
        steps = to_steps(value, self.decimals, meter=self.name)
        if self.limit is not None and steps > self.limit * 10**self.decimals:
            raise QuantityError(f"meter {self.name!r}: quantity {value} exceeds its limit {self.limit}")
        if self.counted_there and steps > MOST_EVENTS:
            raise QuantityError(
                f"meter {self.name!r}: quantity {value}; the provider counts events, and at most {MOST_EVENTS} are "
                "sent for one action"
            )
        return steps


class Catalogue:
    """The meters of one application, by name."""

    def __init__(self, meters: Iterable[Meter] = ()) -> None:
        self._meters: dict[str, Meter] = {}
        for meter in meters:
            _validate(meter)
            if meter.name in self._meters:
                raise ConfigError(f"meter {meter.name!r} is declared twice; remove one declaration")
            self._meters[meter.name] = meter

    def __getitem__(self, name: str) -> Meter:
        try:
            return self._meters[name]
        except KeyError:
            known = ", ".join(sorted(self._meters)) or "none"
            raise UnknownMeterError(
                f"no meter {name!r}; declared are: {known}. Add [meters.{name}] to tallystick.toml"
            ) from None

    def __iter__(self) -> Iterator[Meter]:
        return iter(self._meters.values())

    def __contains__(self, name: object) -> bool:
        return name in self._meters

    def __len__(self) -> int:
        return len(self._meters)


def _validate(meter: Meter) -> None:
    name = meter.name
    if not name or len(name) > 100 or not all(c.isalnum() or c in "._-" for c in name):
        raise ConfigError(
            f"meter name {name!r} is not usable; use up to 100 letters, digits, dots, dashes, underscores"
        )
    if not 0 <= meter.decimals <= MAX_DECIMALS:
        raise ConfigError(f"meter {name!r}: decimals = {meter.decimals}; it must lie in 0 … {MAX_DECIMALS}")
    if len(meter.provider_name) > 100:
        raise ConfigError(f"meter {name!r}: event_name is longer than the provider's 100 characters")
    if meter.limit is not None and meter.limit <= 0:
        raise ConfigError(f"meter {name!r}: limit = {meter.limit}; it must be positive")
    _validate_expiry(meter)
    if not 1 <= meter.bucket_seconds <= 3600 or 3600 % meter.bucket_seconds:
        raise ConfigError(
            f"meter {name!r}: bucket_seconds = {meter.bucket_seconds}; it must divide an hour, for instance 60"
        )
    start = meter.report_from
    if start is not None and (start.tzinfo is None or start.second or start.microsecond):
        raise ConfigError(
            f"meter {name!r}: report_from = {start.isoformat()}; it must have a time zone and be a whole minute, "
            "because providers add up whole minutes"
        )
    _validate_formula(meter)


def _validate_formula(meter: Meter) -> None:
    name, formula = meter.name, meter.formula
    if formula in (Formula.COUNT, Formula.UNIQUE) and meter.decimals:
        raise ConfigError(f"meter {name!r}: a {formula} has no decimals; set decimals = 0")
    if meter.counted_there and formula is not Formula.COUNT:
        raise ConfigError(
            f"meter {name!r}: counted_there is for count meters; this one is a {formula}, remove it"
        )
    if formula is Formula.LAST and meter.carry is None:
        raise ConfigError(
            f'meter {name!r}: formula = "last" needs carry = true (the value stands until a new one, as for seats) '
            "or carry = false (each period starts at nothing)"
        )
    if formula is not Formula.LAST and meter.carry is not None:
        raise ConfigError(f"meter {name!r}: carry is for last meters; this one is a {formula}, remove it")
    if (formula is Formula.UNIQUE) != bool(meter.unique_of):
        raise ConfigError(
            f"meter {name!r}: formula = {formula.value!r} with unique_of = {meter.unique_of!r}; a unique meter, and "
            'only that, names the attribute it counts, for instance unique_of = "user"'
        )


def _validate_expiry(meter: Meter) -> None:
    name = meter.name
    for what in ("hold_seconds", "drain_seconds", "checkpoint_seconds"):
        if getattr(meter, what) <= 0:
            raise ConfigError(f"meter {name!r}: {what} = {getattr(meter, what)}; it must be positive")
    if (meter.on_expiry is Expiry.SETTLE) != (meter.settle_at is not None):
        raise ConfigError(
            f"meter {name!r}: on_expiry = {meter.on_expiry.value!r} with settle_at = {meter.settle_at}; "
            'an estimate needs both on_expiry = "settle" and settle_at'
        )
    if meter.settle_at is None:
        return
    if meter.formula not in (Formula.SUM, Formula.COUNT):
        raise ConfigError(f"meter {name!r}: a {meter.formula} cannot be estimated; use review or void")
    try:
        _ = meter.estimate
    except QuantityError as error:
        raise ConfigError(f"meter {name!r}, settle_at = {meter.settle_at!r}: {error}") from error
