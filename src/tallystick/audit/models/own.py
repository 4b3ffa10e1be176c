"""What the user says about their own code, as model rows the engine reads beside its own."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from tallystick.audit.config import Models
from tallystick.audit.model import Finding

FORGED = frozenset({"client_supplied_quantity", "client_supplied_customer"})
TRUSTED = "a caller trusted by the settings"


@contextmanager
def model_files(models: Models) -> Iterator[Sequence[Path]]:
    """The user's model files, and the short forms of the settings written out as one more."""
    named = [Path(file) for file in models.files]
    text = rows(models)
    if not text:
        yield named
        return
    with tempfile.TemporaryDirectory(prefix="tallystick-audit-") as folder:
        short = Path(folder) / "settings.toml"
        short.write_text(text, encoding="utf-8")
        yield [*named, short]


def rows(models: Models) -> str:
    """Model rows for functions, getters and wrappers named in the settings."""
    parts = [
        _row(
            "sink",
            provider="own",
            callee=_called(name),
            word=re.escape(_last(name).lower()),
            quantity=["quantity", "value", "#1"],
            customer=["customer", "#0"],
            identifier=["identifier", "key", "idempotencyKey", "#2"],
        )
        for name in models.meter_functions
    ]
    parts += [_row("label", kind="session", call=_called(name)) for name in models.session_getters]
    parts += [_row("route", framework="own", kind="http", via=_called(name)) for name in models.wrappers]
    return "\n".join(parts)


def trusted(finding: Finding, callers: Sequence[str]) -> bool:
    """Whether a finding about a forged number or name enters through a route or file that only trusted callers use."""
    if finding.code not in FORGED or not finding.hops:
        return False
    route = finding.hops[0].note.rpartition(" ")[2]
    return any(fnmatchcase(route, one) or fnmatchcase(finding.hops[0].place.path, one) for one in callers)


def _last(name: str) -> str:
    return re.split(r"[.:/]", name)[-1]


def _called(name: str) -> str:
    return rf"(?:^|\.){re.escape(_last(name))}$"


def _row(table: str, **fields: str | list[str]) -> str:
    return (
        "\n".join([f"[[{table}]]", *(f"{key} = {json.dumps(value)}" for key, value in fields.items())]) + "\n"
    )
