"""The interfaces Stripe has for usage, one class each: what is told, and what may be said of it.

Sources: Stripe's API reference (Meter Event v1 and v2, Meter Event Session and Stream v2), "Rate limits", and for
usage records the official Python client 11.6.0.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Literal, Protocol

import msgspec
import stripe

from tallystick.errors import ProviderError
from tallystick.providers.port import Instruction, Profile
from tallystick.values.instant import rfc3339

Via = Literal["meter_events", "meter_events_v2", "meter_event_stream", "usage_records"]

PROFILE = Profile(
    name="stripe",
    duplicate_window_seconds=24 * 3600,
    max_age_seconds=35 * 24 * 3600,
    significant_digits=15,
    timeout_seconds=10.0,
    closes_after_seconds=3600,
    requests_per_second=1000,
    formulas=("sum", "count", "last"),
    names_periods=True,
)
IN_TEST_MODE = 25  # calls a second of all kinds, usage among them ("Rate limits")
BEFORE_METERS = "2025-02-24.acacia"  # the last API version with usage records
MOST_PAGES = 20  # of a hundred rows: what one customer can have
_SESSION_OVER = "billing_meter_event_session_expired"


class Untellable(Exception):
    """What this way cannot say; nothing left."""


class Way(Protocol):
    """How Stripe is told usage.

    `keeps_key`: nothing but the idempotency key protects against counting twice, so that it must stay the
    same even after a stored error.
    """

    profile: Profile
    keeps_key: bool

    def tell(self, client: stripe.StripeClient, instructions: Sequence[Instruction]) -> None:
        """Make one call for up to `profile.batch_size` instructions.

        Raises StripeError when it is refused or fails, Untellable, and what the transport raises.
        """
        ...

    def knock(self, client: stripe.StripeClient) -> None:
        """Ask what shows that this interface is open to the key, and tell nothing. Raises as `tell` does."""
        ...


class MeterEvents:
    """One meter event a call, checked at once."""

    profile = PROFILE
    keeps_key = False

    def tell(self, client: stripe.StripeClient, instructions: Sequence[Instruction]) -> None:
        """POST /v1/billing/meter_events."""
        [one] = instructions
        client.v1.billing.meter_events.create(
            {
                "event_name": one.meter,
                "identifier": one.identifier,
                "timestamp": one.happened_at,
                "payload": {"stripe_customer_id": one.customer, "value": one.value},
            },
            {"idempotency_key": one.idempotency_key},
        )

    def knock(self, client: stripe.StripeClient) -> None:
        """GET /v1/billing/meters: events are of no use without."""
        client.v1.billing.meters.list({"limit": 1})


def _event(one: Instruction) -> Any:
    return {
        "event_name": one.meter,
        "identifier": one.identifier,
        "timestamp": rfc3339(one.happened_at),
        "payload": {"stripe_customer_id": one.customer, "value": one.value},
    }


class MeterEventsV2:
    """The same by the second API: errors have codes, a failed request under a key is run again."""

    profile = PROFILE
    keeps_key = False

    def tell(self, client: stripe.StripeClient, instructions: Sequence[Instruction]) -> None:
        """POST /v2/billing/meter_events."""
        [one] = instructions
        client.v2.billing.meter_events.create(_event(one), {"idempotency_key": one.idempotency_key})

    def knock(self, client: stripe.StripeClient) -> None:
        """GET /v1/billing/meters, as for the first API: the second has nothing of its own to ask."""
        client.v1.billing.meters.list({"limit": 1})


class MeterEventStream:
    """A hundred events a call, all of them checked later: an answer says that they were received, no more."""

    profile = msgspec.structs.replace(PROFILE, batch_size=100, requests_per_second=100)
    keeps_key = False

    def __init__(self, connect: Callable[[str], stripe.StripeClient]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._session: stripe.StripeClient | None = None

    def tell(self, client: stripe.StripeClient, instructions: Sequence[Instruction]) -> None:
        """POST /v2/billing/meter_event_stream, with the token of a session; one that is over is opened anew."""
        events: Any = {"events": [_event(one) for one in instructions]}
        session = self._open(client, None)
        try:
            session.v2.billing.meter_event_stream.create(events)
        except stripe.StripeError as error:
            if error.code != _SESSION_OVER:
                raise
            self._open(client, session).v2.billing.meter_event_stream.create(events)

    def knock(self, client: stripe.StripeClient) -> None:
        """POST /v2/billing/meter_event_session, unless one is open."""
        self._open(client, None)

    def _open(self, client: stripe.StripeClient, over: stripe.StripeClient | None) -> stripe.StripeClient:
        """The session that the threads share; `over` is one that Stripe no longer takes."""
        with self._lock:
            if self._session is None or self._session is over:
                opened = client.v2.billing.meter_event_session.create()
                self._session = self._connect(opened.authentication_token)
            return self._session


class UsageRecords:
    """Increments of a subscription item, for accounts whose prices have no meter.

    There is no identifier. A price counts a meter when its `lookup_key` is the meter's event name.
    """

    profile = msgspec.structs.replace(
        PROFILE, requests_per_second=25, totals_are_whole_periods=True, formulas=("sum",), whole_numbers=True
    )
    keeps_key = True

    def __init__(self) -> None:
        self._items: dict[tuple[str, str], str] = {}

    def tell(self, client: stripe.StripeClient, instructions: Sequence[Instruction]) -> None:
        """POST /v1/subscription_items/{id}/usage_records of an API version that has it."""
        [one] = instructions
        value = Decimal(one.value)
        if value < 0 or value != value.to_integral_value():
            raise Untellable(f"usage records take whole numbers from 0 on, not {one.value}")
        item = self.item(client, one.customer, one.meter)
        try:
            client.raw_request(
                "post",
                f"/v1/subscription_items/{item}/usage_records",
                quantity=str(value.to_integral_value()),
                timestamp=one.happened_at,
                action="increment",
                stripe_version=BEFORE_METERS,
                idempotency_key=one.idempotency_key,
            )
        except stripe.InvalidRequestError:
            self._items.pop((one.customer, one.meter), None)  # another subscription may have taken its place
            raise

    def knock(self, client: stripe.StripeClient) -> None:
        """GET /v1/prices by the API version that has usage records: Stripe may drop it for an account."""
        client.raw_request("get", "/v1/prices?limit=1", stripe_version=BEFORE_METERS)

    def item(self, client: stripe.StripeClient, customer: str, meter: str) -> str:
        """The subscription item that a customer's usage of a meter goes to; Untellable without one."""
        place = (customer, meter)
        if place not in self._items:
            found = next((i for i in subscribed(client, customer) if i.price.lookup_key == meter), None)
            if found is None:
                raise Untellable(
                    f"customer {customer} has no subscription item whose price has lookup_key {meter!r}"
                )
            self._items[place] = found.id
        return self._items[place]

    def total(
        self, client: stripe.StripeClient, customer: str, meter: str, since: int, until: int
    ) -> Decimal:
        """The sum of the periods that [since, until) touches, whole; ProviderError when there is no item."""
        try:
            path = f"/v1/subscription_items/{self.item(client, customer, meter)}/usage_record_summaries"
        except Untellable as error:
            raise ProviderError(str(error)) from error
        rows = _pages(client, path, _UsagePage, stripe_version=BEFORE_METERS)
        touched = [row for row in rows if row.period.start < until and since < row.period.end]
        return Decimal(sum(row.total_usage for row in touched))


