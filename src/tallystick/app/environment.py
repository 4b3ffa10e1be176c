"""What surrounds the ledger: its URL, the provider's secrets, the place of the spool."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tallystick.errors import ConfigError
from tallystick.ledger.spool import Spool
from tallystick.meters import Catalogue, OnLedgerFailure
from tallystick.meters.config import Settings
from tallystick.providers import Profile, Provider
from tallystick.providers.anchors import Anchors
from tallystick.providers.choice import choose
from tallystick.reconciliation.alarms import AlarmSettings
from tallystick.restore.file import AnchorFile
from tallystick.storage import Store


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


def refuse_unbillable(meters: Catalogue, profile: Profile) -> None:
    """ConfigError for a meter that the provider cannot bill as declared."""
    for meter in meters:
        if meter.provider_formula not in profile.formulas:
            raise ConfigError(
                f"meter {meter.name!r} is a {meter.formula}, told as {meter.provider_formula!r}; by this way "
                f"{profile.name} takes {' and '.join(profile.formulas)} only: see docs/formulas.md"
            )
        if meter.decimals and profile.whole_numbers:
            raise ConfigError(
                f"meter {meter.name!r} has decimals = {meter.decimals}; by this way {profile.name} takes whole numbers "
                "only: count in a smaller unit (MB instead of GB), or use another [provider] via"
            )
        if meter.needs_periods and not profile.names_periods:
            raise ConfigError(
                f"meter {meter.name!r} needs the customer's billing periods, which {profile.name} is not asked for; "
                "use a sum, or a last with carry = false"
            )


def webhook_secrets(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The signing secrets of STRIPE_WEBHOOK_SECRET: one, or several with commas while one is rolled."""
    return _listed(environ.get("STRIPE_WEBHOOK_SECRET", ""))


def alarm_settings(environ: Mapping[str, str]) -> AlarmSettings | None:
    """TALLYSTICK_ALARM_URL and TALLYSTICK_ALARM_SECRET (several with commas); None without the first."""
    url = environ.get("TALLYSTICK_ALARM_URL", "")
    return AlarmSettings(url, _listed(environ.get("TALLYSTICK_ALARM_SECRET", ""))) if url else None


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def configured_anchors(settings: Settings, provider: Provider | None) -> list[Anchors]:
    """The places outside the database that remember how far the ledger has come, as far as there are any."""
    found: list[Anchors] = [AnchorFile(Path(settings.store.anchor))] if settings.store.anchor else []
    if settings.provider.anchor and provider is not None and provider.anchors is not None:
        found.append(provider.anchors)
    return found


def placed_spool(
    store: Store, meters: Catalogue, folder: Path | None, find: Callable[[str, str, str], None]
) -> Spool | None:
    """The spool, if a meter asks for one; beside a SQLite ledger unless placed otherwise."""
    asking = [m.name for m in meters if m.on_ledger_failure is OnLedgerFailure.ALLOW_AND_SPOOL]
    if not asking:
        return None
    if folder is None and store.dialect == "sqlite":
        folder = Path(store.url.removeprefix("sqlite:///") + ".spool")
    if folder is None:
        raise ConfigError(
            f'meter {asking[0]!r} has on_ledger_failure = "allow_and_spool", but there is no place for it: '
            'set [store] spool = "a folder on a local disk"'
        )
    return Spool(folder, find)
