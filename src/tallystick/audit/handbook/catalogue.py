"""Every finding code there is, with what explains it."""

from __future__ import annotations

import msgspec

from tallystick.audit.model import Severity
from tallystick.audit.narrowing.suppression import NO_REASON, UNUSED


class Entry(msgspec.Struct, frozen=True):
    """One code: a title, why it matters to the bill, and the wrong and the right way."""

    code: str
    title: str
    why: str
    wrong: str
    right: str
    severity: Severity
    decides: bool


OWN = (
    Entry(
        code=NO_REASON,
        title="A suppression without a code or a reason",
        why=(
            "A suppression takes a finding out of the verdict. Whoever reads it next year must be able to tell why "
            "that was right, and which finding it meant. Without both, the comment hides nothing."
        ),
        wrong="// tallystick: ignore[client_supplied_quantity]\nawait meter(org.id, body.pages);",
        right=(
            "// tallystick: ignore[client_supplied_quantity] called by our own worker only, behind the service key\n"
            "await meter(org.id, body.pages);"
        ),
        severity=Severity.MEDIUM,
        decides=False,
    ),
    Entry(
        code=UNUSED,
        title="A suppression that hides nothing",
        why=(
            "The finding it was written for is gone, or its code never existed. Left in place, it would silently "
            "hide the next mistake on that line."
        ),
        wrong=(
            "# tallystick: ignore[fire_and_forget] the relay drains it\n"
            'tally.record("pages", 1, customer=org.id)'
        ),
        right='tally.record("pages", 1, customer=org.id)',
        severity=Severity.LOW,
        decides=False,
    ),
)


def entries() -> tuple[Entry, ...]:
    """All codes that findings carry, sorted; codes that only name a pass or a skip are no findings."""
    from tallystick.audit.rules import RULES

    told = (
        Entry(rule.code, rule.title, rule.why, rule.wrong, rule.right, rule.severity, rule.decides)
        for rule in RULES
        if rule.severity is not Severity.INFO
    )
    return tuple(sorted((*told, *OWN), key=lambda entry: entry.code))


def codes() -> frozenset[str]:
    """The codes alone."""
    return frozenset(entry.code for entry in entries())
