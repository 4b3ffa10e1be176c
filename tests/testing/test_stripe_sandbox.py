"""The sandbox as the kit's fixtures give it: started for the test, told what goes wrong."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tallystick.sandbox import Sandbox
from tallystick.sandbox.serving import Settings

pytest_plugins = ["pytester"]

START = 1_767_225_600  # 2026-01-01T00:00:00Z


@pytest.fixture
def stripe_sandbox_settings() -> Settings:
    return Settings(frozen_at=START)


def test_a_lost_reply_counts_once(stripe_sandbox: Sandbox, stripe_client: stripe.StripeClient) -> None:
    """As a user tests an application's own error handling."""
    made = stripe_sandbox.provision(
        meters={"tokens": {"formula": "sum", "unit_amount_decimal": "0.05"}}, customers=["acme"]
    )
    event: Any = {
        "event_name": "tokens",
        "identifier": "request-1",
        "payload": {"stripe_customer_id": made["customers"]["acme"], "value": "40"},
    }
    stripe_sandbox.fault("lose_reply times=1 route=/v1/billing/meter_events")
    with pytest.raises(stripe.APIConnectionError):
        stripe_client.v1.billing.meter_events.create(event)
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        stripe_client.v1.billing.meter_events.create(event)
    stripe_sandbox.advance(31 * 86400 + 3600)
    [invoice] = stripe_client.v1.invoices.list().data
    assert (invoice.status, invoice.total) == ("open", 2)
    assert [request["fate"] for request in stripe_sandbox.requests()] == ["lose_reply", "answer", "answer"]


def test_without_the_extra_it_says_what_to_install(pytester: pytest.Pytester) -> None:
    """One line instead of a missing module."""
    pytester.makeconftest("import sys; sys.modules['httptools'] = None")
    pytester.makepyfile("def test_it(stripe_sandbox): pass")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*the fixture stripe_sandbox needs httptools; pip install 'tallystick?sandbox?'*"]
    )


def test_without_stripe_it_says_what_to_install(pytester: pytest.Pytester) -> None:
    """The sandbox does without the official client, its fixture does not."""
    pytester.makeconftest("import sys; sys.modules['stripe'] = None")
    pytester.makepyfile("def test_it(stripe_sandbox): pass\ndef test_client(stripe_client): pass")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*the fixture stripe_client needs stripe; pip install 'tallystick?sandbox,stripe?'*"]
    )
