"""A file of findings that are known already: only new ones count against a change."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tallystick.audit.model import Finding
from tallystick.errors import ConfigError

SCHEMA = 1
FILE_BYTES = 64 * 1024 * 1024


class Comparison(msgspec.Struct, frozen=True):
    """The findings of this run against a baseline."""

    new: tuple[Finding, ...]
    known: tuple[Finding, ...]
    fixed: int


def render(findings: Iterable[Finding]) -> str:
    """The text of a baseline: sorted, one finding an entry, without line numbers."""
    rows = [
        {
            "fingerprint": one.fingerprint,
            "code": one.code,
            "path": _ascii(one.place.path),
            "function": one.function,
            "message": one.message,
        }
        for one in findings
    ]
    rows.sort(key=lambda row: (row["path"], row["code"], row["fingerprint"]))
    return json.dumps({"schema": SCHEMA, "findings": rows}, indent=2) + "\n"


def load(path: Path) -> frozenset[str]:
    """The fingerprints of a baseline file."""
    advice = "write one with --write-baseline"
    try:
        if path.stat().st_size > FILE_BYTES:
            raise ConfigError(f"{path}: larger than 64 MB, which is no baseline; {advice}")
        document = json.loads(path.read_bytes())
        if document["schema"] != SCHEMA:
            raise ConfigError(f"{path}: baseline schema {document['schema']!r} is not {SCHEMA}; {advice}")
        return frozenset(str(row["fingerprint"]) for row in document["findings"])
    except OSError as problem:
        raise ConfigError(f"{path}: cannot be read ({problem.strerror}); {advice}") from problem
    except (ValueError, KeyError, TypeError, RecursionError) as problem:
        raise ConfigError(f"{path}: is not a baseline ({problem}); {advice}") from problem


def compare(findings: Iterable[Finding], known: frozenset[str]) -> Comparison:
    """Part the findings into new and known, and count what is fixed."""
    everything = tuple(findings)
    here = {one.fingerprint for one in everything}
    return Comparison(
        new=tuple(one for one in everything if one.fingerprint not in known),
        known=tuple(one for one in everything if one.fingerprint in known),
        fixed=len(known - here),
    )


def _ascii(path: str) -> str:
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
