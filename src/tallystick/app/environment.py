"""What the environment adds to `tallystick.toml`: the ledger's URL and the provider's secrets."""

from __future__ import annotations

from collections.abc import Mapping

from tallystick.errors import ConfigError
from tallystick.meters.config import Settings
from tallystick.providers import Provider
from tallystick.providers.choice import choose
from tallystick.reconciliation.alarms import AlarmSettings


def store_url(settings: Settings, environ: Mapping[str, str]) -> str:
    """The ledger's URL in the environment or the file; ConfigError without one."""
    url = environ.get("TALLYSTICK_STORE") or settings.store.url
    if not url:
        raise ConfigError(
            "no store; set TALLYSTICK_STORE, for instance to sqlite:///usage.db or postgresql://…"
        )
    return url


def configured_provider(settings: Settings, environ: Mapping[str, str]) -> Provider | None:
    """The provider whose key the environment holds; its mode must be the configured one."""
    return choose(settings.provider, settings.mode, environ)


def webhook_secrets(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The signing secrets of STRIPE_WEBHOOK_SECRET: one, or several with commas while one is rolled."""
    return _listed(environ.get("STRIPE_WEBHOOK_SECRET", ""))


def alarm_settings(environ: Mapping[str, str]) -> AlarmSettings | None:
    """TALLYSTICK_ALARM_URL and TALLYSTICK_ALARM_SECRET (several with commas); None without the first."""
    url = environ.get("TALLYSTICK_ALARM_URL", "")
    return AlarmSettings(url, _listed(environ.get("TALLYSTICK_ALARM_SECRET", ""))) if url else None


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
