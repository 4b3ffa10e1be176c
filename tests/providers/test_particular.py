"""What is particular to OpenMeter and to Lago: meters and customers that look right and are not."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick import Catalogue, Formula, Meter, Tally
from tallystick.errors import ConfigError, ProviderError
from tallystick.providers import Outcome, Provider, Wanted
from tallystick.providers.lago import LagoProvider
from tallystick.providers.openmeter import OpenMeterProvider
from tallystick.providers.stripe import StripeProvider
from tallystick.sandbox import Sandbox
from tallystick.sandbox.serving import Settings
from tallystick.storage import open_store
from tests.providers.conformance import rigs
from tests.providers.conformance.conftest import START, to_send
from tests.providers.conformance.rigs import KEYS, Rig


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with Sandbox.start(Settings(frozen_at=START)) as sandbox:
        yield rigs.RIGS[request.param](sandbox, ["tokens"], ["org_a"])


openmeter = pytest.mark.parametrize("rig", ["openmeter"], indirect=True)
lago = pytest.mark.parametrize("rig", ["lago"], indirect=True)


def create(rig: Rig, path: str, body: Any) -> None:
    """Make something over there, as a person would who knows nothing of tallystick."""
    headers = {"authorization": f"Bearer {KEYS[rig.kind]}", "content-type": "application/json"}
    request = urllib.request.Request(f"{rig.base}/api/v1/{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as reply:
        assert reply.status in (200, 201)


@openmeter
def test_a_part_of_a_subject_is_nobody(rig: Rig) -> None:
    """OpenMeter's filters match parts and any case; a customer has to be that customer."""
    provider = rig.provider()
    for name in ("subject_org", "SUBJECT_ORG_A", "org_a"):
        answer = provider.send(to_send(rig, "ts-1", "5", customer=name), still_ours=lambda: True)
        assert answer.outcome is Outcome.REFUSED
    assert rig.counted() == 0


@openmeter
def test_a_customer_by_its_own_key(rig: Rig) -> None:
    """Usage is also billed to the customer whose key the subject is."""
    rig.sandbox.tell("openmeter", keys={"acme": "pro"})
    provider = rig.provider()
    answer = provider.send(to_send(rig, "ts-1", "5", customer="acme"), still_ours=lambda: True)
    assert answer.outcome is Outcome.ACCEPTED
    assert rig.totals() == {("acme", "tokens"): 5}
    assert all(check.ok for check in provider.doctor([Wanted("tokens", "tokens")], {"org_k": "acme"}))


@openmeter
def test_without_customers(rig: Rig) -> None:
    """An OpenMeter that only meters: subjects need no customer."""
    provider = rigs.OpenMeterProvider(KEYS["openmeter"], base=rig.base, check_customers=False)
    answer = provider.send(to_send(rig, "ts-1", "5", customer="anybody"), still_ours=lambda: True)
    assert answer.outcome is Outcome.ACCEPTED


@openmeter
def test_a_meter_that_reads_something_else(rig: Rig) -> None:
    """Refused with what it reads, and a miss for the doctor."""
    meter = {"slug": "gb", "eventType": "gb", "aggregation": "COUNT", "valueProperty": "$.bytes"}
    create(rig, "meters", meter)
    answer = rig.provider().send(to_send(rig, "ts-1", "5", meter="gb"), still_ours=lambda: True)
    assert answer.outcome is Outcome.REFUSED
    assert "$.bytes" in answer.reason
    misses = [check.message for check in rig.provider().doctor([Wanted("gb", "gb")], {}) if not check.ok]
    assert misses == ["aggregation COUNT", "value $.bytes"]


@openmeter
def test_a_meter_name_openmeter_does_not_take(rig: Rig) -> None:
    """Said before anything is made, with what to set."""
    with pytest.raises(ConfigError, match="event_name"):
        rig.provider().plan([Wanted("GB-hours", "GB-hours")])


@openmeter
def test_the_total_of_no_meter(rig: Rig) -> None:
    with pytest.raises(ProviderError, match="openmeter apply"):
        rig.provider().total(rig.customer, "gb", START - 60, START)


@lago
def test_a_metric_that_adds_up_something_else(rig: Rig) -> None:
    """Refused with what it adds up; recurring or computed quantities are misses for the doctor."""
    metric = {"name": "gb", "code": "gb", "aggregation_type": "sum_agg", "field_name": "bytes"}
    create(rig, "billable_metrics", {"billable_metric": {**metric, "recurring": True, "expression": "1 + 1"}})
    answer = rig.provider().send(to_send(rig, "ts-1", "5", meter="gb"), still_ours=lambda: True)
    assert answer.outcome is Outcome.REFUSED
    assert "'bytes'" in answer.reason
    misses = [check.message for check in rig.provider().doctor([Wanted("gb", "gb")], {}) if not check.ok]
    assert len(misses) == 3


@lago
def test_a_terminated_subscription(rig: Rig) -> None:
    """A process that starts afterwards sends it nothing; the doctor says so."""
    rig.sandbox.tell("lago", terminated=[rig.customer])
    answer = rig.provider().send(to_send(rig, "ts-1", "5"), still_ours=lambda: True)
    assert answer.outcome is Outcome.REFUSED
    [miss] = [c for c in rig.provider().doctor([Wanted("tokens", "tokens")], rig.customers) if not c.ok]
    assert "no active subscription" in miss.message


@lago
def test_somebody_elses_events_count_in_the_total(rig: Rig) -> None:
    """The total is the provider's: events that others sent, as numbers too, are in it."""
    event = {"transaction_id": "x", "external_subscription_id": rig.customer, "code": "tokens"}
    create(rig, "events", {"event": {**event, "timestamp": START - 5, "properties": {"value": 2.5}}})
    assert str(rig.provider().total(rig.customer, "tokens", START - 60, START)) == "2.5"


@pytest.mark.parametrize(
    ("provider", "meter", "words"),
    [
        (LagoProvider("k"), Meter("seats", formula=Formula.LAST, carry=False), "lago takes sum only"),
        (OpenMeterProvider("k"), Meter("peak", formula=Formula.MAX), "openmeter is not asked for"),
        (
            OpenMeterProvider("k"),
            Meter("seats", formula=Formula.LAST, carry=True),
            "openmeter is not asked for",
        ),
        (
            OpenMeterProvider("k"),
            Meter("calls", formula=Formula.COUNT, counted_there=True),
            "takes sum and last only",
        ),
        (
            StripeProvider("sk_test_x", via="usage_records"),
            Meter("peak", formula=Formula.MAX),
            "takes sum only",
        ),
    ],
)
def test_a_meter_that_cannot_be_billed_as_declared_stops_the_start(
    provider: Provider, meter: Meter, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words):
        Tally(open_store(f"sqlite:///{tmp_path / 'ledger.db'}"), Catalogue([meter]), provider=provider)
