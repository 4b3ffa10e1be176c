"""Stripe's thin events about rejected meter events, verified and fetched through the official client.

Sources: Stripe's "Record usage for billing with the API", "Handle meter event errors"; "Receive events at your
webhook endpoint"; API reference, Events v2. Thin events carry no data: it is fetched, and only what was fetched
counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec
import stripe

from tallystick.errors import NoticeError, ProviderError
from tallystick.providers.check import Check
from tallystick.providers.reports import Notice, Rejection, Report, Sample
from tallystick.providers.transport import NotSent
from tallystick.values.instant import SECOND, from_datetime, from_rfc3339, rfc3339

REJECTED = "v1.billing.meter.error_report_triggered"
NO_METER = "v1.billing.meter.no_meter_found"
KINDS = (REJECTED, NO_METER)
MOST = 100_000  # reports read in one go; more are told of, not skipped


class StripeReports:
    """Reads notices and reports; `meters` gives the id of every meter by its event name."""

    def __init__(
        self, client: Callable[[], stripe.StripeClient], meters: Callable[[], dict[str, str]]
    ) -> None:
        self._client = client
        self._meters = meters

    def verified(self, body: bytes, signature: str, secrets: Sequence[str]) -> Notice:
        """The notice of a webhook; any of several secrets may have signed it, while one is rolled."""
        for secret in secrets:
            try:
                text = body.decode()
                pushed: Any = self._client().parse_event_notification(text, signature, secret)
            except stripe.SignatureVerificationError:
                continue
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise NoticeError(
                    f"not a thin event ({error}); give the event destination the payload style thin"
                ) from error
            mode = "live" if pushed.livemode else "test"
            return Notice(pushed.id, pushed.type, mode, pushed.type in KINDS)
        raise NoticeError(
            f"none of the {len(secrets)} webhook secret(s) signed this, or it is older than five minutes; "
            "compare STRIPE_WEBHOOK_SECRET with the event destination's"
        )

    def doctor(self) -> Check:
        """GET /v2/core/event_destinations: those that are enabled, thin, and take these events, between them."""
        try:
            thin = _ask(self._thin_destinations)
        except ProviderError as error:
            fix = "allow the key to read event destinations"
            return Check("webhook", False, str(error), fix)
        taken = {kind: [d for d in thin if {kind, "*"} & {*d.enabled_events}] for kind in KINDS}
        missing = [kind for kind, by in taken.items() if all(d.status != "enabled" for d in by)]
        if not missing:
            return Check("webhook", True, "Stripe pushes both kinds of report")
        asleep = sorted({d.id for kind in missing for d in taken[kind]})
        if asleep:
            fix = "mend the endpoint, then enable it again in Stripe's Dashboard"
            return Check("webhook", False, f"event destination {', '.join(asleep)} is disabled", fix)
        fix = "give an event destination of payload style thin these events"
        return Check("webhook", False, f"Stripe pushes {' and '.join(missing)} to nobody", fix)

    def fetch(self, identity: str) -> Report:
        """GET /v2/core/events/{id}."""
        event: Any = _ask(lambda: self._client().v2.core.events.retrieve(identity))
        return _report(event, self._names())

    def since(self, instant: int) -> Iterator[Report]:
        """GET /v2/core/events of both kinds, oldest first; one that cannot be read is told of after all others."""
        params: Any = {"types": list(KINDS), "created": {"gte": rfc3339(instant)}, "limit": 100}
        events = _ask(
            lambda: list(islice(self._client().v2.core.events.list(params).auto_paging_iter(), MOST + 1))
        )
        if len(events) > MOST:
            raise ProviderError(f"more than {MOST} reports since {rfc3339(instant)}; none of them was taken")
        names = self._names() if events else {}
        unreadable: list[ProviderError] = []
        for event in reversed(events):
            try:
                report = _report(event, names)
            except ProviderError as error:
                unreadable.append(error)
            else:
                yield report
        if unreadable:
            raise unreadable[0]

    def _thin_destinations(self) -> list[Any]:
        listed = self._client().v2.core.event_destinations.list({"limit": 100})
        return [one for one in listed.auto_paging_iter() if one.event_payload == "thin"]

    def _names(self) -> dict[str, str]:
        """Event names by the ids of their meters."""
        found: dict[str, str] = _ask(self._meters)
        return {meter: name for name, meter in found.items()}


class _Request(msgspec.Struct, frozen=True):
    identifier: str = ""
    idempotency_key: str = ""  # older reports name the request


class _Error(msgspec.Struct):
    error_message: str = ""
    request: _Request = _Request()


class _Kind(msgspec.Struct):
    code: str
    error_count: int
    sample_errors: list[_Error] = []


class _Reason(msgspec.Struct):
    error_types: list[_Kind]


class _Data(msgspec.Struct):
    reason: _Reason
    validation_start: str
    validation_end: str


class _Related(msgspec.Struct):
    id: str


class _Event(msgspec.Struct):
    id: str
    created: Any
    data: _Data
    related_object: _Related | None = None


def _report(event: Any, names: Mapping[str, str]) -> Report:
    try:
        told = msgspec.convert(event.to_dict(), _Event, strict=False)
        since, until = (_seconds(text) for text in (told.data.validation_start, told.data.validation_end))
        return Report(
            told.id,
            names.get(told.related_object.id, "") if told.related_object else "",
            _seconds(told.created),
            since,
            until,
            tuple(
                Rejection(kind.code, kind.error_count, tuple(map(_sample, kind.sample_errors)))
                for kind in told.data.reason.error_types
            ),
        )
    except (msgspec.ValidationError, ValueError) as error:
        raise ProviderError(f"Stripe's event {event.id} is not an error report: {error}") from error


def _sample(error: _Error) -> Sample:
    return Sample(error.request.identifier or error.request.idempotency_key, error.error_message)


def _seconds(moment: Any) -> int:
    """Whole seconds of an RFC 3339 text, or of the datetime that the client made of one."""
    instant = from_rfc3339(moment) if isinstance(moment, str) else from_datetime(moment)
    return instant // SECOND


def _ask(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except (stripe.StripeError, NotSent, OSError) as error:
        raise ProviderError(f"Stripe's events cannot be read: {error}") from error
