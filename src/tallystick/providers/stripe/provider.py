"""Stripe through the official client: attempts, totals and periods, by whichever interface usage goes.

Sources: Stripe's API reference (Meter Event Summary, Subscription, Errors, Idempotent requests).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import stripe

from tallystick.errors import ConfigError, NoSuchCustomerError, ProviderError
from tallystick.providers.anchors import Anchors
from tallystick.providers.check import Check
from tallystick.providers.port import Answer, Change, Instruction, Outcome, Profile, Wanted
from tallystick.providers.reports import Reports
from tallystick.providers.stripe import setup
from tallystick.providers.stripe.anchors import StripeAnchors
from tallystick.providers.stripe.reports import StripeReports
from tallystick.providers.stripe.transport import KeptAliveClient
from tallystick.providers.stripe.ways import (
    IN_TEST_MODE,
    PROFILE,
    MeterEvents,
    MeterEventStream,
    MeterEventsV2,
    Untellable,
    UsageRecords,
    Via,
    Way,
    subscribed,
)
from tallystick.providers.transport import NotSent, second_of

API = "https://api.stripe.com"
EVENTS_API = "https://meter-events.stripe.com"  # where the stream is sent
_ALREADY = "already exists with identifier"
_RATE_LIMITED = "stripe-rate-limited-reason"
_TRANSIENT = frozenset({409, 429})


def mode_of(key: str) -> str:
    """'live' or 'test' by the key's prefix; ConfigError for anything else."""
    for mode in ("live", "test"):
        if key.startswith((f"sk_{mode}_", f"rk_{mode}_")):
            return mode
    raise ConfigError(
        "the Stripe key is not a secret key; it must start with sk_test_, sk_live_, rk_test_ or rk_live_"
    )


