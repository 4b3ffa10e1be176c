"""What a rule is, and how it words a finding."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tallystick.audit.case.case import Case
from tallystick.audit.model import Confidence, Finding, Hop, Place, Severity


@dataclass(frozen=True)
class Rule:
    """One code with what explains it and the function that finds it."""

    code: str
    title: str
    why: str
    wrong: str
    right: str
    severity: Severity
    decides: bool
    find: Callable[[Case], Iterable[Finding]]
    remediation: str = ""

    def finding(
        self,
        message: str,
        place: Place,
        confidence: Confidence = Confidence.HIGH,
        function: str = "",
        hops: tuple[Hop, ...] = (),
    ) -> Finding:
        """A finding of this rule."""
        return Finding(
            self.code,
            message,
            place,
            self.severity,
            confidence,
            self.decides,
            function,
            hops,
            self.remediation,
        )


def nothing(case: Case) -> Iterable[Finding]:
    """For codes that only name a pass or a skip."""
    return ()
