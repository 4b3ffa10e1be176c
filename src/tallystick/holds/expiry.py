"""The sweep over holds whose time is over; the relay runs it.

Several processes may sweep at once: the resolution's primary key decides, losers do nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from tallystick.holds import rules
from tallystick.ledger import reading
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.model import Entry, Posting
from tallystick.meters import Catalogue, Expiry
from tallystick.storage import Flow, Statement
from tallystick.values.failpoint import failpoint
from tallystick.values.instant import HOUR

Mark = tuple[int, bytes, int, int]  # lane, hold, due at, overdue


class Expirer:
    """Resolves overdue holds by policy, and marks those that wait for a person."""

    def __init__(
        self,
        ledger: Ledger,
        catalogue: Catalogue,
        find: Callable[[str, str, str], None],
        *,
        batch: int = 5000,
    ) -> None:
        self._ledger = ledger
        self._catalogue = catalogue
        self._find = find
        self._batch = batch

    def step(self) -> int:
        """Look at one batch of holds that are due; how many."""
        now = self._ledger.clock.now()
        due = self._ledger.read(reading.due_holds(now, self._batch))
        recorded = self._ledger.read(reading.recorded(due))
        progress = self._ledger.read(reading.progress(due))
        marks: list[Mark] = []
        postings: list[Posting] = []
        for hold in due:
            if hold.entry in recorded:
                postings.append(rules.superseded(hold))
                marks.append((hold.lane, hold.entry, now, 1))
                continue
            self._decide(hold, progress.get((hold.entry, hold.meter)), now, marks, postings)
        if postings:
            failpoint("holds.expiring")
            self._ledger.post_many(postings)
            failpoint("holds.expired")
        if marks:
            self._ledger.commit.run(errand=lambda: _mark(sorted(marks)))
        self._tell([hold for hold in due if hold.entry not in recorded and self._waits(hold, now)])
        return len(due)

    def run(self) -> int:
        """Look at all holds that are due at the moment; how many."""
        done = 0
        while taken := self.step():
            done += taken
        return done

    def _decide(
        self, hold: Entry, progress: int | None, now: int, marks: list[Mark], postings: list[Posting]
    ) -> None:
        known = hold.meter in self._catalogue
        if not known:
            marks.append((hold.lane, hold.entry, now + HOUR, 0))  # another application's meter
            return
        meter = self._catalogue[hold.meter]
        due_at = rules.due_at(hold, meter)
        if due_at > now:  # the declaration has changed since
            marks.append((hold.lane, hold.entry, due_at, 0))
            return
        posting = rules.expiry(hold, meter, self._ledger.ids.next(), progress)
        if posting is not None:
            postings.append(posting)
        # Marked even when resolved: the row leaves the sweep at once and goes with the next clearing.
        marks.append((hold.lane, hold.entry, due_at, 1))

    def _waits(self, hold: Entry, now: int) -> bool:
        if hold.meter not in self._catalogue:
            return False
        meter = self._catalogue[hold.meter]
        return meter.on_expiry is Expiry.REVIEW and rules.due_at(hold, meter) <= now

    def _tell(self, waiting: Sequence[Entry]) -> None:
        """One finding a meter and sweep: a crash may leave thousands."""
        for meter, count in Counter(hold.meter for hold in waiting).items():
            first = next(hold for hold in waiting if hold.meter == meter)
            self._find(
                "overdue_hold",
                meter,
                f"{count} action(s) on {meter!r} never ended, the first of customer {first.customer!r} "
                f"({first.id}); decide: tallystick holds list --overdue, then settle or void",
            )


def _mark(rows: list[Mark]) -> Flow[None]:
    yield Statement("mark_holds", rows=rows)
    yield Statement("sweep_open_holds", {"limit": 2 * len(rows)})
