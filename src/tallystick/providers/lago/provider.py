"""Usage events to Lago, and its list of events back.

Sources: Lago's OpenAPI description (events, billable metrics, subscriptions) and its documentation
"Ingest usage" and "Rate limits". A customer of ours is a subscription there, by its external id.

A transaction_id is unique within a subscription for ever: a repeat is refused with a 422, or, where Lago
keeps events in ClickHouse, a repeat with the same timestamp takes the place of the first. Our repeats
keep their timestamp, so both count once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

import msgspec

from tallystick.errors import ProviderError
from tallystick.providers.anchors import Anchors
from tallystick.providers.api import Acquaintances, JsonApi, judged, segment, sent_together
from tallystick.providers.check import Check
from tallystick.providers.lago import setup
from tallystick.providers.port import FOR_EVER, Answer, Change, Instruction, Outcome, Profile, Wanted
from tallystick.providers.reports import Reports
from tallystick.providers.transport import Reply
from tallystick.values.instant import rfc3339

API = "https://api.getlago.com"
_ALREADY = {"value_already_exist", "value_is_missing_or_already_exists"}  # the second is an older Lago's
_PAGE = 100

PROFILE = Profile(
    name="lago",
    duplicate_window_seconds=FOR_EVER,
    max_age_seconds=FOR_EVER,
    significant_digits=12,  # its ClickHouse column has 12 digits before the point
    timeout_seconds=10.0,
    closes_after_seconds=0,  # the grace period's default
    batch_size=100,
    requests_per_second=500,
    finds_identifiers=True,
)


class LagoProvider:
    """Sends events and adds up what Lago lists; safe to use from several threads."""

    def __init__(
        self, key: str, *, base: str = API, timeout_seconds: float = PROFILE.timeout_seconds
    ) -> None:
        self.mode = ""
        self.reports: Reports | None = None  # what is wrong is refused at once
        self.anchors: Anchors | None = None  # nothing of theirs can be compared and set
        self.profile = msgspec.structs.replace(PROFILE, timeout_seconds=timeout_seconds)
        self._api = JsonApi("Lago", base, key, "LAGO_API_KEY", timeout_seconds)
        self._metrics = Acquaintances(lambda code: setup.why_not_metered(self._api, code))
        self._subscriptions = Acquaintances(lambda identity: setup.why_nobodys(self._api, identity))

    def send(self, instruction: Instruction, *, still_ours: Callable[[], bool]) -> Answer:
        """Make one attempt; never raises.

        Lago takes events of unknown metrics and subscriptions and bills them to nobody, so both are
        looked up first, once each.
        """
        objection = self._objection(instruction)
        if objection is not None:
            return objection
        body = msgspec.json.encode({"event": _event(instruction)})
        reply = self._api.send("/api/v1/events", body, still_ours)
        if isinstance(reply, Answer):
            return reply
        return _judged(reply, instruction)

    def send_many(
        self, instructions: Sequence[Instruction], *, still_ours: Callable[[], bool]
    ) -> list[Answer]:
        """One batch, which Lago takes as a whole or not at all; after a refusal one by one."""
        if len(instructions) == 1:
            return [self.send(instructions[0], still_ours=still_ours)]
        return sent_together(instructions, self._objection, partial(self._send_batch, still_ours=still_ours))

    def _send_batch(self, batch: Sequence[Instruction], still_ours: Callable[[], bool]) -> list[Answer]:
        body = msgspec.json.encode({"events": [_event(instruction) for instruction in batch]})
        reply = self._api.send("/api/v1/events/batch", body, still_ours)
        if isinstance(reply, Answer):
            return [reply] * len(batch)
        answer = judged(reply)
        if answer.outcome is Outcome.REFUSED:
            return [self.send(instruction, still_ours=still_ours) for instruction in batch]
        if reply.status == 200:
            taken = _taken(reply)
            return [_accepted(instruction, taken) for instruction in batch]
        return [answer] * len(batch)

    def has(self, instruction: Instruction) -> bool:
        """Whether Lago has an event of that transaction_id."""
        found = self._api.read(f"/api/v1/events/{segment(instruction.identifier)}", _Found)
        return found is not None and found.event.external_subscription_id == instruction.customer

    def total(self, customer: str, meter: str, since: int, until: int) -> Decimal:
        """The sum of the events Lago lists in [since, until), each transaction once; ProviderError.

        Lago's own aggregates exist per billing period only.
        """
        values: dict[str, Decimal] = {}
        page, pages = 1, 1
        while page <= pages:
            listed = self._api.read(
                "/api/v1/events",
                _Listed,
                external_subscription_id=customer,
                code=meter,
                timestamp_from=rfc3339(since),
                timestamp_to=rfc3339(until - 1),  # inclusive over there
                page=str(page),
                per_page=str(_PAGE),
            )
            if listed is None:
                raise ProviderError("Lago knows no /api/v1/events; is LAGO_API_BASE right?")
            values.update((event.transaction_id, event.value) for event in listed.events)
            page, pages = page + 1, listed.meta.total_pages
        return sum(values.values(), Decimal(0))

    def period(self, customer: str, meter: str) -> tuple[int, int] | None:
        """Not asked for here; None."""
        return None

    def time(self) -> int | None:
        """The Date of an answer."""
        return self._api.time("/api/v1/billable_metrics?per_page=1")

    def plan(self, wanted: Iterable[Wanted]) -> list[Change]:
        """The billable metrics that Lago lacks; plans and charges are made there."""
        return setup.plan(self._api, wanted)

    def apply(self, changes: Iterable[Change]) -> list[str]:
        """Create what a plan lists."""
        return setup.apply(self._api, changes)

    def doctor(self, wanted: Iterable[Wanted], links: Mapping[str, str]) -> list[Check]:
        """Check billable metrics and linked subscriptions."""
        return setup.doctor(self._api, wanted, links)

    def _objection(self, instruction: Instruction) -> Answer | None:
        return self._metrics.objection(instruction.meter) or self._subscriptions.objection(
            instruction.customer
        )


class _Event(msgspec.Struct):
    transaction_id: str
    external_subscription_id: str
    properties: dict[str, msgspec.Raw] = {}

    @property
    def value(self) -> Decimal:
        """The quantity as it was sent, a text or a number."""
        text = bytes(self.properties.get("value", b"0")).decode().strip('"')
        try:
            return Decimal(text)
        except InvalidOperation:
            raise ProviderError(f"Lago's event {self.transaction_id} has the value {text!r}") from None


class _Found(msgspec.Struct):
    event: _Event


class _Meta(msgspec.Struct):
    total_pages: int


class _Listed(msgspec.Struct):
    events: list[_Event]
    meta: _Meta


class _Taken(msgspec.Struct):
    events: list[_Event] = []
    event: _Event | None = None


class _Refused(msgspec.Struct):
    error_details: dict[str, Any] = {}


def _event(instruction: Instruction) -> dict[str, Any]:
    return {
        "transaction_id": instruction.identifier,
        "external_subscription_id": instruction.customer,
        "code": instruction.meter,
        "timestamp": instruction.happened_at,
        "properties": {"value": instruction.value},  # a text, so that nobody makes it a double
    }


def _judged(reply: Reply, instruction: Instruction) -> Answer:
    if reply.status == 200:
        return _accepted(instruction, _taken(reply))
    if reply.status == 422 and _is_repeat(reply):
        return Answer(Outcome.ACCEPTED, "the provider had it already")
    return judged(reply)


def _accepted(instruction: Instruction, taken: set[str]) -> Answer:
    if instruction.identifier in taken:
        return Answer(Outcome.ACCEPTED)
    return Answer(Outcome.UNKNOWN, "the answer does not name the event", answered=False)


def _taken(reply: Reply) -> set[str]:
    """The transactions an answer confirms; none when it is not Lago's."""
    try:
        found = msgspec.json.decode(reply.body, type=_Taken)
    except msgspec.MsgspecError:
        return set()
    events = [*found.events, found.event] if found.event else found.events
    return {event.transaction_id for event in events}


def _is_repeat(reply: Reply) -> bool:
    try:
        details = msgspec.json.decode(reply.body, type=_Refused).error_details
    except msgspec.MsgspecError:
        return False
    told = details.get("transaction_id")
    return details.keys() == {"transaction_id"} and isinstance(told, list) and set(told) <= _ALREADY
