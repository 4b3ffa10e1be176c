"""A name for a finding that survives edits elsewhere in the file: no line numbers in it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable

import msgspec

from tallystick.audit.inventory.excerpts import Excerpts
from tallystick.audit.model import Finding


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings in the one order that every report keeps."""
    return tuple(sorted(findings, key=lambda one: (one.place, one.code, one.function, one.message)))


def named(findings: Iterable[Finding], excerpts: Excerpts) -> tuple[Finding, ...]:
    """The findings in order, each with its fingerprint: rule, path, function, text of the line, ordinal."""
    seen: Counter[tuple[str, ...]] = Counter()
    result = []
    for finding in in_order(findings):
        text = " ".join(excerpts.line(finding.place.path, finding.place.line).split())
        key = (finding.code, finding.place.path, finding.function, text)
        result.append(msgspec.structs.replace(finding, fingerprint=_digest((*key, str(seen[key])))))
        seen[key] += 1
    return tuple(result)


def _digest(parts: tuple[str, ...]) -> str:
    text = "\0".join(parts).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:32]
