"""`tallystick routes --app main:app`: every route, and what the guard makes of it."""

from __future__ import annotations

from typing import Annotated

import typer

from tallystick.cli.output import Json, as_json, installed, table
from tallystick.integrations import routes as guard


def routes(
    app: Annotated[str, typer.Option(help="The application as module:attribute.")], json: Json = False
) -> None:
    """List the routes of an application. Exit code 1 when one is neither metered nor exempt."""
    tally, exempt, application = installed(app)
    found = guard.routes(application, tally, exempt)
    if json:
        as_json(found)
    else:
        rows = [
            (r.methods, r.path, r.name, ", ".join(r.meters) or r.exempt or f"! {r.problem}") for r in found
        ]
        table(f"{len(found)} routes", ("methods", "path", "handler", "meters or exemption"), rows)
    raise typer.Exit(1 if any(route.undeclared for route in found) else 0)
