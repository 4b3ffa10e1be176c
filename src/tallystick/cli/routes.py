"""`tallystick routes --app main:app`: every route, and what the guard makes of it."""

from __future__ import annotations

import importlib
import sys
from typing import Annotated, Any

import typer

from tallystick.cli.output import Json, as_json, table
from tallystick.errors import ConfigError
from tallystick.integrations import routes as guard


def routes(
    app: Annotated[str, typer.Option(help="The application as module:attribute.")], json: Json = False
) -> None:
    """List the routes of an application. Exit code 1 when one is neither metered nor exempt."""
    application = _import(app)
    installed = getattr(getattr(application, "state", None), "tallystick", None)
    if installed is None:
        raise ConfigError(f"{app} has no tallystick; call install(app, tally) first")
    tally, exempt = installed
    found = guard.routes(application, tally, exempt)
    if json:
        as_json(found)
    else:
        rows = [
            (r.methods, r.path, r.name, ", ".join(r.meters) or r.exempt or f"! {r.problem}") for r in found
        ]
        table(f"{len(found)} routes", ("methods", "path", "handler", "meters or exemption"), rows)
    raise typer.Exit(1 if any(route.undeclared for route in found) else 0)


def _import(target: str) -> Any:
    module, _, name = target.partition(":")
    sys.path.insert(0, "")
    try:
        return getattr(importlib.import_module(module), name or "app")
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"--app {target}: {error}; give module:attribute, such as main:app") from error