class StripeProvider:
    """Sends meter events and reads their sums back; safe to use from several threads.

    `key` is the secret key, or what reads it: then it is read again whenever Stripe refuses it, so that a
    rotated key is taken up without a restart. A key of the other mode is not taken up. `via` is the interface
    that usage goes through; see docs/providers.md.
    """

    def __init__(
        self,
        key: str | Callable[[], str],
        *,
        base: str = API,
        via: Via = "meter_events",
        timeout_seconds: float = PROFILE.timeout_seconds,
        draft_hours: int = PROFILE.closes_after_seconds // 3600,
    ) -> None:
        self._read_key = key if callable(key) else None
        self._key = key() if callable(key) else key
        self.mode = mode_of(self._key)
        self.base = base
        self._via, self._way = via, self._way_of(via)
        self.profile = self._profile(timeout_seconds, draft_hours)
        self._transport = KeptAliveClient(timeout_seconds)
        self.client = self._connect(self._key)
        self._meter_ids: dict[str, str] = {}
        self.anchors: Anchors | None = StripeAnchors(lambda: self.client)
        told_later = via != "usage_records"
        self.reports: Reports | None = (
            StripeReports(lambda: self.client, self._list_meters) if told_later else None
        )

    def _profile(self, timeout_seconds: float, draft_hours: int) -> Profile:
        profile = self._way.profile
        pace = profile.requests_per_second
        if self.mode == "test" and self.base == API:
            pace = min(pace, IN_TEST_MODE)
        return msgspec.structs.replace(
            profile,
            timeout_seconds=timeout_seconds,
            requests_per_second=pace,
            closes_after_seconds=draft_hours * 3600,
        )

    def _way_of(self, via: Via) -> Way:
        match via:
            case "meter_events":
                return MeterEvents()
            case "meter_events_v2":
                return MeterEventsV2()
            case "meter_event_stream":
                return MeterEventStream(self._connect)
            case "usage_records":
                return UsageRecords()

    def _connect(self, key: str) -> stripe.StripeClient:
        # No retries of the client's own: delivery decides, with the outcome of each attempt on record.
        return stripe.StripeClient(
            key,
            base_addresses={
                "api": self.base,
                "meter_events": EVENTS_API if self.base == API else self.base,
            },
            http_client=self._transport,
            max_network_retries=0,
        )

    def _take_up_new_key(self, answer: Answer) -> Answer:
        """After a refused key: read it again; the next attempt uses a new one. The answer, with what is wrong."""
        if self._read_key is None:
            return answer
        try:
            key = self._read_key()
            mode = mode_of(key)
        except ConfigError as error:
            return Answer(Outcome.PAUSED, f"{answer.reason}; {error}")
        if mode != self.mode:
            return Answer(
                Outcome.PAUSED, f"{answer.reason}; the new key is a {mode} key, live and test never mix"
            )
        if key != self._key:
            self._key, self.client = key, self._connect(key)
        return answer

    def send(self, instruction: Instruction, *, still_ours: Callable[[], bool]) -> Answer:
        """Make one attempt; never raises."""
        return self._attempt([instruction], still_ours)

    def send_many(
        self, instructions: Sequence[Instruction], *, still_ours: Callable[[], bool]
    ) -> list[Answer]:
        """One call for all where the interface takes batches, which stand or fall together; else one each."""
        if self.profile.batch_size == 1:
            return [self._attempt([instruction], still_ours) for instruction in instructions]
        return [self._attempt(instructions, still_ours)] * len(instructions)

    def _attempt(self, instructions: Sequence[Instruction], still_ours: Callable[[], bool]) -> Answer:
        self._transport.allow(still_ours)
        try:
            self._way.tell(self.client, instructions)
        except NotSent as error:
            return Answer(Outcome.NOT_SENT, str(error), answered=False)
        except Untellable as error:
            return Answer(Outcome.REFUSED, str(error), answered=False)
        except stripe.StripeError as error:
            answer = classify(error)
            if answer.outcome is Outcome.PAUSED:
                answer = self._take_up_new_key(answer)
            return msgspec.structs.replace(answer, answered=answer.answered and not self._way.keeps_key)
        except (OSError, ValueError, EOFError) as error:
            return Answer(Outcome.UNKNOWN, f"no answer: {error or type(error).__name__}", answered=False)
        except Exception as error:
            return Answer(
                Outcome.UNKNOWN, f"no usable answer: {type(error).__name__}: {error}", answered=False
            )
        finally:
            self._transport.allow(None)
        return Answer(Outcome.ACCEPTED)

    def has(self, instruction: Instruction) -> bool:
        """Stripe does not list single meter events; ProviderError."""
        raise ProviderError("Stripe cannot be asked for one meter event; compare with its summaries")

    def total(self, customer: str, meter: str, since: int, until: int) -> Decimal:
        """The sum of the event summaries of whole minutes [since, until); ProviderError when unreadable."""
        try:
            if isinstance(self._way, UsageRecords):
                return self._way.total(self.client, customer, meter, since, until)
            path = f"/v1/billing/meters/{self._meter_id(meter)}/event_summaries"
            params: dict[str, Any] = {"customer": customer, "start_time": since, "end_time": until}
            response = self.client.raw_request("get", path, limit=100, **params)
            page = msgspec.json.decode(response.body, type=_Page)  # raw: the client makes floats of sums
        except NotSent as error:
            raise ProviderError(f"Stripe cannot be reached: {error}") from error
        except ProviderError:
            raise
        except Exception as error:  # no connection, a refusal, or an answer that is not Stripe's
            gone = isinstance(error, stripe.InvalidRequestError) and "No such customer" in str(error)
            raise (NoSuchCustomerError if gone else ProviderError)(
                f"Stripe's summaries for {customer}, {meter} cannot be read: {error}"
            ) from error
        return sum((Decimal(str(summary.aggregated_value)) for summary in page.data), Decimal(0))

    def period(self, customer: str, meter: str) -> tuple[int, int] | None:
        """The running period of the subscription item whose price counts the meter; ProviderError when unreadable."""
        by_name = isinstance(self._way, UsageRecords)
        try:
            wanted = meter if by_name else self._meter_id(meter)
            items = subscribed(self.client, customer)
        except ProviderError:
            raise
        except Exception as error:  # no connection, a refusal, or an answer that is not Stripe's
            raise ProviderError(f"Stripe's subscriptions of {customer} cannot be read: {error}") from error
        for item in items:
            counts = item.price.lookup_key if by_name else item.price.counts
            if counts == wanted:
                return item.current_period_start, item.current_period_end
        return None

    def time(self) -> int | None:
        """The Date of the answer about a meter, refused or not; ProviderError without one."""
        try:
            headers = self.client.raw_request("get", "/v1/billing/meters", limit=1).headers
        except Exception as error:  # no connection, or a refusal, which has headers
            headers = getattr(error, "headers", None) or {}
            if not headers:
                raise ProviderError(f"Stripe cannot be asked: {error}") from error
        return second_of(headers)

    def plan(self, wanted: Iterable[Wanted]) -> list[Change]:
        """The meters and prices that Stripe lacks; none for usage records, whose prices cannot be made any more."""
        return [] if isinstance(self._way, UsageRecords) else setup.plan(self.client, wanted)

    def apply(self, changes: Iterable[Change]) -> list[str]:
        """Create what a plan lists."""
        return setup.apply(self.client, changes)

    def doctor(self, wanted: Iterable[Wanted], links: Mapping[str, str]) -> list[Check]:
        """Check the interface, meters, prices and linked customers."""
        interface = setup.doctor_of_interface(self._via, lambda: self._way.knock(self.client))
        if isinstance(self._way, UsageRecords):
            return [interface, *setup.doctor_of_items(self.client, wanted, links)]
        return [interface, *setup.doctor(self.client, wanted, links)]

    def _list_meters(self) -> dict[str, str]:
        listed = self.client.v1.billing.meters.list({"limit": 100}).auto_paging_iter()
        return {meter.event_name: meter.id for meter in listed}

    def _meter_id(self, event_name: str) -> str:
        if event_name not in self._meter_ids:
            self._meter_ids.update(self._list_meters())
        try:
            return self._meter_ids[event_name]
        except KeyError:
            raise ProviderError(
                f"Stripe has no meter with event_name {event_name!r}; run: tallystick stripe apply"
            ) from None


