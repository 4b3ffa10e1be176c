"""Setting up and the doctor, the same way round for every provider."""

from __future__ import annotations

import pytest

from tallystick.errors import ConfigError, ProviderError
from tallystick.providers import Outcome, Wanted
from tests.providers.conformance.conftest import to_send
from tests.providers.conformance.rigs import WRONG, Rig

NEW = Wanted("images", "images", "sum", "2")
OLD = [Wanted("tokens", "tokens"), Wanted("calls", "calls")]


def test_plan_apply_plan(rig: Rig) -> None:
    """What is missing is listed, made, and no longer missing; then usage of it is taken."""
    provider = rig.provider()
    assert provider.plan(OLD) == []
    changes = provider.plan([*OLD, NEW])
    assert {change.meter.name for change in changes} == {"images"}
    assert [check.ok for check in provider.doctor([NEW], {}) if check.subject.endswith("images")] == [False]
    refused = provider.send(to_send(rig, "ts-1", "5", meter="images"), still_ours=lambda: True)
    assert refused.outcome is rig.refused("meter")
    assert len(provider.apply(changes)) == len(changes)
    assert provider.plan([*OLD, NEW]) == []
    taken = provider.send(to_send(rig, "ts-1", "5", meter="images"), still_ours=lambda: True)
    assert taken.outcome is Outcome.ACCEPTED


def test_the_doctor(rig: Rig) -> None:
    """Well when meters and customers are; each miss names the customer and what to do."""
    provider = rig.provider()
    checks = provider.doctor(OLD, rig.customers)
    assert [check for check in checks if not check.ok] == []
    [miss] = [check for check in provider.doctor(OLD, {"org_z": "nobody_knows"}) if not check.ok]
    assert "org_z" in miss.subject
    assert "nobody_knows" in miss.message
    assert miss.fix


def test_a_customer_that_is_not_billed(rig: Rig) -> None:
    """Known, but without a subscription, or on a plan that charges nothing: a miss."""
    if rig.kind == "stripe":
        customer = rig.sandbox.provision(customers=["org_free"])["customers"]["org_free"]
    else:
        customer = "free"
        rig.sandbox.tell(rig.kind, customers={customer: None})
    [miss] = [check for check in rig.provider().doctor(OLD, {"org_free": customer}) if not check.ok]
    assert "subscri" in miss.message or "charge" in miss.message


def test_a_wrong_key_and_no_connection(rig: Rig) -> None:
    """A refused key is a matter of configuration, an outage is not."""
    with pytest.raises(ConfigError, match="API_KEY"):
        rig.provider(key=WRONG[rig.kind]).plan(OLD)
    rig.sandbox.outage()
    with pytest.raises(ProviderError):
        rig.provider().doctor(OLD, {})