class _Recurring(msgspec.Struct):
    meter: str | None = None


class _Price(msgspec.Struct):
    recurring: _Recurring | None = None
    lookup_key: str | None = None

    @property
    def counts(self) -> str | None:
        """The id of the meter whose usage it prices."""
        return self.recurring.meter if self.recurring else None


class Item(msgspec.Struct):
    """A subscription item; its period is its own since 2025-03-31, the subscription's before."""

    id: str
    price: _Price
    current_period_start: int = 0
    current_period_end: int = 0


class _Items(msgspec.Struct):
    data: list[Item]


class _Subscription(msgspec.Struct):
    id: str
    items: _Items


class _Subscriptions(msgspec.Struct):
    data: list[_Subscription]
    has_more: bool = False


class _UsagePeriod(msgspec.Struct):
    start: int
    end: int


class _UsageSummary(msgspec.Struct):
    id: str
    total_usage: int
    period: _UsagePeriod


class _UsagePage(msgspec.Struct):
    data: list[_UsageSummary]
    has_more: bool = False


def subscribed(client: stripe.StripeClient, customer: str) -> list[Item]:
    """The items of a customer's subscriptions; raises what the client raises."""
    rows = _pages(client, "/v1/subscriptions", _Subscriptions, customer=customer)
    return [item for subscription in rows for item in subscription.items.data]


def _pages(client: stripe.StripeClient, path: str, kind: Any, **params: Any) -> list[Any]:
    """All rows of a list, up to MOST_PAGES pages of a hundred."""
    rows: list[Any] = []
    for _ in range(MOST_PAGES):
        response = client.raw_request("get", path, limit=100, **params)
        page = msgspec.json.decode(response.body, type=kind)
        rows += page.data
        if not page.has_more or not page.data:
            break
        params["starting_after"] = page.data[-1].id
    return rows
