"""Pure decisions of delivery: what shares a dispatch, what follows an answer, when to try again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from tallystick.cycles import NOTHING_KNOWN, Periods
from tallystick.delivery.model import Dispatch, Owed, Slot
from tallystick.meters import Meter
from tallystick.providers import Answer, Outcome, Profile
from tallystick.values.instant import DAY, HOUR, SECOND
from tallystick.values.quantity import to_text

FIRST_RETRY = SECOND // 2
LONGEST_RETRY = 300 * SECOND
PAUSE = 30 * SECOND
PAST_WINDOW = (
    "the outcome is unknown and the provider's duplicate window is over; compare with its summaries first"
)
TOO_LATE = "the invoice of its period is closed; bill it as an invoice item (tallystick proposals)"
MARGIN = 4 * HOUR  # distance kept from the end of the provider's duplicate window


class Settled(msgspec.Struct, frozen=True):
    """What an answer makes of a dispatch; `blocked_until` keeps the slot closed for a retry."""

    state: str
    reason: str
    first_sent_at: int | None
    due_at: int
    idempotency_key: str
    settled_at: int | None
    blocked_until: int


def buckets(owed: Iterable[Owed], periods: Periods, meter: Meter) -> list[list[Owed]]:
    """Entries that may share a dispatch, the oldest first: those of the same bucket.

    A bucket is `bucket_seconds` aligned seconds of one period, so that the dispatch bills where each of its
    entries does; where the period is not known, it is one second. Where the provider counts events, each
    entry stands alone.
    """
    ordered = sorted(owed, key=lambda e: (e.recorded_at, e.entry))
    if meter.counted_there:
        return [[entry] for entry in ordered]
    found: dict[tuple[int, int], list[Owed]] = {}
    for entry in ordered:
        found.setdefault(_bucket(entry.recorded_at, periods, meter.bucket_seconds), []).append(entry)
    return list(found.values())


def _bucket(recorded_at: int, periods: Periods, width: int) -> tuple[int, int]:
    """The start of the period, and which bucket in it; (-1, second) where the period is not known for sure."""
    second = recorded_at // SECOND
    period = periods.at(second)
    if period is None or second >= period.sure_until:
        return (-1, second)
    return (period.since, second // width)


def values(steps: int, meter: Meter, profile: Profile) -> list[int]:
    """The quantity in parts that each have no more digits than the provider takes, or of one event each."""
    if meter.counted_there:
        return [1] * steps
    most: int = 10**profile.significant_digits - 1
    sign, rest = (-1, -steps) if steps < 0 else (1, steps)
    parts = []
    while rest > most:
        parts.append(sign * most)
        rest -= most
    return [*parts, sign * rest]


def dispatches(
    entries: Sequence[Owed],
    identity: bytes,
    prefix: str,
    slot: Slot,
    meter: Meter,
    profile: Profile,
    now: int,
) -> list[Dispatch]:
    """The dispatch of entries that share one, in as many parts as their sum has digits for."""
    parts = values(sum(e.quantity for e in entries), meter, profile)
    happened_at = entries[0].recorded_at // SECOND
    return [
        dispatch(entries, identity, prefix, slot, meter, steps, happened_at, now, part=part)
        for part, steps in enumerate(parts)
    ]


def dispatch(
    entries: Sequence[Owed],
    identity: bytes,
    prefix: str,
    slot: Slot,
    meter: Meter,
    steps: int,
    happened_at: int,
    now: int,
    *,
    part: int = 0,
) -> Dispatch:
    """One dispatch, to be sent at once; `happened_at` in seconds, `now` in microseconds since 1970 UTC."""
    lane, tenant, mode, provider_customer, provider_meter = slot.key
    identifier = f"{prefix}-{lane:02x}{identity.hex()}" + (f"-{part}" if part else "")
    value = to_text(steps, meter.decimals)
    return Dispatch(
        lane=lane,
        dispatch=identity,
        part=part,
        tenant=tenant,
        mode=mode,
        customer=entries[0].customer,
        meter=entries[0].meter,
        provider_customer=provider_customer,
        provider_meter=provider_meter,
        identifier=identifier,
        quantity=steps,
        value=value,
        happened_at=happened_at,
        entries=len(entries),
        payload_hash=payload_hash(identifier, provider_customer, provider_meter, value, happened_at),
        created_at=now,
        state="sending",
        attempt=1,
        idempotency_key=identifier,
        fence=slot.fence,
        first_sent_at=now,
        due_at=slot.expires_at,
    )


def carried(before: Dispatch, identity: bytes, prefix: str, happened_at: int, now: int) -> Dispatch:
    """The same value told for a later second, by a dispatch without entries that is ready to be sent."""
    identifier = f"{prefix}-{before.lane:02x}{identity.hex()}"
    about = (identifier, before.provider_customer, before.provider_meter, before.value, happened_at)
    return msgspec.structs.replace(
        before,
        dispatch=identity,
        part=0,
        identifier=identifier,
        happened_at=happened_at,
        entries=0,
        payload_hash=payload_hash(*about),
        created_at=now,
        state="ready",
        attempt=0,
        idempotency_key=identifier,
        fence=0,
        first_sent_at=None,
        due_at=now,
        reason=f"carried over from {before.identifier}",
    )


def prefix_of(ledger: str) -> str:
    """What the identifiers of a ledger's dispatches begin with: whose they are shows at the provider."""
    return f"ts{ledger[-8:]}"


