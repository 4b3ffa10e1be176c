"""Findings outlive their process: kept by code and subject, counted, until a person closes them.

Finding something never waits and never fails: it is noted in memory and logged, and written down by the
next upkeep of this process, or when it closes.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from typing import Any

import msgspec

from tallystick.errors import ActionError, LedgerError
from tallystick.ledger.ledger import Ledger
from tallystick.reconciliation.model import Finding
from tallystick.storage import Flow, Statement

Row = tuple[str, str, str, str, str, int, int, int]


class Kept(msgspec.Struct, frozen=True):
    """A finding as the ledger keeps it; instants in microseconds since 1970 UTC."""

    code: str
    subject: str
    message: str
    count: int
    first_at: int
    last_at: int


class Findings:
    """What one ledger's reconciliation has to say."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._where = {"tenant": ledger.where.tenant, "mode": ledger.where.mode}
        self.newest: deque[Finding] = deque(maxlen=1000)
        self.counts: Counter[str] = Counter()
        self._unkept: deque[tuple[Finding, int]] = deque(maxlen=10_000)

    def note(self, code: str, subject: str, message: str) -> None:
        """Keep a finding in memory, count it by its code, and log it."""
        finding = Finding(code, subject, message)
        self.counts[code] += 1
        self.newest.append(finding)
        self._unkept.append((finding, self._ledger.clock.now()))
        logging.getLogger("tallystick").warning("%s: %s", code, message)

    def keep(self) -> int:
        """Write down what was noted since; how many. What cannot be written now is tried again."""
        taken: list[tuple[Finding, int]] = []
        while self._unkept:
            taken.append(self._unkept.popleft())
        if not taken:
            return 0
        rows = self._rows(taken)
        try:
            self._ledger.commit.run(errand=lambda: _keeping(rows))
        except LedgerError:
            self._unkept.extendleft(reversed(taken))
            return 0
        return len(taken)

    def _rows(self, taken: list[tuple[Finding, int]]) -> list[Row]:
        rows: dict[tuple[str, str], Row] = {}
        for finding, at in taken:
            place = (finding.code, finding.subject)
            before = rows.get(place)
            count, first = (before[5] + 1, before[6]) if before is not None else (1, at)
            rows[place] = (*self._where.values(), *place, finding.message, count, first, at)  # type: ignore[assignment]
        return [rows[place] for place in sorted(rows)]

    def open(self, *, limit: int = 1000) -> list[Kept]:
        """Findings of all processes that nobody has closed, newest first."""
        return self._ledger.read(_open({**self._where, "limit": limit}))

    def close(self, code: str, subject: str = "", *, by: str) -> int:
        """Close the findings of a code, or one of them; a new occurrence opens it again. How many."""
        if not by.strip():
            raise ActionError(f"by={by!r}: a finding is closed by somebody; give a name")
        params = {**self._where, "code": code, "subject": subject, "by": by, "now": self._ledger.clock.now()}
        count: int = self._ledger.commit.run(errand=lambda: _closing(params))
        return count


def _keeping(rows: list[Row]) -> Flow[None]:
    yield Statement("keep_findings", rows=rows)


def _open(params: dict[str, Any]) -> Flow[list[Kept]]:
    rows = yield Statement("open_findings", params)
    return [Kept(*row) for row in rows]


def _closing(params: dict[str, Any]) -> Flow[int]:
    count: int = yield Statement("close_findings", params)
    return count
