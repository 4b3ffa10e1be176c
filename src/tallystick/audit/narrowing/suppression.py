"""Inline suppressions: `tallystick: ignore[CODE] reason` in a comment on or above the line.

The reason is mandatory: without one the comment does nothing and is itself a finding. A suppression
that no longer hides anything is reported too, so that none outlives its cause.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from tallystick.audit.inventory import UnreadableError, raw
from tallystick.audit.inventory.kinds import is_source
from tallystick.audit.model import Confidence, Finding, Place, Severity

NO_REASON = "suppression_without_reason"
UNUSED = "unused_suppression"
NEEDLE = b"tallystick: ignore"
COMMENT = re.compile(
    r"(?P<mark>//|#|/\*+|\*|--|<!--)\s*tallystick: ignore(?:\[(?P<codes>[^\]]*)\])?(?P<reason>.*)$",
)
COMMENT_ONLY = re.compile(r"^\s*(?://|#|\{?/\*|\*|--|<!--)")
COMMENT_END = re.compile(r"(?:\*/\s*\}?|-->)$")


class Suppression(msgspec.Struct, frozen=True):
    """One comment, and the line it speaks about."""

    place: Place
    codes: tuple[str, ...]
    reason: str
    target: int

    def hides(self, finding: Finding) -> bool:
        """Whether this comment is about that finding."""
        if finding.code not in self.codes or finding.place.path != self.place.path:
            return False
        last = max(finding.place.line, finding.place.end_line)
        return finding.place.line <= self.target <= last or finding.place.line == self.place.line


class Sorted(msgspec.Struct, frozen=True):
    """Findings after the suppressions had their say."""

    kept: tuple[Finding, ...]
    suppressed: tuple[tuple[Finding, str], ...]
    problems: tuple[Finding, ...]


def collect(root: Path, files: Iterable[str]) -> tuple[Suppression, ...]:
    """Every suppression comment of the tree."""
    found: list[Suppression] = []
    for path in files:
        if not is_source(path.rpartition("/")[2]):
            continue
        try:
            data = raw(root, path)
        except UnreadableError:
            continue
        if NEEDLE in data:
            found += scan(path, data.decode("utf-8", "replace"))
    return tuple(found)


def scan(path: str, text: str) -> list[Suppression]:
    """The suppression comments of one file."""
    lines = text.split("\n")
    found = []
    below = _targets(lines)
    for number, line in enumerate(lines, 1):
        match = COMMENT.search(line.rstrip("\r"))
        if match is None:
            continue
        codes = tuple(code.strip() for code in (match["codes"] or "").split(",") if code.strip())
        place = Place(path, number, match.start() + 1, number, len(line.rstrip("\r")) + 1)
        reason = COMMENT_END.sub("", match["reason"].rstrip()).rstrip("*").strip(" \t:-—")
        found.append(Suppression(place, codes, reason, below[number - 1]))
    return found


def _targets(lines: Sequence[str]) -> list[int]:
    """The line that a comment on each line would speak about: its own, or the first line of code below."""
    targets = list(range(1, len(lines) + 1))
    code = 0
    for number in range(len(lines), 0, -1):
        if COMMENT_ONLY.match(lines[number - 1]):
            targets[number - 1] = code or number
        elif lines[number - 1].strip():
            code = number
    return targets


def apply(findings: Iterable[Finding], suppressions: Sequence[Suppression], codes: frozenset[str]) -> Sorted:
    """Part the findings; a comment without code or reason hides nothing."""
    sound = [one for one in suppressions if one.codes and one.reason]
    used: set[tuple[Place, str]] = set()
    kept, suppressed = [], []
    for finding in findings:
        by = next((one for one in sound if one.hides(finding)), None)
        if by is None:
            kept.append(finding)
        else:
            used.add((by.place, finding.code))
            suppressed.append((finding, by.reason))
    problems = [_unsound(one) for one in suppressions if not (one.codes and one.reason)]
    problems += [
        _unused(one, code, codes) for one in sound for code in one.codes if (one.place, code) not in used
    ]
    return Sorted(tuple(kept), tuple(suppressed), tuple(problems))


def _unsound(one: Suppression) -> Finding:
    lack = "gives no reason" if one.codes else "names no code"
    return Finding(
        code=NO_REASON,
        message=f"This suppression {lack}, so it hides nothing.",
        place=one.place,
        severity=Severity.MEDIUM,
        confidence=Confidence.HIGH,
        decides=False,
        remediation="Write `tallystick: ignore[CODE] why this is right here`, or remove the comment.",
    )


def _unused(one: Suppression, code: str, codes: frozenset[str]) -> Finding:
    why = "nothing is found here any more" if code in codes else "there is no such code"
    return Finding(
        code=UNUSED,
        message=f"The suppression of {code} is not needed: {why}.",
        place=one.place,
        severity=Severity.LOW,
        confidence=Confidence.HIGH,
        decides=False,
        remediation="Remove the comment, so that it cannot hide a later mistake.",
    )
