"""CloudEvents to OpenMeter, and meter queries back.

Sources: OpenMeter's OpenAPI description (Events, Meters, Customers), its documentation "Usage events",
the CloudEvents 1.0 specification. A customer of ours is a subject there.

A 204 says that an event was taken in, not that it is stored. A repeated id gets a 204 as well; whether
it counts twice depends on how that OpenMeter is configured, which its API does not tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Context, Decimal
from functools import partial

import msgspec

from tallystick.errors import ProviderError
from tallystick.providers.anchors import Anchors
from tallystick.providers.api import Acquaintances, JsonApi, judged, segment, sent_together
from tallystick.providers.check import Check
from tallystick.providers.openmeter import setup
from tallystick.providers.port import FOR_EVER, Answer, Change, Instruction, Outcome, Profile, Wanted
from tallystick.providers.reports import Reports
from tallystick.providers.transport import Reply
from tallystick.values.instant import rfc3339

API = "https://openmeter.cloud"
BATCH_SIZE = 100  # no limit is published; half a megabyte at most

PROFILE = Profile(
    name="openmeter",
    duplicate_window_seconds=0,  # deduplication is off unless its operator switches it on
    max_age_seconds=FOR_EVER,
    significant_digits=15,  # sums are binary floating point on their way back
    timeout_seconds=10.0,
    closes_after_seconds=3600,  # the collection interval's default
    finds_identifiers=True,
    settling_seconds=600,
    formulas=("sum", "last"),
    totals_are_doubles=True,
)


class OpenMeterProvider:
    """Sends events and reads meter queries; safe to use from several threads.

    `duplicate_window_seconds` is how long this OpenMeter recognises a repeated id (its `dedupe`
    settings); `check_customers=False` is for an OpenMeter that knows subjects but bills no customers.
    `source` names this application in every event; an id is unique within it.
    """

    def __init__(
        self,
        key: str = "",
        *,
        base: str = API,
        duplicate_window_seconds: int = 0,
        check_customers: bool = True,
        source: str = "tallystick",
        timeout_seconds: float = PROFILE.timeout_seconds,
    ) -> None:
        self.mode = ""
        self.reports: Reports | None = None  # what is wrong is refused at once
        self.anchors: Anchors | None = None  # nothing of theirs can be compared and set
        self.profile = msgspec.structs.replace(
            PROFILE,
            timeout_seconds=timeout_seconds,
            duplicate_window_seconds=duplicate_window_seconds,
            # A batch that fails half-way is taken in up to there: only where repeats are recognised.
            batch_size=BATCH_SIZE if duplicate_window_seconds else 1,
        )
        self._api = JsonApi("OpenMeter", base, key, "OPENMETER_API_KEY", timeout_seconds)
        self._source = source
        self._meters = Acquaintances(lambda meter: setup.why_not_metered(self._api, meter))
        look = setup.why_nobodys if check_customers else lambda _api, _customer: ""
        self._customers = Acquaintances(lambda customer: look(self._api, customer))

    def send(self, instruction: Instruction, *, still_ours: Callable[[], bool]) -> Answer:
        """Make one attempt; never raises.

        OpenMeter takes events of unknown meters and customers and bills them to nobody, so both are
        looked up first, once each.
        """
        objection = self._objection(instruction)
        if objection is not None:
            return objection
        body = msgspec.json.encode(self._event(instruction))
        return _judged(self._api.send("/api/v1/events", body, still_ours, "application/cloudevents+json"))

    def send_many(
        self, instructions: Sequence[Instruction], *, still_ours: Callable[[], bool]
    ) -> list[Answer]:
        """One batch; after a refusal one by one, to single out what is refused."""
        if len(instructions) == 1:
            return [self.send(instructions[0], still_ours=still_ours)]
        return sent_together(instructions, self._objection, partial(self._send_batch, still_ours=still_ours))

    def _send_batch(self, batch: Sequence[Instruction], still_ours: Callable[[], bool]) -> list[Answer]:
        body = msgspec.json.encode([self._event(instruction) for instruction in batch])
        answer = _judged(
            self._api.send("/api/v1/events", body, still_ours, "application/cloudevents-batch+json")
        )
        if answer.outcome is Outcome.REFUSED and self.profile.duplicate_window_seconds:
            return [self.send(instruction, still_ours=still_ours) for instruction in batch]
        return [answer] * len(batch)

    def has(self, instruction: Instruction) -> bool:
        """Whether the event list holds the event. False says nothing: events are stored some time later."""
        found = self._api.read(
            "/api/v1/events",
            list[_Ingested],
            id=instruction.identifier,
            subject=instruction.customer,
            **{"from": rfc3339(instruction.happened_at), "to": rfc3339(instruction.happened_at + 1)},
        )
        return any(
            each.event.id == instruction.identifier
            and each.event.source == self._source
            and each.event.subject == instruction.customer
            for each in found or ()
        )

    def total(self, customer: str, meter: str, since: int, until: int) -> Decimal:
        """The meter's value for a subject in [since, until), whole minutes; ProviderError when unreadable.

        It arrives as a double, of which 15 digits are certain.
        """
        path = f"/api/v1/meters/{segment(meter)}/query"
        result = self._api.read(
            path, _Queried, subject=customer, **{"from": rfc3339(since), "to": rfc3339(until)}
        )
        if result is None:
            raise ProviderError(f"OpenMeter has no meter {meter!r}; run: tallystick openmeter apply")
        total = sum((row.value for row in result.data), Decimal(0))
        return total.normalize(Context(prec=15))

    def period(self, customer: str, meter: str) -> tuple[int, int] | None:
        """Not asked for here; None."""
        return None

    def time(self) -> int | None:
        """The Date of an answer."""
        return self._api.time("/api/v1/meters")

    def plan(self, wanted: Iterable[Wanted]) -> list[Change]:
        """The meters that OpenMeter lacks; plans and prices are made there."""
        return setup.plan(self._api, wanted)

    def apply(self, changes: Iterable[Change]) -> list[str]:
        """Create what a plan lists."""
        return setup.apply(self._api, changes)

    def doctor(self, wanted: Iterable[Wanted], links: Mapping[str, str]) -> list[Check]:
        """Check meters and linked subjects, and say what happens to a repeat."""
        checks = [setup.about_duplicates(self.profile)]
        return checks + setup.doctor(self._api, wanted, links)

    def _objection(self, instruction: Instruction) -> Answer | None:
        return self._meters.objection(instruction.meter) or self._customers.objection(instruction.customer)

    def _event(self, instruction: Instruction) -> _Event:
        return _Event(
            id=instruction.identifier,
            source=self._source,
            type=instruction.meter,
            subject=instruction.customer,
            time=rfc3339(instruction.happened_at),
            data={"value": instruction.value},  # a text: JSON numbers become doubles over there
        )


class _Event(msgspec.Struct):
    id: str
    source: str
    type: str
    subject: str
    time: str | None = None
    data: dict[str, str] | None = None
    specversion: str = "1.0"


class _Listed(msgspec.Struct):
    id: str
    source: str
    subject: str


class _Ingested(msgspec.Struct):
    event: _Listed


class _Row(msgspec.Struct):
    value: Decimal


class _Queried(msgspec.Struct):
    data: list[_Row]


def _judged(reply: Reply | Answer) -> Answer:
    if isinstance(reply, Answer):
        return reply
    return Answer(Outcome.ACCEPTED) if reply.status == 204 else judged(reply)