def payload_hash(identifier: str, customer: str, meter: str, value: str, happened_at: int) -> bytes:
    """Hash of what the provider is told: a repeat is byte-identical."""
    text = "\0".join((identifier, customer, meter, value, str(happened_at)))
    return hashlib.sha256(text.encode()).digest()


def wait_before(attempt: int, seed: bytes, wish_seconds: float | None = None) -> int:
    """Microseconds to wait after a failed attempt: doubling, at most five minutes, half of it jittered.

    The jitter comes from the dispatch's id, so that a simulation repeats it. The provider's own wish
    (Retry-After) is a lower bound.
    """
    full = min(FIRST_RETRY << min(attempt - 1, 20), LONGEST_RETRY)
    spread = int.from_bytes(hashlib.sha256(seed + attempt.to_bytes(4, "big")).digest()[:4], "big")
    wait = full // 2 + full // 2 * spread // 2**32
    return max(wait, int((wish_seconds or 0) * SECOND))


def settle(dispatch: Dispatch, answer: Answer, sent_before: int | None, now: int) -> Settled:
    """What an answer makes of a dispatch.

    `sent_before` is `first_sent_at` as it stood before this attempt. The idempotency key is kept after a
    lost answer and renewed after a stored error (Stripe: Idempotent requests).
    """
    key = dispatch.idempotency_key
    if answer.outcome is Outcome.ACCEPTED:
        return Settled("accepted", answer.reason, dispatch.first_sent_at, now, key, now, 0)
    if answer.outcome is Outcome.REFUSED:
        return Settled("parked", answer.reason, sent_before, now, key, now, 0)
    again = now + wait_before(dispatch.attempt, dispatch.dispatch, answer.retry_after_seconds)
    if answer.answered:
        key = f"{dispatch.identifier}.{dispatch.attempt}"
    if answer.outcome is Outcome.UNKNOWN:
        return Settled("unknown", answer.reason, dispatch.first_sent_at, again, key, None, again)
    if answer.outcome is Outcome.PAUSED:
        again = max(again, now + PAUSE)
    state = "ready" if sent_before is None else "unknown"
    return Settled(state, answer.reason, sent_before, again, key, None, again)


def reason_to_park(
    dispatch: Dispatch,
    profile: Profile,
    now: int,
    periods: Periods = NOTHING_KNOWN,
    *,
    repeatable: bool = False,
) -> str:
    """Why a dispatch must not be sent, or sent again, by itself ('' when it may be).

    Past the duplicate window a repeat could be counted twice (Stripe: identifiers are unique for at
    least 24 hours), so it is asked for instead where that is possible; past the provider's greatest age it
    would be refused, and after the invoice of its period taken and billed by nobody. What is `repeatable` (an
    absolute) counts once however often it arrives.
    """
    doubtful = not (repeatable or profile.finds_identifiers)
    if doubtful and is_past_window(dispatch.first_sent_at, profile, now):
        return PAST_WINDOW
    if now // SECOND - dispatch.happened_at > profile.max_age_seconds:
        days = profile.max_age_seconds // 86400
        return f"older than {days} days, which the provider no longer takes; bill it as an invoice item"
    closed = periods.closed(dispatch.happened_at)
    if closed is not None and now >= (closed + profile.closes_after_seconds) * SECOND:
        return TOO_LATE
    return ""


def may_be_too_late(second: int, profile: Profile, now: int) -> bool:
    """Whether the invoice of what happened then can be closed at all: its period has not ended before."""
    return now >= (second + profile.closes_after_seconds) * SECOND


def parked(dispatch: Dispatch, why: str, now: int) -> Dispatch:
    """A new dispatch that is not sent, for a person to see."""
    return msgspec.structs.replace(
        dispatch, state="parked", reason=why, attempt=0, first_sent_at=None, due_at=now
    )


def is_past_window(sent_at: int | None, profile: Profile, now: int) -> bool:
    """Whether a repeat of what was first sent then might be counted again."""
    return sent_at is not None and now - sent_at > profile.duplicate_window_seconds * SECOND - MARGIN


def unfound(sent_at: int, profile: Profile, now: int) -> Answer:
    """What it means that the provider does not list an instruction sent then: not yet, or a person decides.

    Absence is no proof that it will not be stored later, so it is not sent again either way.
    """
    if now - sent_at <= profile.settling_seconds * SECOND:
        return Answer(Outcome.UNKNOWN, "the provider does not list it yet", answered=False)
    return Answer(Outcome.REFUSED, f"{PAST_WINDOW}; it does not list this identifier")


def unreadable(sent_at: int, why: str, now: int) -> Answer:
    """What it means that an instruction sent then cannot be asked for: later, or a person decides after a day."""
    if now - sent_at <= DAY:
        return Answer(Outcome.UNKNOWN, f"cannot be looked up: {why}", answered=False)
    return Answer(Outcome.REFUSED, f"{PAST_WINDOW}; it cannot be looked up: {why}")
