"""Meters: formulas, windows, archiving, names that change hands; customers that are deleted."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tallystick.sandbox import Sandbox
from tests.sandbox.conftest import DAY, START
from tests.sandbox.test_contract import provision, send


def meter_of(client: stripe.StripeClient, formula: str, **more: Any) -> Any:
    params: Any = {
        "display_name": "Tokens",
        "event_name": "tokens",
        "default_aggregation": {"formula": formula},
        **more,
    }
    return client.v1.billing.meters.create(params)


def total(client: stripe.StripeClient, meter: str, customer: str) -> float:
    """The one summary of the day before START and the day after."""
    window: Any = {"customer": customer, "start_time": START - DAY, "end_time": START + DAY}
    [summary] = client.v1.billing.meters.event_summaries.list(meter, window).data
    return summary.aggregated_value


# (seconds after START, value), in order of receipt
SENT = [(-7200, "5"), (-3700, "1"), (-3601, "2"), (-3900, "4"), (-10, "-3")]


@pytest.mark.parametrize(
    ("formula", "window", "expected"),
    [
        ("sum", None, 9),
        ("count", None, 5),
        ("last", None, -3),
        ("sum", "hour", 4 - 3),  # 22:00 is kept by the event received last, 23:00 has one
        ("count", "hour", 2),
        ("sum", "day", -3),
    ],
)
def test_formulas_and_windows(
    client: stripe.StripeClient, formula: str, window: str | None, expected: int
) -> None:
    """Within an event time window only the event received last counts."""
    meter = meter_of(client, formula, **({"event_time_window": window} if window else {}))
    customer = client.v1.customers.create({"name": "Acme"}).id
    for offset, value in SENT:
        send(client, customer, value, at=START + offset)
    assert total(client, meter.id, customer) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"display_name": "x" * 251},
        {"event_name": "x" * 101},
        {"customer_mapping": {"type": "by_name", "event_payload_key": "customer"}},
        {"customer_mapping": {"type": "by_id", "event_payload_key": "x" * 101}},
        {"customer_mapping": {"type": "by_id"}},
        {"value_settings": {"event_payload_key": "x" * 101}},
        {"value_settings": {"event_payload_key": "value", "unit": "token"}},
        {"default_aggregation": {"formula": "max"}},
        {"event_time_window": "week"},
        {"dimension_payload_keys": ["model"]},
    ],
)
def test_meters_that_there_are_not(client: stripe.StripeClient, change: dict[str, Any]) -> None:
    """Names, keys and choices are as the description bounds them."""
    with pytest.raises(stripe.InvalidRequestError):
        meter_of(client, "sum", **change)
    assert client.v1.billing.meters.list().data == []


@pytest.mark.parametrize("change", [{"event_name": "other"}, {"display_name": "x" * 251}])
def test_only_the_display_name_can_change(client: stripe.StripeClient, change: Any) -> None:
    meter = meter_of(client, "sum")
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.billing.meters.update(meter.id, change)
    assert client.v1.billing.meters.update(meter.id, {"display_name": "New"}).display_name == "New"


@pytest.mark.parametrize(("switch", "expected"), [("timestamp", 7), ("receipt", 8)])
def test_which_event_is_last(
    client: stripe.StripeClient, sandbox: Sandbox, switch: str, expected: int
) -> None:
    """The open question what `last` reads, when events come out of order."""
    sandbox.switch(last_by=switch)
    meter = meter_of(client, "last")
    customer = client.v1.customers.create({"name": "Acme"}).id
    send(client, customer, "7", at=START)
    send(client, customer, "8", at=START - 60)
    assert total(client, meter.id, customer) == expected


def test_an_archived_meter_rejects_until_it_is_brought_back(client: stripe.StripeClient) -> None:
    """No events, no new prices and items; what was counted stays."""
    meter, customer, subscription = provision(client)
    send(client, customer.id, "1")
    price = subscription["items"].data[0].price.id
    gone = client.v1.billing.meters.deactivate(meter.id)
    assert (gone.status, gone.status_transitions.deactivated_at) == ("inactive", START)
    with pytest.raises(stripe.InvalidRequestError, match="No active meter"):
        send(client, customer.id, "1")
    with pytest.raises(stripe.InvalidRequestError, match="inactive"):
        client.v1.subscriptions.create({"customer": customer.id, "items": [{"price": price}]})
    assert client.v1.billing.meters.reactivate(meter.id).status == "active"
    send(client, customer.id, "1")
    assert total(client, meter.id, customer.id) == 2


def test_an_event_name_changes_hands(client: stripe.StripeClient) -> None:
    """The name of an archived meter may be taken; then the old one cannot come back, and keeps its usage."""
    old, customer, _ = provision(client)
    send(client, customer.id, "1")
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        meter_of(client, "sum")
    client.v1.billing.meters.deactivate(old.id)
    new = meter_of(client, "sum")
    send(client, customer.id, "2")
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        client.v1.billing.meters.reactivate(old.id)
    assert total(client, old.id, customer.id) == 1
    assert total(client, new.id, customer.id) == 2


def test_a_deleted_customer(client: stripe.StripeClient) -> None:
    """Subscriptions end at once, usage is refused, the id goes on being answered."""
    _, customer, subscription = provision(client)
    send(client, customer.id, "1")
    client.v1.customers.delete(customer.id)
    assert client.v1.customers.retrieve(customer.id).deleted
    assert client.v1.subscriptions.retrieve(subscription.id).status == "canceled"
    assert client.v1.customers.list().data == []
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        send(client, customer.id, "1")


@pytest.mark.parametrize(
    ("switch", "outcome", "expected"),
    [("counts", 200, 2), ("refused", 400, 1), ("dropped", 200, 1)],
)
def test_a_repeat_after_the_window(
    client: stripe.StripeClient, sandbox: Sandbox, switch: str, outcome: int, expected: int
) -> None:
    """The open question what an identifier does after its 24 hours."""
    sandbox.switch(repeat_after_window=switch)
    meter, customer, _ = provision(client)
    send(client, customer.id, "1", identifier="one")
    sandbox.advance(DAY)
    try:
        status = send(client, customer.id, "1", identifier="one").last_response.code
    except stripe.InvalidRequestError as error:
        status = error.http_status
    assert (status, total(client, meter.id, customer.id)) == (outcome, expected)


def test_identifiers_are_remembered_for_at_least_their_window(
    client: stripe.StripeClient, sandbox: Sandbox
) -> None:
    """Each for its own time: some longer than 24 hours, none shorter."""
    sandbox.switch(window_jitter_seconds=DAY)
    _, customer, _ = provision(client)
    names = [f"e{number}" for number in range(30)]

    def refused() -> int:
        found = 0
        for name in names:
            try:
                send(client, customer.id, "1", identifier=name)
            except stripe.InvalidRequestError:
                found += 1
        return found

    assert refused() == 0
    sandbox.advance(DAY - 1)
    assert refused() == 30
    sandbox.advance(DAY // 2)
    assert 0 < refused() < 30


@pytest.mark.parametrize(("switch", "counted"), [("account", False), ("customer", True)])
def test_one_identifier_for_two_customers(
    client: stripe.StripeClient, sandbox: Sandbox, switch: str, counted: bool
) -> None:
    """The open question how far an identifier reaches."""
    sandbox.switch(repeat_scope=switch)
    _, customer, _ = provision(client)
    other = client.v1.customers.create({"name": "Other"}).id
    send(client, customer.id, "1", identifier="one")
    if counted:
        send(client, other, "1", identifier="one")
    else:
        with pytest.raises(stripe.InvalidRequestError, match="already exists"):
            send(client, other, "1", identifier="one")


@pytest.mark.parametrize("value", ["1.5", "-1"])
def test_values_may_be_whole_numbers_only(client: stripe.StripeClient, sandbox: Sandbox, value: str) -> None:
    """As older pages say."""
    _, customer, _ = provision(client)
    send(client, customer.id, value)
    sandbox.switch(values="whole")
    with pytest.raises(stripe.InvalidRequestError, match="Invalid positive integer"):
        send(client, customer.id, value)


def test_a_payload_may_have_a_maximum(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """The open question how many keys."""
    _, customer, _ = provision(client)
    payload = {"stripe_customer_id": customer.id, "value": "1", **{f"k{n}": "v" for n in range(20)}}
    send(client, customer.id, "1", payload=payload)
    sandbox.switch(max_payload_keys=10)
    with pytest.raises(stripe.InvalidRequestError, match="more than 10 keys"):
        send(client, customer.id, "1", payload=payload)


def test_summaries_lag_and_each_event_by_its_own_share(client: stripe.StripeClient, sandbox: Sandbox) -> None:
    """Eventually consistent: readings only grow with time here, and end at the whole."""
    meter, customer, _ = provision(client)
    sandbox.switch(summary_lag_seconds=5, summary_jitter_seconds=60)
    for number in range(40):
        send(client, customer.id, "1", identifier=f"e{number}")
    window: Any = {"customer": customer.id, "start_time": START, "end_time": START + 60}
    seen = []
    for _ in range(14):
        rows = client.v1.billing.meters.event_summaries.list(meter.id, window).data
        seen.append(int(rows[0].aggregated_value) if rows else 0)
        sandbox.advance(5)
    assert seen[0] == 0
    assert seen[-1] == 40
    assert len(set(seen)) > 4
    assert seen == sorted(seen)
    sandbox.faults("stale seconds=40 times=1")
    rows = client.v1.billing.meters.event_summaries.list(meter.id, window).data
    assert sum(int(row.aggregated_value) for row in rows) < 40  # read from an older copy


@pytest.mark.parametrize(
    ("switch", "value"),
    [
        ("no_such_switch", "nonsense"),
        ("last_by", "nonsense"),
        ("report_window_seconds", 0),
        ("draft_seconds", -1),
        ("webhook_drop", 101),
    ],
)
def test_a_switch_that_there_is_not(sandbox: Sandbox, switch: str, value: object) -> None:
    """Refused with its name."""
    with pytest.raises(Exception, match=switch):
        sandbox.switch(**{switch: value})
