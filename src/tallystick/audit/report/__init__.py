"""One outcome, six ways to show it. A report reads values and decides nothing."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from tallystick.audit.outcome import Outcome

FORMATS = {
    "text": "text",
    "json": "structured",
    "sarif": "sarif",
    "github": "annotations",
    "markdown": "markdown",
    "html": "page",
}


def render(name: str, outcome: Outcome) -> str:
    """The outcome in one format, ending in a line end; only that format's module is loaded."""
    module = import_module(f"tallystick.audit.report.{FORMATS[name]}")
    text = cast(str, module.render(outcome))
    return text if text.endswith("\n") or not text else text + "\n"
