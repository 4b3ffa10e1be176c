"""Which command is which module; errors of ours end in one line."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import typer

from tallystick.errors import ConfigError, TallystickError

COMMANDS = {
    "init": "tallystick.cli.ledger:init",
    "migrate": "tallystick.cli.ledger:migrate",
    "doctor": "tallystick.cli.setup:doctor",
    "stripe": "tallystick.cli.setup:stripe",
    "openmeter": "tallystick.cli.setup:openmeter",
    "lago": "tallystick.cli.setup:lago",
    "link": "tallystick.cli.ledger:link",
    "routes": "tallystick.cli.routes:routes",
    "relay": "tallystick.cli.delivery:relay",
    "status": "tallystick.cli.delivery:status",
    "findings": "tallystick.cli.findings:findings",
    "proposals": "tallystick.cli.proposals:proposals",
    "doubts": "tallystick.cli.doubts:doubts",
    "anchor": "tallystick.cli.recovery:anchor",
    "recover": "tallystick.cli.recovery:recover",
    "redrive": "tallystick.cli.delivery:redrive",
    "explain": "tallystick.cli.explain:explain",
    "tieout": "tallystick.cli.delivery:tieout",
    "usage": "tallystick.cli.ledger:usage",
    "holds": "tallystick.cli.holds:holds",
    "correct": "tallystick.cli.holds:correct",
    "verify": "tallystick.cli.ledger:verify",
    "sandbox": "tallystick.cli.sandbox:sandbox",
    "audit": "tallystick.cli.audit:audit",
    "demo": "tallystick.cli.demo:demo",
}
EXTRAS = {
    "stripe": "stripe",
    "psycopg": "postgres",
    "httptools": "sandbox",
    "fastapi": "demo",
    "uvicorn": "demo",
    "pydantic": "demo",
    "pathspec": "audit",
    "yaml": "audit",
    "tree_sitter": "audit",
}
USAGE, FAILED = 2, 1
WIDTH = 110


def main() -> None:
    """Run the command line; 2 for a usage or configuration error, 1 for anything else that failed."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    wanted = [name] if name in COMMANDS else list(COMMANDS)
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich" if len(wanted) > 1 else None,  # whose import takes longer than all of ours
    )
    app.callback()(_root)
    for command in wanted:
        app.command(command, context_settings={"max_content_width": WIDTH})(_load(COMMANDS[command]))
    try:
        app()
    except ModuleNotFoundError as error:
        print(f"tallystick: {_missing(error)}", file=sys.stderr)
        sys.exit(USAGE)
    except TallystickError as error:
        print(f"tallystick: {error}", file=sys.stderr)
        sys.exit(USAGE if isinstance(error, ConfigError) else FAILED)


def _root() -> None:
    """Usage-based billing that is provably right."""


def _load(target: str) -> Any:
    """A command's function; where an extra is not installed, one that says which."""
    module, _, function = target.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except ModuleNotFoundError as error:
        missing = error

        def unavailable() -> None:
            raise missing

        unavailable.__doc__ = f"(needs {missing.name}, which is not installed)"
        return unavailable


def _missing(error: ModuleNotFoundError) -> str:
    name = (error.name or "").partition(".")[0]
    extra = EXTRAS.get(name)
    if extra is None:
        raise error
    return f"this needs {name}; run: pip install 'tallystick[{extra}]'"
