"""Recovery of a ledger that was restored: what the provider has of the lost time, and what of ours it has already.

The provider's totals are compared with our accepted dispatches, first over the whole time, then in halves down to
where they differ. Nothing is sent and nothing is guessed: what two explanations fit is left to a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Literal

import msgspec

from tallystick.cycles import NOTHING_KNOWN, Place, ask
from tallystick.delivery import rules as delivery
from tallystick.delivery.model import Dispatch, Owed, Slot, to_dispatch
from tallystick.delivery.rejections import renewed
from tallystick.errors import ActionError
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.model import Entry, Kind, Posting
from tallystick.meters import Catalogue, Meter
from tallystick.providers import Provider
from tallystick.reconciliation.rules import choices_of, counted_of
from tallystick.storage import Flow, Statement
from tallystick.values.instant import HOUR, MINUTE, SECOND

LOOK_BACK = HOUR  # before the oldest that may be in doubt: what was being sent when the copy was made
CLOSELY = 100  # leaves with pending usage that are each looked at, of one customer and meter
HAD = "the provider had it when this ledger was restored"
AN_HOUR, A_MINUTE = HOUR // SECOND, MINUTE // SECOND

Verdict = Literal["sent", "unsent", "recovered", "ambiguous"]
Pending = Literal["", "sent", "unsent"]


class Doubtful(msgspec.Struct, frozen=True):
    """An undelivered entry or dispatch of before the restore: has the provider got it? `second` since 1970 UTC."""

    second: int
    quantity: int
    entry: Owed | None = None
    dispatch: Dispatch | None = None


class Found(msgspec.Struct, frozen=True):
    """What was found of one customer and meter in [since, until), seconds since 1970 UTC; `steps` concerned."""

    customer: str
    meter: str
    place: Place
    since: int
    until: int
    verdict: Verdict
    steps: int
    doubtful: tuple[Doubtful, ...] = ()


class Recovery:
    """The recovery of one tenant and mode.

    What was recorded up to `anchored` (microseconds since 1970 UTC) may have been sent by the ledger that was lost;
    what was recorded later, by this one, cannot have been, unless it sent it itself before it stopped.
    """

    def __init__(
        self,
        ledger: Ledger,
        catalogue: Catalogue,
        provider: Provider,
        links: Mapping[str, str],
        anchored: int,
    ) -> None:
        self._ledger = ledger
        self._catalogue = catalogue
        self._provider = provider
        self._links = links
        self._where = {"tenant": ledger.where.tenant, "mode": ledger.where.mode}
        self._anchored = anchored

    def plan(self, pending: Pending = "") -> list[Found]:
        """What `apply` would write down; `pending` decides what is ambiguous. ProviderError."""
        newest = self._ledger.read(self._newest())
        found: list[Found] = []
        for lane, customers in self._lanes():  # a lane at a time: what is pending may be a long outage's
            doubtful = self._ledger.read(self._doubtful(lane))
            for customer in customers:
                for meter in self._catalogue:
                    found += self._searched(
                        customer, meter, doubtful.get((customer, meter.name), []), newest, pending
                    )
        return found

    def apply(self, found: Sequence[Found]) -> None:
        """Write it down: what was sent already is confirmed, what was lost is recorded again, and not sent.

        A dispatch that is left to send gets a new identity. Which of several equal ones arrived nobody knows, and
        when the lost ledger first sent it neither; that the provider lacks so much is what the totals say.
        """
        if any(one.verdict == "ambiguous" for one in found):
            raise ActionError("something is ambiguous; say --pending sent or --pending unsent for it")
        for one in found:
            if one.verdict == "recovered":
                self._recover(one)
            elif one.verdict == "unsent":
                absent = [d.dispatch for d in one.doubtful if d.dispatch is not None]
                self._ledger.commit.run(errand=partial(self._renew, absent))
            else:
                confirmed = [_row(d.dispatch) for d in one.doubtful if d.dispatch is not None]
                owed = [d.entry for d in one.doubtful if d.entry is not None]
                self._ledger.commit.run(errand=partial(self._confirm, one, confirmed, owed))

    def _lanes(self) -> list[tuple[int, list[str]]]:
        """The linked customers, by lane."""
        found: dict[int, list[str]] = {}
        for customer in sorted(self._links):
            found.setdefault(self._ledger.where.of(customer)["lane"], []).append(customer)
        return sorted(found.items())

    def _searched(
        self, customer: str, meter: Meter, doubtful: Sequence[Doubtful], newest: int, pending: Pending
    ) -> list[Found]:
        if meter.formula.is_absolute:
            return []  # its next value says what stands
        oldest = min([newest, *(one.second for one in doubtful)])
        start = (oldest - LOOK_BACK // SECOND) // AN_HOUR * AN_HOUR
        end = self._ledger.clock.now() // SECOND // A_MINUTE * A_MINUTE + A_MINUTE
        search = _Search(self._provider, self._place(customer, meter), customer, meter, pending)
        if meter.foreign_writers:
            search.leave(doubtful)
            return search.found
        search.ours = self._ledger.read(_accepted(search.place, start, end))
        for since, until in pairwise([start, *self._edges(search.place, start, end), end]):
            search.look(since, until, doubtful)
        return search.found

    def _edges(self, place: Place, start: int, end: int) -> list[int]:
        """The minutes in which periods of a place begin: what cancels out in one of them must be seen in the other."""
        if not self._provider.profile.names_periods:
            return []
        periods = ask(self._ledger, self._provider, [place]).get(place, NOTHING_KNOWN)
        edges = {period.since // A_MINUTE * A_MINUTE for period in periods.known}
        return sorted(edge for edge in edges if start < edge < end)

    def _recover(self, one: Found) -> None:
        lane, tenant, mode = one.place[:3]
        entry = Entry(
            lane,
            self._ledger.ids.next(),
            Kind.USAGE if one.steps > 0 else Kind.CORRECTION,
            tenant,
            mode,
            "",
            one.customer,
            one.meter,
            one.steps,
            f"recovered {one.since}-{one.until}",
            attributes='{"recovered":true}',
            occurred_at=one.since * SECOND,
        )
        posted = self._ledger.post(Posting((entry,))).entries[0]
        owed = Owed(lane, posted.entry, tenant, mode, one.customer, one.meter, one.steps, 0)
        self._ledger.commit.run(errand=lambda: self._confirm(one, [], [owed]))

    def _confirm(self, one: Found, confirmed: list[Any], owed: Sequence[Owed]) -> Flow[None]:
        if confirmed:
            yield Statement("confirm_dispatches", rows=sorted(confirmed))
        if not owed:
            return
        identity, now = self._ledger.ids.next(), self._ledger.clock.now()
        rows = sorted((e.lane, e.entry, identity) for e in owed)
        won = {bytes(row[1]) for row in (yield Statement("claim_obligations", rows=rows))}
        ours = [e for e in owed if e.entry in won]
        if ours:
            made = delivery.dispatch(
                ours,
                identity,
                delivery.prefix_of(self._ledger.identity),
                Slot(one.place, 0, 0),
                self._catalogue[one.meter],
                sum(e.quantity for e in ours),
                one.since,
                now,
            )
            row = msgspec.structs.replace(made, state="confirmed", reason=HAD, due_at=now).row()
            yield Statement("insert_dispatches", rows=[row])

    def _renew(self, absent: Sequence[Dispatch]) -> Flow[None]:
        mark, now = self._ledger.ids.next().hex(), self._ledger.clock.now()
        why = "the provider's totals lacked it when this ledger was restored; sent under a new identity"
        for d in absent:
            if (yield Statement("refuse_absent", rows=[(d.lane, d.dispatch, d.part, d.state, why)])):
                [(part,)] = yield Statement("next_part", {"lane": d.lane, "dispatch": d.dispatch})
                yield Statement("insert_dispatches", rows=[renewed(d, part, mark, now).row()])

    def _place(self, customer: str, meter: Meter) -> Place:
        where = self._ledger.where
        lane = where.of(customer)["lane"]
        return (lane, where.tenant, where.mode, self._links[customer], meter.provider_name)

    def _doubtful(self, lane: int) -> Flow[dict[tuple[str, str], list[Doubtful]]]:
        params = {**self._where, "before": self._anchored, "lane": lane}
        entries = [
            Owed(row[0], bytes(row[1]), *row[2:]) for row in (yield Statement("pending_entries", params))
        ]
        dispatches = [to_dispatch(row) for row in (yield Statement("pending_dispatches", params))]
        found: dict[tuple[str, str], list[Doubtful]] = {}
        for e in entries:
            one = Doubtful(e.recorded_at // SECOND, e.quantity, entry=e)
            found.setdefault((e.customer, e.meter), []).append(one)
        for d in dispatches:
            one = Doubtful(d.happened_at, d.quantity, dispatch=d)
            found.setdefault((d.customer, d.meter), []).append(one)
        return found

    def _newest(self) -> Flow[int]:
        """The second of the newest entry that the backup brought; without any, when the ledger began."""
        [(newest,)] = yield Statement("newest_entry", {**self._where, "before": self._anchored})
        return int(newest) // SECOND


class _Search:
    """The search for differences in one place."""

    def __init__(
        self, provider: Provider, place: Place, customer: str, meter: Meter, pending: Pending
    ) -> None:
        self._provider = provider
        self.place = place
        self._customer = customer
        self._meter = meter
        self._pending = pending
        self._leaf = max(A_MINUTE, meter.bucket_seconds)  # what shares a call is stamped within it
        self._closely = False
        self.ours: list[tuple[int, int]] = []  # second and steps of what is known to be accepted
        self.found: list[Found] = []

    def look(self, since: int, until: int, doubtful: Sequence[Doubtful]) -> None:
        """Compare [since, until), and its halves where it differs, or where a lost correction could hide a difference.

        The latter only for a few: after a long outage everything waits, and each leaf is a call.
        """
        self._closely = len({one.second // self._leaf for one in doubtful}) <= CLOSELY
        self._halve(since, until, doubtful)

    def _halve(self, since: int, until: int, doubtful: Sequence[Doubtful]) -> None:
        gap = self._gap(since, until)
        inside = [one for one in doubtful if since <= one.second < until]
        hidden = bool(inside) and (self._closely or counted_of([one.quantity for one in inside], 0) != ())
        if gap == 0 and not hidden:
            self._left(since, until, inside)
            return
        middle = (since + until) // 2 // self._leaf * self._leaf
        if middle <= since:
            middle += self._leaf
        if middle >= until:
            self._conclude(since, until, gap, inside)
            return
        self._halve(since, middle, inside)
        self._halve(middle, until, inside)

    def leave(self, doubtful: Sequence[Doubtful]) -> None:
        """Where others write to the meter, totals prove nothing: what was pending is a person's to decide."""
        if not doubtful or self._pending == "unsent":
            return
        seconds, steps = [one.second for one in doubtful], sum(one.quantity for one in doubtful)
        self._add(min(seconds), max(seconds) + 1, self._pending or "ambiguous", steps, doubtful)

    def _gap(self, since: int, until: int) -> int:
        """The provider's total minus ours, in steps."""
        total = self._provider.total(self.place[3], self.place[4], since, until)
        meant = self._provider.profile.meant(total, self._meter.decimals)
        ours = sum(steps for second, steps in self.ours if since <= second < until)
        return int(meant.scaleb(self._meter.decimals)) - ours

    def _conclude(self, since: int, until: int, gap: int, inside: Sequence[Doubtful]) -> None:
        """Which of what was pending makes up the gap. Any choice will do: what is left to send is as much."""
        choices = choices_of([one.quantity for one in inside], gap)
        counted = choices[0] if choices else None
        if counted is not None:
            self._left(since, until, [one for index, one in enumerate(inside) if index not in counted])
        if counted is None and self._pending == "sent":
            counted = tuple(range(len(inside)))
        elif (counted is None and self._pending == "unsent") or not inside:
            counted = ()
        if counted is None:
            self._add(since, until, "ambiguous", gap, inside)
            return
        sent = [inside[index] for index in counted]
        if sent:
            self._add(since, until, "sent", sum(one.quantity for one in sent), sent)
        rest = gap - sum(one.quantity for one in sent)
        if rest:
            self._add(since, until, "recovered", rest, ())

    def _left(self, since: int, until: int, unsent: Sequence[Doubtful]) -> None:
        """What the totals lack: an entry will be sent as any other, a dispatch under a new identity."""
        dispatches = [one for one in unsent if one.dispatch is not None]
        if dispatches:
            self._add(since, until, "unsent", sum(one.quantity for one in dispatches), dispatches)

    def _add(
        self, since: int, until: int, verdict: Verdict, steps: int, doubtful: Sequence[Doubtful]
    ) -> None:
        about = (self._customer, self._meter.name, self.place)
        self.found.append(Found(*about, since, until, verdict, steps, tuple(doubtful)))


def _accepted(place: Place, since: int, until: int) -> Flow[list[tuple[int, int]]]:
    names = ("lane", "tenant", "mode", "provider_customer", "provider_meter")
    params = {**dict(zip(names, place, strict=True)), "since": since, "until": until}
    rows = [to_dispatch(row) for row in (yield Statement("window", params))]
    return [(d.happened_at, d.quantity) for d in rows if d.state in ("accepted", "confirmed")]


def _row(dispatch: Dispatch) -> tuple[Any, ...]:
    return (dispatch.lane, dispatch.dispatch, dispatch.part, dispatch.state, HAD)
