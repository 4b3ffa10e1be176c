"""What all commands share: the Tally of the configuration, and tables or JSON."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from tallystick.app import Tally
from tallystick.errors import ConfigError

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
NO_PROVIDER = "no provider; set STRIPE_API_KEY, OPENMETER_API_KEY or LAGO_API_KEY, as [provider] kind says"
Config = Annotated[Path | None, typer.Option(help="Configuration file; default tallystick.toml.")]


def configured(config: Path | None) -> Tally:
    """The Tally of the configuration file and the environment."""
    return Tally.from_config(config)


def as_json(value: Any) -> None:
    """Print a value as JSON, exact numbers as text."""
    text = msgspec.json.encode(value, order="deterministic", enc_hook=str).decode()
    typer.echo(msgspec.json.format(text, indent=2))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table; numbers stand on the right."""
    made = Table(title=title, title_justify="left")
    for index, name in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int) for row in rows)
        made.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        made.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
    Console().print(made)


def installed(target: str) -> tuple[Tally, Any, Any]:
    """The Tally, the exemptions and the application that `module:attribute` names; ConfigError if there is none."""
    module, _, name = target.partition(":")
    sys.path.insert(0, "")
    try:
        application = getattr(importlib.import_module(module), name or "app")
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"--app {target}: {error}; give module:attribute, such as main:app") from error
    found = getattr(getattr(application, "state", None), "tallystick", None)
    if found is None:
        raise ConfigError(f"{target} has no tallystick; call install(app, tally) first")
    return (*found, application)
