"""Billing meter events v1 through the official client.

Sources: Stripe's API reference (Meter Event, Meter Event Summary, Errors, Idempotent requests).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import stripe

from tallystick.errors import ConfigError, NoSuchCustomerError, ProviderError
from tallystick.providers.port import Answer, Change, Check, Instruction, Outcome, Profile, Wanted
from tallystick.providers.reports import Reports
from tallystick.providers.stripe import setup
from tallystick.providers.stripe.reports import StripeReports
from tallystick.providers.stripe.transport import KeptAliveClient
from tallystick.providers.transport import NotSent

API = "https://api.stripe.com"
_ALREADY = "already exists with identifier"
_TRANSIENT = frozenset({409, 429})

PROFILE = Profile(
    name="stripe",
    duplicate_window_seconds=24 * 3600,
    max_age_seconds=35 * 24 * 3600,
    significant_digits=15,
    timeout_seconds=10.0,
    closes_after_seconds=3600,
    requests_per_second=1000,
)


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
    rotated key is taken up without a restart. A key of the other mode is not taken up.
    """

    def __init__(
        self,
        key: str | Callable[[], str],
        *,
        base: str = API,
        timeout_seconds: float = PROFILE.timeout_seconds,
    ) -> None:
        self._read_key = key if callable(key) else None
        self._key = key() if callable(key) else key
        self.mode = mode_of(self._key)
        self.base = base
        self.profile = msgspec.structs.replace(PROFILE, timeout_seconds=timeout_seconds)
        self._transport = KeptAliveClient(timeout_seconds)
        self.client = self._connect(self._key)
        self._meter_ids: dict[str, str] = {}
        self.reports: Reports | None = StripeReports(lambda: self.client, self._list_meters)

    def _connect(self, key: str) -> stripe.StripeClient:
        # No retries of the client's own: delivery decides, with the outcome of each attempt on record.
        return stripe.StripeClient(
            key,
            base_addresses={"api": self.base, "meter_events": self.base},
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
        self._transport.allow(still_ours)
        try:
            self.client.v1.billing.meter_events.create(
                {
                    "event_name": instruction.meter,
                    "identifier": instruction.identifier,
                    "timestamp": instruction.happened_at,
                    "payload": {"stripe_customer_id": instruction.customer, "value": instruction.value},
                },
                {"idempotency_key": instruction.idempotency_key},
            )
        except NotSent as error:
            return Answer(Outcome.NOT_SENT, str(error), answered=False)
        except stripe.StripeError as error:
            answer = classify(error)
            return self._take_up_new_key(answer) if answer.outcome is Outcome.PAUSED else answer
        except (OSError, ValueError, EOFError) as error:
            return Answer(Outcome.UNKNOWN, f"no answer: {error or type(error).__name__}", answered=False)
        except Exception as error:
            return Answer(
                Outcome.UNKNOWN, f"no usable answer: {type(error).__name__}: {error}", answered=False
            )
        finally:
            self._transport.allow(None)
        return Answer(Outcome.ACCEPTED)

    def send_many(
        self, instructions: Sequence[Instruction], *, still_ours: Callable[[], bool]
    ) -> list[Answer]:
        """One call each: meter events v1 take one event a call."""
        return [self.send(instruction, still_ours=still_ours) for instruction in instructions]

    def has(self, instruction: Instruction) -> bool:
        """Stripe does not list single meter events; ProviderError."""
        raise ProviderError("Stripe cannot be asked for one meter event; compare with its summaries")

    def total(self, customer: str, meter: str, since: int, until: int) -> Decimal:
        """The sum of the event summaries of whole minutes [since, until); ProviderError when unreadable."""
        params: dict[str, Any] = {"customer": customer, "start_time": since, "end_time": until, "limit": 100}
        try:
            path = f"/v1/billing/meters/{self._meter_id(meter)}/event_summaries"
            response = self.client.raw_request("get", path, **params)
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
        try:
            wanted = self._meter_id(meter)
            response = self.client.raw_request("get", "/v1/subscriptions", customer=customer, limit=100)
            page = msgspec.json.decode(response.body, type=_Subscriptions)
        except ProviderError:
            raise
        except Exception as error:  # no connection, a refusal, or an answer that is not Stripe's
            raise ProviderError(f"Stripe's subscriptions of {customer} cannot be read: {error}") from error
        for subscription in page.data:
            for item in subscription.items.data:
                if item.price.recurring is not None and item.price.recurring.meter == wanted:
                    return item.current_period_start, item.current_period_end
        return None

    def plan(self, wanted: Iterable[Wanted]) -> list[Change]:
        """The meters and prices that Stripe lacks."""
        return setup.plan(self.client, wanted)

    def apply(self, changes: Iterable[Change]) -> list[str]:
        """Create what a plan lists."""
        return setup.apply(self.client, changes)

    def doctor(self, wanted: Iterable[Wanted], links: Mapping[str, str]) -> list[Check]:
        """Check meters, prices and linked customers."""
        return setup.doctor(self.client, wanted, links)

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


class _Recurring(msgspec.Struct):
    meter: str | None = None


class _Price(msgspec.Struct):
    recurring: _Recurring | None = None


class _Item(msgspec.Struct):
    price: _Price
    current_period_start: int
    current_period_end: int


class _Items(msgspec.Struct):
    data: list[_Item]


class _Subscription(msgspec.Struct):
    items: _Items


class _Subscriptions(msgspec.Struct):
    data: list[_Subscription]


def classify(error: stripe.StripeError) -> Answer:
    """The outcome of an answered or failed call, by status and message.

    A repeated identifier is an error at Stripe, not a silent skip; only its text tells (it carries no code).
    """
    status, text = error.http_status, str(error.user_message or error)
    if status is None or status < 400:  # no answer, or one that is not Stripe's
        return Answer(Outcome.UNKNOWN, text, answered=False)
    if status == 400 and _ALREADY in text:
        return Answer(Outcome.ACCEPTED, "the provider had it already")
    if status in (401, 403):
        return Answer(Outcome.PAUSED, text)
    if status in _TRANSIENT:
        after = (error.headers or {}).get("retry-after")
        return Answer(Outcome.NOT_SENT, text, retry_after_seconds=_seconds(after))
    if status >= 500 or type(error) is stripe.APIError:  # the client's word for what is not Stripe's JSON
        return Answer(Outcome.UNKNOWN, f"{status}: {text}", answered=status >= 500)
    return Answer(Outcome.REFUSED, f"{status}: {text}")


def _seconds(text: str | None) -> float | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
