"""Which provider the configuration and the environment name; wrong settings in one clear line."""

from __future__ import annotations

import pytest

from tallystick.errors import ConfigError
from tallystick.meters.config import parse
from tallystick.providers.choice import ProviderSettings, choose
from tallystick.providers.openmeter import OpenMeterProvider


@pytest.mark.parametrize(
    ("kind", "environ", "name"),
    [
        ("stripe", {"STRIPE_API_KEY": "sk_test_choice"}, "stripe"),
        ("openmeter", {"OPENMETER_API_KEY": "k"}, "openmeter"),
        ("openmeter", {"OPENMETER_API_BASE": "http://127.0.0.1:8888"}, "openmeter"),
        ("lago", {"LAGO_API_KEY": "k"}, "lago"),
    ],
)
def test_the_kind_and_its_key(kind: str, environ: dict[str, str], name: str) -> None:
    """The key of the configured kind makes the provider; without it nothing is sent."""
    settings = parse({"provider": {"kind": kind}}, "here").provider
    found = choose(settings, "test", {"STRIPE_API_KEY": "sk_test_other", **environ})
    assert found is not None
    assert found.profile.name == name
    assert choose(settings, "test", {"SOME_API_KEY": "k"}) is None


def test_openmeters_settings_arrive() -> None:
    """Window and batches follow the configuration."""
    settings = ProviderSettings("openmeter", duplicate_window_hours=24, check_customers=False)
    found = choose(settings, "test", {"OPENMETER_API_KEY": "k"})
    assert isinstance(found, OpenMeterProvider)
    assert found.profile.duplicate_window_seconds == 86400


@pytest.mark.parametrize(
    ("settings", "environ", "words"),
    [
        ({"kind": "orb"}, {}, "orb"),
        ({"kind": "lago", "duplicate_window_hours": 1}, {}, "lago has none"),
        ({"kind": "openmeter", "duplicate_window_hours": -1}, {}, "= -1"),
        ({"kind": "lago"}, {"LAGO_API_KEY": "k", "LAGO_API_BASE": "api.example"}, "'api.example'"),
        ({"window": 1}, {}, "window"),
    ],
)
def test_wrong_settings(settings: dict[str, object], environ: dict[str, str], words: str) -> None:
    """What was wrong and which value, in one line."""
    with pytest.raises(ConfigError, match=words) as error:
        choose(parse({"provider": settings}, "here").provider, "test", environ)
    assert "\n" not in str(error.value)
