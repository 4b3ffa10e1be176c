"""Pure decisions about instructions that were accepted and rejected later: what each reason means, what is lost.

A report names samples only, and a name alone proves nothing: the provider's total of the minute decides.
Source of the codes: Stripe, "Handle meter event errors", and the types of its official client.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from enum import StrEnum
from itertools import combinations

import msgspec

from tallystick.delivery.model import Dispatch
from tallystick.delivery.rules import payload_hash
from tallystick.values.instant import DAY, HOUR, MINUTE, SECOND

SETTLING = 10 * MINUTE  # between two equal readings of a total that is eventually consistent
SETTLING_UNNAMED = HOUR  # and when the report does not name all that seems to be missing
SETTLING_UNSEEN = DAY  # and when the total shows nothing at all, so that it may only be late
MOST_UNNAMED = 12  # beyond it the arithmetic is left to a person


class Disposition(StrEnum):
    """What becomes of usage that the provider rejected after accepting it."""

    AGAIN = "again"  # sent again by itself, under a new identity
    MEND = "mend"  # parked under a new identity until a person has mended the cause
    INVOICE = "invoice"  # parked: it can no longer be reported, an invoice item can still bill it


class Remedy(msgspec.Struct, frozen=True):
    """What a reason code means, what happens with the usage, and what a person does."""

    disposition: Disposition
    meaning: str
    fix: str


REMEDIES = {
    "archived_meter": Remedy(
        Disposition.MEND, "the meter is archived", "reactivate it at Stripe, then: tallystick redrive"
    ),
    "no_meter": Remedy(
        Disposition.MEND, "no meter has this event name", "tallystick stripe apply, then: tallystick redrive"
    ),
    "meter_event_customer_not_found": Remedy(
        Disposition.MEND,
        "the customer does not exist, or was deleted",
        "tallystick link CUSTOMER cus_…, then: tallystick redrive",
    ),
    "meter_event_no_customer_defined": Remedy(
        Disposition.MEND,
        "the meter reads the customer from another payload key",
        "tallystick doctor; make a meter that reads stripe_customer_id, then: tallystick redrive",
    ),
    "meter_event_value_not_found": Remedy(
        Disposition.MEND,
        "the meter reads the value from another payload key",
        "tallystick doctor; make a meter that reads value, then: tallystick redrive",
    ),
    "meter_event_invalid_value": Remedy(
        Disposition.MEND,
        "the meter does not take this value",
        "compare the meter's decimals with what Stripe takes, then: tallystick redrive",
    ),
    "meter_event_value_too_many_digits": Remedy(
        Disposition.MEND,
        "the value has more digits than Stripe takes",
        "bill it in smaller parts: tallystick correct, or an invoice item",
    ),
    "meter_event_dimension_count_too_high": Remedy(
        Disposition.MEND,
        "the meter has too many dimension combinations",
        "take dimensions from the meter, then: tallystick redrive",
    ),
    "missing_dimension_payload_keys": Remedy(
        Disposition.MEND,
        "the meter wants dimensions that are not sent",
        "use a meter without dimensions, then: tallystick redrive",
    ),
    "timestamp_in_future": Remedy(
        Disposition.AGAIN, "the ledger's clock is ahead of Stripe's", "set the database server's clock (NTP)"
    ),
    "timestamp_too_far_in_past": Remedy(
        Disposition.INVOICE, "older than 35 days when it was processed", "bill it as an invoice item"
    ),
}
UNKNOWN_CODE = Remedy(
    Disposition.MEND,
    "a reason that this version does not know",
    "read the report at Stripe, mend it, then: tallystick redrive",
)


def remedy(code: str) -> Remedy:
    """The remedy for a code; the list of codes is open, so an unknown one waits for a person."""
    return REMEDIES.get(code, UNKNOWN_CODE)


class Verdict(StrEnum):
    """What a minute's total says."""

    COUNTED = "counted"  # nothing is missing
    LOST = "lost"  # exactly one set of dispatches explains what is missing
    UNCLEAR = "unclear"  # none does, or several do


_IDENTIFIER = re.compile(r"(.+)-([0-9a-f]{2})([0-9a-f]{32})(?:-(\d{1,4}))?(?:\.\d+)?")


def place_of(identifier: str, prefix: str) -> tuple[int, bytes, int] | None:
    """Lane, id and part of the dispatch with that identifier or attempt key; None when it is not ours."""
    found = _IDENTIFIER.fullmatch(identifier)
    if found is None or found[1] != prefix:
        return None
    return int(found[2], 16), bytes.fromhex(found[3]), int(found[4] or 0)


