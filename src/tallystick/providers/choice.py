"""Which provider the configuration and the environment name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from tallystick.errors import ConfigError
from tallystick.providers.port import Provider


class ProviderSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[provider]` of the configuration; keys and addresses come from the environment.

    `duplicate_window_hours` is how long this OpenMeter recognises a repeated id (0: not at all), as its
    operator configured it; `check_customers` whether its subjects must belong to customers. `via` is the
    interface of Stripe's that usage goes through (docs/providers.md), `anchor` whether Stripe remembers how far
    the ledger has come (docs/restore.md). `draft_hours` is how long Stripe leaves a renewal's invoice a draft, as
    its Dashboard says: usage that arrives later is billed by nobody.
    """

    kind: Literal["stripe", "openmeter", "lago"] = "stripe"
    via: Literal["meter_events", "meter_events_v2", "meter_event_stream", "usage_records"] = "meter_events"
    anchor: bool = False
    draft_hours: int = 1
    duplicate_window_hours: int = 0
    check_customers: bool = True


def choose(settings: ProviderSettings, mode: str, environ: Mapping[str, str]) -> Provider | None:
    """The provider of the settings, None while its key is missing; ConfigError for a key of the other mode.

    The variables are STRIPE_, OPENMETER_ or LAGO_ with API_KEY (or API_KEY_FILE) and API_BASE. An OpenMeter of
    one's own needs no key, only the address.
    """
    if settings.kind != "stripe" and settings.via != "meter_events":
        raise ConfigError(
            f"[provider] via = {settings.via!r} is Stripe's; {settings.kind} has one way: remove it"
        )
    if settings.kind != "stripe" and settings.anchor:
        raise ConfigError(f"[provider] anchor: {settings.kind} keeps none; use [store] anchor, a file")
    if not 1 <= settings.draft_hours <= 72 or (settings.kind != "stripe" and settings.draft_hours != 1):
        raise ConfigError(f"[provider] draft_hours = {settings.draft_hours}; it is Stripe's, 1 to 72 hours")
    stripes = msgspec.structs.replace(settings, duplicate_window_hours=0, check_customers=True)
    if settings.kind != "openmeter" and settings != stripes:
        raise ConfigError(
            f"[provider] duplicate_window_hours and check_customers are OpenMeter's; {settings.kind} has none"
        )
    if settings.duplicate_window_hours < 0:
        raise ConfigError(
            f"[provider] duplicate_window_hours = {settings.duplicate_window_hours}; it must not be negative"
        )
    prefix = settings.kind.upper()
    key, base = _key(environ, prefix), environ.get(f"{prefix}_API_BASE", "")
    if base and not base.startswith(("http://", "https://")):
        raise ConfigError(f"{prefix}_API_BASE = {base!r}; it must begin with https:// (or http://)")
    if settings.kind == "stripe":
        return _stripe(key, base, mode, settings) if key else None
    assert isinstance(key, str)
    if settings.kind == "lago":
        return _lago(key, base) if key else None
    return _openmeter(key, base, settings) if key or base else None


def _stripe(key: str | Callable[[], str], base: str, mode: str, settings: ProviderSettings) -> Provider:
    from tallystick.providers.stripe import StripeProvider
    from tallystick.providers.stripe.provider import API

    provider = StripeProvider(key, base=base or API, via=settings.via, draft_hours=settings.draft_hours)
    refuse_other_mode(provider.mode, mode)
    return provider


def refuse_other_mode(of_key: str, mode: str) -> None:
    """ConfigError when a key is of the other mode than the ledger; '' is a key that does not tell."""
    if of_key and of_key != mode:
        raise ConfigError(
            f"the Stripe key is a {of_key} key, tallystick.toml says mode = {mode!r}; "
            "live and test never mix: change one of them"
        )


def _key(environ: Mapping[str, str], prefix: str) -> str | Callable[[], str]:
    """The key, or what reads it from the file that KEY_FILE names, anew whenever it is refused."""
    path = environ.get(f"{prefix}_API_KEY_FILE", "")
    if not path:
        return environ.get(f"{prefix}_API_KEY", "")

    def read() -> str:
        try:
            return Path(path).read_text().strip()
        except (OSError, ValueError) as error:
            raise ConfigError(f"{prefix}_API_KEY_FILE = {path!r} cannot be read: {error}") from error

    read()
    return read if prefix == "STRIPE" else read()


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
