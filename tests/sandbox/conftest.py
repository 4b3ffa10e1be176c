"""A sandbox process and the official client on it, unchanged."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import stripe

from tallystick.sandbox import Sandbox
from tallystick.sandbox.serving import Settings
from tests.sandbox.receiver import Receiver

DAY = 86400
START = 1_767_225_600  # 2026-01-01T00:00:00Z
SCHEMAS = json.loads((Path(__file__).parent / "openapi-subset.json").read_text())


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox whose clock stands at the start of 2026."""
    with Sandbox.start(Settings(frozen_at=START)) as made:
        yield made


@pytest.fixture
def client(sandbox: Sandbox) -> stripe.StripeClient:
    """The official client; only its addresses differ."""
    return stripe.StripeClient(
        "sk_test_sandbox_tests", base_addresses={"api": sandbox.url, "meter_events": sandbox.url}
    )


@pytest.fixture
def matches() -> Callable[[Any, str], None]:
    """Check an answer against Stripe's own description of the object."""

    def check(answer: Any, name: str) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", **SCHEMAS}
        data = answer if isinstance(answer, dict) else json.loads(str(answer))
        jsonschema.Draft202012Validator(schema).validate(data)

    return check


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An application's webhook endpoint."""
    made = Receiver()
    yield made
    made.close()
