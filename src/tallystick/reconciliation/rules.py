"""Pure decisions of confirmation: what the provider's total of a window says about our dispatches.

A window is an hour, or a minute, of one provider customer and meter. Its *certain* dispatches were accepted; its
*ambiguous* ones may or may not have been counted; while anything in it is under way, nothing is decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from tallystick.delivery.model import Dispatch
from tallystick.delivery.rejections import SETTLING_UNNAMED, may_cancel_out
from tallystick.values.instant import MINUTE

BETWEEN_READINGS = 10 * MINUTE
MOST_IN_DOUBT = 12  # of one minute; all of them or none can still be told of more
UNDER_WAY = frozenset({"ready", "sending", "unknown"})


class Sums(msgspec.Struct, frozen=True):
    """The dispatches of a window by what is known of them; quantities in steps.

    `settled_at` (microseconds since 1970 UTC): before that a total that equals the sum may do so by chance.
    """

    certain: int
    ambiguous: tuple[int, ...]
    under_way: bool
    unconfirmed: bool
    settled_at: int = 0

    @classmethod
    def of(cls, dispatches: Sequence[Dispatch]) -> Sums:
        """Add up the dispatches of one window; parked ones that never left count nowhere."""
        return cls(
            certain=sum(d.quantity for d in dispatches if d.state in ("accepted", "confirmed")),
            ambiguous=tuple(d.quantity for d in dispatches if is_ambiguous(d)),
            under_way=any(d.state in UNDER_WAY for d in dispatches),
            unconfirmed=any(d.state == "accepted" for d in dispatches),
            settled_at=_settled_at(dispatches),
        )


def _settled_at(dispatches: Sequence[Dispatch]) -> int:
    """When late totals no longer make quantities of both signs cancel out (an accepted one's `due_at`: since when)."""
    told = [d for d in dispatches if d.state in ("accepted", "confirmed")]
    return max(d.due_at for d in told) + SETTLING_UNNAMED if may_cancel_out(told) else 0


class Reading(msgspec.Struct, frozen=True):
    """The provider's total of a window and our sums, in steps, at an instant (microseconds since 1970 UTC)."""

    total: int
    certain: int
    ambiguous: int
    read_at: int

    def says(self, other: Reading) -> bool:
        """Whether both say the same."""
        ours, theirs = (
            (self.total, self.certain, self.ambiguous),
            (other.total, other.certain, other.ambiguous),
        )
        return ours == theirs

    def repeats(self, earlier: Reading) -> bool:
        """Whether this says the same as a reading long enough ago."""
        return self.says(earlier) and self.read_at - earlier.read_at >= BETWEEN_READINGS


class Verdict(StrEnum):
    """What a window's reading comes to."""

    CONFIRMED = "confirmed"  # the provider has what we were told it accepted, to the last digit
    WAIT = "wait"  # something is under way, or the summaries lag behind
    READ_AGAIN = "read again"  # ambiguous: a second, equal reading is needed before anything is sent
    RESOLVED = "resolved"  # ambiguous, and the gap says how much of it was counted
    FOREIGN = "foreign"  # the total cannot come from our dispatches: a person looks


def standing(dispatches: Sequence[Dispatch]) -> list[Dispatch]:
    """Of an absolute meter's dispatches in a window the one that its total is: the newest that was accepted."""
    told = [d for d in dispatches if d.state in ("accepted", "confirmed")]
    return sorted(told, key=lambda d: (d.happened_at, d.dispatch, d.part))[-1:]


def is_ambiguous(dispatch: Dispatch) -> bool:
    """Whether a dispatch that nobody sends any more may have been counted."""
    return dispatch.state == "parked" and dispatch.first_sent_at is not None


class Judgement(msgspec.Struct, frozen=True):
    """A verdict, and for a resolved window the indexes of the ambiguous dispatches that were counted."""

    verdict: Verdict
    counted: tuple[int, ...] = ()


def judge(sums: Sums, reading: Reading, earlier: Reading | None) -> Judgement:
    """Judge a window.

    A gap that is the sum of some ambiguous dispatches can only be those, counted, provided that nothing else
    there is open, that the totals stand still, and that we alone write the meter.
    """
    if sums.under_way:
        return Judgement(Verdict.WAIT)
    gap = reading.total - sums.certain
    if not sums.ambiguous:
        sure = gap == 0 and reading.read_at >= sums.settled_at
        return Judgement(Verdict.CONFIRMED if sure else Verdict.WAIT)
    if earlier is None or not reading.repeats(earlier) or reading.read_at < sums.settled_at:
        return Judgement(Verdict.READ_AGAIN)
    counted = counted_of(sums.ambiguous, gap)
    if counted is None or (counted and len(counted) < len(sums.ambiguous) and sums.unconfirmed):
        return Judgement(Verdict.FOREIGN)
    return Judgement(Verdict.RESOLVED, counted)


def counted_of(quantities: Sequence[int], gap: int) -> tuple[int, ...] | None:
    """The indexes of the only quantities that add up to the gap; None when none do, or more than one choice does."""
    choices = choices_of(quantities, gap)
    return choices[0] if len(choices) == 1 else None


def choices_of(quantities: Sequence[int], gap: int) -> list[tuple[int, ...]]:
    """Up to two choices of indexes whose quantities add up to the gap.

    Of more than `MOST_IN_DOUBT` quantities only all or none are tried, where nothing else can be meant.
    """
    if len(quantities) > MOST_IN_DOUBT:
        if min(quantities) > 0 and gap in (0, sum(quantities)):
            return [tuple(range(len(quantities))) if gap else ()]
        return []
    reached: dict[int, list[tuple[int, ...]]] = {0: [()]}
    for index, quantity in enumerate(quantities):
        for total, choices in list(reached.items()):
            found = reached.setdefault(total + quantity, [])
            found += [(*chosen, index) for chosen in choices[:2] if index not in chosen]
            del found[2:]  # two are as good as many: nobody can tell
    return reached.get(gap, [])