def judge(
    accepted: Sequence[Dispatch], named: Collection[str], missing_steps: int
) -> tuple[Verdict, list[Dispatch]]:
    """Which accepted dispatches of a minute the provider does not count.

    `missing_steps` is ours minus the provider's total. What the report names is lost for sure once
    something is missing; of the rest exactly one choice must explain the difference.
    """
    if missing_steps == 0:
        return Verdict.COUNTED, []
    sure = [d for d in accepted if d.identifier in named]
    rest = [d for d in accepted if d.identifier not in named and d.quantity]
    left = missing_steps - sum(d.quantity for d in sure)
    if left == 0 and sure:
        return Verdict.LOST, sure
    if left and left == sum(d.quantity for d in rest) and all(d.quantity > 0 for d in rest):
        return Verdict.LOST, [*sure, *rest]
    if len(rest) > MOST_UNNAMED:
        return Verdict.UNCLEAR, []
    choices = [
        choice
        for size in range(1, len(rest) + 1)
        for choice in combinations(rest, size)
        if sum(d.quantity for d in choice) == left
    ]
    return (Verdict.LOST, [*sure, *choices[0]]) if len(choices) == 1 else (Verdict.UNCLEAR, [])


def patience(accepted: Sequence[Dispatch], named: Collection[str], lost: Sequence[Dispatch]) -> int:
    """How long a total must have stood still before it decides, in microseconds.

    A total that lags looks like a loss. The provider's own word about a dispatch shortens the wait;
    seeing others of the same minute counted shows that the total is not merely late.
    """
    if lost and all(d.identifier in named for d in lost):
        return SETTLING
    return SETTLING_UNNAMED if len(lost) < len(accepted) else SETTLING_UNSEEN


def stood_still(read_at: int, accepted: Sequence[Dispatch], now: int) -> int:
    """For how long a reading has been the same with the same dispatches accepted, in microseconds.

    What was accepted after the first of the readings cannot be expected in it (`due_at` of an accepted
    dispatch is when it was accepted).
    """
    return now - max([read_at, *(d.due_at for d in accepted)])


def may_cancel_out(dispatches: Sequence[Dispatch]) -> bool:
    """Whether a total can hold all of it by chance: a negative one that is counted late hides one that is lost."""
    return any(d.quantity < 0 for d in dispatches)


def conclude(
    accepted: Sequence[Dispatch], named: Collection[str], missing_steps: int, still_for: int | None
) -> tuple[Verdict, list[Dispatch]] | None:
    """The verdict on a minute whose total has stood still for so long (microseconds); None: too early.

    While something of the minute is under way (None) even a total that holds all else says nothing about it.
    What no report names and no counted neighbour vouches for is never sent again by itself.
    """
    verdict, lost = judge(accepted, named, missing_steps)
    if verdict is Verdict.COUNTED:
        wait = SETTLING_UNNAMED if may_cancel_out(accepted) else 0
        return None if still_for is None or still_for < wait else (verdict, lost)
    wait = patience(accepted, named, lost)
    if still_for is None or still_for < wait:
        return None
    return (Verdict.UNCLEAR, []) if wait == SETTLING_UNSEEN else (verdict, lost)


def superseding(lost: Dispatch, part: int, code: str, now: int) -> Dispatch:
    """The successor of a dispatch that was rejected after it was accepted; what cannot be sent again is parked."""
    about = remedy(code)
    again = about.disposition is Disposition.AGAIN
    reason = f"rejected after it was accepted ({code}): {about.meaning}; {about.fix}"
    return _anew(lost, part, lost.provider_customer, "ready" if again else "parked", reason, now)


def readdressed(parked: Dispatch, part: int, provider_customer: str, now: int) -> Dispatch:
    """The dispatch that takes the place of one that was never counted, for the customer as linked now."""
    return _anew(parked, part, provider_customer, "ready", "", now)


def successor(absent: Dispatch, part: int, now: int) -> Dispatch:
    """The dispatch that takes the place of one that the provider's totals prove absent."""
    return _anew(absent, part, absent.provider_customer, "ready", f"in place of {absent.identifier}", now)


def renewed(unsent: Dispatch, part: int, mark: str, now: int) -> Dispatch:
    """The dispatch that takes the place of one that a restored ledger has to send after all.

    The ledger that was lost may have used its identifier, and that of its successor: the `mark` is nobody else's.
    """
    reason = f"in place of {unsent.identifier}"
    return _anew(unsent, part, unsent.provider_customer, "ready", reason, now, f"{part}-{mark}")


def _anew(
    d: Dispatch, part: int, provider_customer: str, state: str, reason: str, now: int, suffix: str = ""
) -> Dispatch:
    """The same usage under a new identity, never sent yet.

    The old identifier may be taken although nothing was counted (Stripe does not say); under it a repeat
    could be answered "already exists" and lose the usage for good.
    """
    first = d.identifier.removesuffix(f"-{d.part}") if d.part else d.identifier
    identifier = f"{first}-{suffix or part}"
    return msgspec.structs.replace(
        d,
        part=part,
        provider_customer=provider_customer,
        identifier=identifier,
        payload_hash=payload_hash(identifier, provider_customer, d.provider_meter, d.value, d.happened_at),
        created_at=now,
        state=state,
        attempt=0,
        idempotency_key=identifier,
        fence=0,
        first_sent_at=None,
        due_at=max(now, d.happened_at * SECOND),
        reason=reason,
    )
