"""Every provider on its stand-in, and instructions to send."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tallystick.providers import Instruction, Provider
from tallystick.sandbox import Sandbox
from tallystick.sandbox.serving import Settings
from tests.providers.conformance.rigs import RIGS, Rig

START = 1_767_225_600  # 2026-01-01T00:00:00Z
METERS = ["tokens", "calls"]


@pytest.fixture(params=list(RIGS))
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """One provider's stand-in, its clock standing at the start of 2026."""
    with Sandbox.start(Settings(frozen_at=START)) as sandbox:
        yield RIGS[request.param](sandbox, METERS, ["org_a", "org_b"])


@pytest.fixture
def provider(rig: Rig) -> Provider:
    """The provider, connected and known: its look-ups are done, nothing is counted yet."""
    made = rig.provider()
    made.send(to_send(rig, "warm-up", "0"), still_ours=lambda: True)
    return made


Make = Callable[..., Instruction]


@pytest.fixture
def make(rig: Rig) -> Make:
    """Make an instruction for the rig's first customer."""

    def build(identifier: str = "ts-1", value: str = "5", **changes: object) -> Instruction:
        return to_send(rig, identifier, value, **changes)

    return build


def to_send(rig: Rig, identifier: str, value: str, **changes: object) -> Instruction:
    """An instruction of the present second for the first customer, unless changed."""
    fields: dict[str, object] = {
        "identifier": identifier,
        "customer": rig.customer,
        "meter": "tokens",
        "value": value,
        "happened_at": START,
        "idempotency_key": identifier,
    }
    return Instruction(**{**fields, **changes})  # type: ignore[arg-type]