class _Summary(msgspec.Struct):
    aggregated_value: Decimal


class _Page(msgspec.Struct):
    data: list[_Summary]


def classify(error: stripe.StripeError) -> Answer:
    """The outcome of an answered or failed call, by status and message.

    A repeated identifier is an error at Stripe, not a silent skip; only its text tells (it carries no code).
    """
    status, text = error.http_status, str(error.user_message or error)
    if status is None or status < 400:  # no answer, or one that is not Stripe's
        return Answer(Outcome.UNKNOWN, text, answered=False)
    if status == 400 and (error.code == "duplicate_meter_event" or _ALREADY in text):
        return Answer(Outcome.ACCEPTED, "the provider had it already")
    if status in (401, 403):
        return Answer(Outcome.PAUSED, text)
    if status in _TRANSIENT:
        headers = error.headers or {}
        after, too_fast = (
            _seconds(headers.get("retry-after")),
            _RATE_LIMITED in headers,
        )  # else: a lock, a key in use
        return Answer(Outcome.NOT_SENT, text, retry_after_seconds=after, too_fast=too_fast)
    if status >= 500 or type(error) is stripe.APIError:  # the client's word for what is not Stripe's JSON
        return Answer(Outcome.UNKNOWN, f"{status}: {text}", answered=status >= 500)
    return Answer(Outcome.REFUSED, f"{status}: {text}")


def _seconds(text: str | None) -> float | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
