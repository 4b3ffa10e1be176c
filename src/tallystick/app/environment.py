"""What the environment adds to `tallystick.toml`: the ledger's URL and the provider's secrets."""

from __future__ import annotations

from collections.abc import Mapping

from tallystick.errors import ConfigError
from tallystick.meters.config import Settings
from tallystick.providers import Provider
from tallystick.providers.choice import choose


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
    secrets = [text.strip() for text in environ.get("STRIPE_WEBHOOK_SECRET", "").split(",")]
    return tuple(text for text in secrets if text)
