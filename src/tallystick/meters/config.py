"""`tallystick.toml`: meters, names and delivery settings; secrets and URLs come from the environment."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from tallystick.errors import ConfigError
from tallystick.meters.model import Catalogue, Meter
from tallystick.providers.choice import ProviderSettings

FILE = "tallystick.toml"


class DeliverySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How entries reach the provider.

    `shadow` sends nothing and compares only; `inline` sends within the request, waiting at most `budget_ms`;
    `relay` says where the relay runs; `requests_per_second` bounds the calls of one process (0: the provider's
    published limit).
    """

    shadow: bool = False
    inline: bool = True
    budget_ms: int = 300
    relay: Literal["in-process", "process"] = "in-process"
    requests_per_second: Annotated[int, msgspec.Meta(ge=0)] = 0


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the ledger lives, what is accepted of its disk, and the folder that keeps usage while it is away.

    `anchor` is a file outside of it that remembers how far it has come (docs/restore.md).
    """

    url: str = ""
    accept_throw_away_disk: bool = False
    spool: str = ""
    anchor: str = ""


class Settings(msgspec.Struct, frozen=True):
    """The whole file."""

    meters: Catalogue
    tenant: str = "default"
    account: str = ""
    mode: Literal["test", "live"] = "test"
    delivery: DeliverySettings = DeliverySettings()
    store: StoreSettings = StoreSettings()
    provider: ProviderSettings = ProviderSettings()


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    meters: dict[str, dict[str, Any]] = {}
    tenant: str = "default"
    account: str = ""
    mode: Literal["test", "live"] = "test"
    delivery: DeliverySettings = DeliverySettings()
    store: StoreSettings = StoreSettings()
    provider: ProviderSettings = ProviderSettings()


def load(path: Path) -> Settings:
    """Read and check a file; ConfigError says in one line what is wrong, where, and what to do."""
    try:
        document = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; run: tallystick init") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    return parse(document, str(path))


def parse(document: dict[str, Any], source: str) -> Settings:
    """The settings of a parsed document."""
    document = {name: value for name, value in document.items() if name != "audit"}
    file = _convert(document, _File, source)
    meters = [
        _convert({"name": name, **fields}, Meter, f"{source}: [meters.{name}]")
        for name, fields in file.meters.items()
    ]
    return Settings(
        Catalogue(meters), file.tenant, file.account, file.mode, file.delivery, file.store, file.provider
    )


def _convert(value: Any, kind: type[Any], source: str) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {error}; see docs/configuration.md") from error
