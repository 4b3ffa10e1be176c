"""The sweep over holds whose time is over; the relay runs it.

Several processes may sweep at once: the resolution's primary key decides, losers do nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from tallystick.holds import rules
from tallystick.ledger import reading
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.model import Entry, Posting
from tallystick.meters import Catalogue
from tallystick.storage import Flow, Statement
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
        marks: list[Mark] = []
        postings: list[Posting] = []
        for hold in due:
            self._decide(hold, now, marks, postings)
        if postings:
            self._ledger.post_many(postings)
        if marks:
            self._ledger.commit.run(errand=lambda: _mark(sorted(marks)))
        return len(due)

    def run(self) -> int:
        """Look at all holds that are due at the moment; how many."""
        done = 0
        while taken := self.step():
            done += taken
        return done

    def _decide(self, hold: Entry, now: int, marks: list[Mark], postings: list[Posting]) -> None:
        known = hold.meter in self._catalogue
        if not known:
            marks.append((hold.lane, hold.entry, now + HOUR, 0))  # another application's meter
            return
        meter = self._catalogue[hold.meter]
        due_at = rules.due_at(hold, meter)
        if due_at > now:  # the declaration has changed since
            marks.append((hold.lane, hold.entry, due_at, 0))
            return
        posting = rules.expiry(hold, meter, self._ledger.ids.next())
        if posting is not None:
            postings.append(posting)
        else:
            self._find(
                "overdue_hold",
                hold.id,
                f"an action of customer {hold.customer!r} on {hold.meter!r} never ended; decide: "
                f"tallystick holds settle {hold.id} --quantity … or tallystick holds void {hold.id}",
            )
        # Marked even when resolved: the row leaves the sweep at once and goes with the next clearing.
        marks.append((hold.lane, hold.entry, due_at, 1))


def _mark(rows: list[Mark]) -> Flow[None]:
    yield Statement("mark_holds", rows=rows)
    yield Statement("sweep_open_holds", {"limit": 2 * len(rows)})
