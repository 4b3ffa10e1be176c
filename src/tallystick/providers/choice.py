"""Which provider the configuration and the environment name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from tallystick.errors import ConfigError
from tallystick.providers.port import Provider


class ProviderSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[provider]` of the configuration; keys and addresses come from the environment.

    `duplicate_window_hours` is how long this OpenMeter recognises a repeated id (0: not at all), as its
    operator configured it; `check_customers` whether its subjects must belong to customers.
    """

    kind: Literal["stripe", "openmeter", "lago"] = "stripe"
    duplicate_window_hours: int = 0
    check_customers: bool = True


def choose(settings: ProviderSettings, mode: str, environ: Mapping[str, str]) -> Provider | None:
    """The provider of the settings, None while its key is missing; ConfigError for a key of the other mode.

    The variables are STRIPE_, OPENMETER_ or LAGO_ with API_KEY and API_BASE. An OpenMeter of one's own
    needs no key, only the address.
    """
    if settings.kind != "openmeter" and settings != ProviderSettings(kind=settings.kind):
        raise ConfigError(
            f"[provider] duplicate_window_hours and check_customers are OpenMeter's; {settings.kind} has none"
        )
    if settings.duplicate_window_hours < 0:
        raise ConfigError(
            f"[provider] duplicate_window_hours = {settings.duplicate_window_hours}; it must not be negative"
        )
    prefix = settings.kind.upper()
    key, base = environ.get(f"{prefix}_API_KEY", ""), environ.get(f"{prefix}_API_BASE", "")
    if base and not base.startswith(("http://", "https://")):
        raise ConfigError(f"{prefix}_API_BASE = {base!r}; it must begin with https:// (or http://)")
    if settings.kind == "stripe":
        return _stripe(key, base, mode) if key else None
    if settings.kind == "lago":
        return _lago(key, base) if key else None
    return _openmeter(key, base, settings) if key or base else None


def _stripe(key: str, base: str, mode: str) -> Provider:
    from tallystick.providers.stripe import StripeProvider
    from tallystick.providers.stripe.provider import API

    provider = StripeProvider(key, base=base or API)
    if provider.mode != mode:
        raise ConfigError(
            f"STRIPE_API_KEY is a {provider.mode} key, tallystick.toml says mode = {mode!r}; "
            "live and test never mix: change one of them"
        )
    return provider


def _openmeter(key: str, base: str, settings: ProviderSettings) -> Provider:
    from tallystick.providers.openmeter.provider import API, OpenMeterProvider

    return OpenMeterProvider(
        key,
        base=base or API,
        duplicate_window_seconds=settings.duplicate_window_hours * 3600,
        check_customers=settings.check_customers,
    )


def _lago(key: str, base: str) -> Provider:
    from tallystick.providers.lago.provider import API, LagoProvider

    return LagoProvider(key, base=base or API)
