"""Each safeguard of recording and delivery, and how the code would look if somebody took it away.

A safeguard that no test misses is not one. `test_safeguards.py` removes them one by one and expects the
simulation to notice, with the words that its judge has for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from tallystick.delivery import flows, rules, sender
from tallystick.delivery.model import Attempt, Dispatch, Owed, Slot
from tallystick.ledger import posting
from tallystick.providers import Answer, Outcome
from tallystick.providers.lago import provider as lago_provider
from tallystick.providers.stripe import provider as stripe_provider
from tallystick.providers.stripe import ways
from tallystick.storage.queries import load
from tests.simulation.plan import PROFILES, make_plan


@dataclass(frozen=True)
class Safeguard:
    """One safeguard: its name, how to remove it, where that shows first, and as what."""

    name: str
    remove: Callable[[pytest.MonkeyPatch], None]
    profile: str
    complaint: str
    way: str = ""  # of telling usage, where it is about one

    @property
    def seeds(self) -> list[int]:
        """The first seeds of its profile, and of its way."""
        seeds = range(PROFILES.index(self.profile), 3000, len(PROFILES))
        return [seed for seed in seeds if not self.way or make_plan(seed).way == self.way]


def without(query: str, *texts: str) -> Callable[[pytest.MonkeyPatch], None]:
    """Take words out of a query, or put others in their place ('old -> new')."""

    def remove(patch: pytest.MonkeyPatch) -> None:
        queries = load("sqlite")
        sql = queries[query].sql
        for text in texts:
            old, _, new = text.partition(" -> ")
            assert old in sql, f"{query} no longer says {old!r}: adapt this safeguard"
            sql = sql.replace(old, new)
        patch.setitem(queries, query, msgspec.structs.replace(queries[query], sql=sql))

    return remove


def both(*removals: Callable[[pytest.MonkeyPatch], None]) -> Callable[[pytest.MonkeyPatch], None]:
    """Take away several walls that stand behind each other."""

    def remove(patch: pytest.MonkeyPatch) -> None:
        for removal in removals:
            removal(patch)

    return remove


def _new_identity(patch: pytest.MonkeyPatch) -> None:
    again = flows._again

    def with_new_identity(d: Dispatch, slot: Slot, now: int) -> Attempt:
        attempt = again(d, slot, now)
        name = f"{d.identifier}.{d.attempt}"
        taken = msgspec.structs.replace(attempt.dispatch, identifier=name, idempotency_key=name)
        return Attempt(taken, attempt.slot, attempt.sent_before)

    patch.setattr(flows, "_again", with_new_identity)


def _settling(
    change: Callable[[rules.Settled, Answer], dict[str, Any]],
) -> Callable[[pytest.MonkeyPatch], None]:
    def remove(patch: pytest.MonkeyPatch) -> None:
        settle = rules.settle

        def changed(d: Dispatch, answer: Answer, sent_before: int | None, now: int) -> rules.Settled:
            settled = settle(d, answer, sent_before, now)
            return msgspec.structs.replace(settled, **change(settled, answer))

        patch.setattr(rules, "settle", changed)

    return remove


def _resend_blindly(settled: rules.Settled, answer: Answer) -> dict[str, Any]:
    return {"state": "ready", "first_sent_at": None} if settled.state == "unknown" else {}


def _forget_earlier_attempts(settled: rules.Settled, answer: Answer) -> dict[str, Any]:
    return {"state": "ready", "first_sent_at": None} if answer.outcome is Outcome.NOT_SENT else {}


def _believe_lost_answers(settled: rules.Settled, answer: Answer) -> dict[str, Any]:
    return {"state": "accepted"} if answer.outcome is Outcome.UNKNOWN else {}


def _keep_stored_errors(patch: pytest.MonkeyPatch) -> None:
    settle = rules.settle

    def same_key(d: Dispatch, answer: Answer, sent_before: int | None, now: int) -> rules.Settled:
        return msgspec.structs.replace(settle(d, answer, sent_before, now), idempotency_key=d.idempotency_key)

    patch.setattr(rules, "settle", same_key)


def _one_bucket(owed: Any, *_: Any) -> list[list[Owed]]:
    return [sorted(owed, key=lambda e: (e.recorded_at, e.entry))]


def _constant(target: Any, name: str, value: Any) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(target, name, value)


def _send_while_ready(patch: pytest.MonkeyPatch) -> None:
    row = Dispatch.row

    def as_ready(self: Dispatch) -> tuple[Any, ...]:
        return row(msgspec.structs.replace(self, state="ready") if self.state == "sending" else self)

    patch.setattr(Dispatch, "row", as_ready)


def _owe_nothing(patch: pytest.MonkeyPatch) -> None:
    insert = posting._insert
    patch.setattr(
        posting, "_insert", lambda entries, due_at, stamp, _: insert(entries, due_at, stamp, lambda e: False)
    )


def _no_keys(pieces: Any) -> Any:
    yield from ()
    return {}


ALL = [
    Safeguard(
        "a repeat has the identity of the first attempt",
        _new_identity,
        "calm",
        "counted .* which nobody sent",
    ),
    Safeguard(
        "nothing is sent again past the duplicate window",
        _constant(rules, "is_past_window", lambda sent_at, profile, now: False),
        "dark",
        "hours after it was worked on",
    ),
    Safeguard(
        "an unknown outcome is never taken for unsent",
        _settling(_resend_blindly),
        "dark",
        "hours after it was worked on",
    ),
    Safeguard(
        "a certain failure says nothing about the attempt before",
        _settling(_forget_earlier_attempts),
        "dark",
        "hours after it was worked on",
    ),
    Safeguard(
        "no answer is not a yes",
        _settling(_believe_lost_answers),
        "rough",
        "is accepted and the provider has it not",
    ),
    Safeguard("a stored error gets a new idempotency key", _keep_stored_errors, "calm", "calm seas|T7"),
    Safeguard(
        "'already exists' is a yes",
        _constant(stripe_provider, "_ALREADY", "no such text"),
        "calm",
        "calm seas|T7",
    ),
    Safeguard(
        "a slot that is held is not taken",
        without("find_slots", "s.fence, s.expires_at -> s.fence, 0"),
        "months",
        "was sent under fence|two calls at once",
    ),
    Safeguard(
        "a dispatch is `sending` before its bytes leave",
        _send_while_ready,
        "months",
        "was sent while it stood as 'ready'",
    ),
    Safeguard(
        "the right to send is asked for before the bytes leave",
        _constant(sender.Sender, "_still_ours", lambda self, attempt: lambda: True),
        "months",
        "was sent under fence|was sent while|two calls at once",
    ),
    Safeguard(
        "an entry goes into one dispatch",
        both(
            without("owed_entries", "and o.dispatch is null"),
            without("claim_obligations", "and o.dispatch is null"),
        ),
        "rough",
        "T6",
    ),
    Safeguard(
        "entries of two periods never share a dispatch",
        _constant(rules, "buckets", _one_bucket),
        "months",
        "T6",
    ),
    Safeguard(
        "more digits than the provider takes are spread",
        _constant(rules, "values", lambda steps, meter, profile: [steps]),
        "calm",
        "calm seas|T7",
    ),
    Safeguard(
        "a relay sends usage of its own mode",
        without("due_obligations", "and e.mode = :mode"),
        "rough",
        "nobody sent|T6",
    ),
    Safeguard(
        "a relay repeats dispatches of its own mode",
        without("due_dispatches", "and mode = :mode"),
        "rough",
        "nobody sent|T6",
    ),
    Safeguard(
        "the obligation is written with the entry",
        _owe_nothing,
        "calm",
        "obligations",
    ),
    Safeguard("a key counts once", _constant(posting, "_claim_keys", _no_keys), "calm", "T3"),
    Safeguard(
        "a usage record keeps its idempotency key, whatever was answered",
        _constant(ways.UsageRecords, "keeps_key", False),
        "ways",
        "which nobody sent",
        "usage_records",
    ),
    Safeguard(
        "without deduplication nothing is told twice",
        _constant(rules, "is_past_window", lambda sent_at, profile, now: False),
        "ways",
        "counted 2 times|hours after it was worked on",
        "openmeter_plain",
    ),
    Safeguard(
        "a transaction that Lago knows is a yes",
        _constant(lago_provider, "_is_repeat", lambda reply: False),
        "ways",
        "is parked, and the provider has it for good",
        "lago",
    ),
]
