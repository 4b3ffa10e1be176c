"""Anchoring: this ledger's head is told to places outside its database, and what they know is compared.

Nothing is sent before the comparison, nor by a database that has gone backwards, nor by a copy that another
one has overtaken. Recording goes on in all of these cases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tallystick.errors import ProviderError
from tallystick.ledger.ledger import Ledger
from tallystick.providers.anchors import Anchor, Anchors
from tallystick.restore.anchors import Head, Own, Standing, compare
from tallystick.storage import Flow, Statement
from tallystick.values.instant import MINUTE, SECOND, to_datetime

EVERY = {"file": SECOND, "stripe": 5 * MINUTE}  # how often a ledger that moves is anchored
HEARTBEAT = 10 * MINUTE  # and one that does not, so that a copy of it is overtaken
AGAIN = 10 * SECOND  # until a place that could not be read is tried again
TOKENS = 16  # generations whose tokens are remembered: a process may look at an anchor that is a while old
LOOK = SECOND  # how long this process trusts what it read of the other processes' comparisons


class Anchoring:
    """The anchors of one tenant and mode; `find` takes findings (code, subject, message)."""

    def __init__(
        self, ledger: Ledger, places: Sequence[Anchors], find: Callable[[str, str, str], None]
    ) -> None:
        self._ledger = ledger
        self.places = places
        self._find = find
        self._where = {"tenant": ledger.where.tenant, "mode": ledger.where.mode}
        self._compared: set[str] = set()  # places compared since this process began
        self._due: dict[str, int] = {}
        self._told: dict[str, Head] = {}
        self._looked_at = 0
        self._may_send = False
        self._try_at = 0

    def may_send(self) -> bool:
        """Whether all places agree that this database goes on where it was; compares first where that is due."""
        now = self._ledger.clock.elapsed()
        if len(self._compared) < len(self.places) and now >= self._try_at:
            self._try_at = now + AGAIN
            self.compare()
        if now - self._looked_at >= LOOK or not self._may_send:
            self._looked_at = now
            standing = self.standing().values()
            compared = len(self._compared) == len(self.places)
            self._may_send = compared and all(own.state == "in_force" for own in standing)
        return self._may_send

    def standing(self) -> dict[str, Own]:
        """What this database last said at each place, and whether it sends."""
        return self._ledger.read(_own(self._where))

    def compare(self) -> None:
        """Compare with every place that has not been compared; what cannot be read is tried again later."""
        for place in self.places:
            if place.name not in self._compared:
                try:
                    self._compare(place)
                except ProviderError as error:
                    self._find(
                        "anchor_unreadable", place.name, f"nothing is sent until it is compared: {error}"
                    )
                    continue
                self._compared.add(place.name)

    def chore(self) -> int:
        """The relay's piece of upkeep: tell each place how far the ledger has come, when that is due."""
        if not self.may_send():
            return 0
        now, head = self._ledger.clock.now(), self.head()
        told = 0
        for place in self.places:
            moved = self._told.get(place.name) != head
            due = self._due.get(place.name, 0)
            if now >= due or (moved and now >= due - HEARTBEAT + EVERY.get(place.name, 5 * MINUTE)):
                told += self._tell(place, now)
                self._due[place.name] = now + HEARTBEAT
                self._told[place.name] = head
        return told

    def head(self) -> Head:
        """How far the ledger has come."""
        return self._ledger.read(_head())

    def take_over(self) -> None:
        """Go on from here, whatever the places say: each is told this ledger's head as the newest. ProviderError."""
        for place in self.places:
            theirs, now = place.read(self._ledger.identity), self._ledger.clock.now()
            if not self._write(place, Own(place.name, since=now), theirs, self.head(), now):
                raise ProviderError(
                    f"the anchor ({place.name}) was written by somebody else meanwhile; try again"
                )
            self._compared.add(place.name)

    def _compare(self, place: Anchors) -> None:
        theirs, own = place.read(self._ledger.identity), self.standing().get(place.name)
        head = self.head()
        said = compare(theirs, own, head)
        if said in (Standing.BACKWARDS, Standing.ANOTHER):
            assert theirs is not None
            self._halt(place, own, theirs, head, said)
        elif said is Standing.GONE:
            self._find("anchor_missing", place.name, f"the anchor ({place.name}) is gone; it is written anew")
        elif said is Standing.BEHIND:
            self._find(
                "anchor_behind", place.name, f"the anchor ({place.name}) is older than ours; it is replaced"
            )

    def _tell(self, place: Anchors, now: int) -> int:
        """Tell a place how far we are, unless somebody else has told it something meanwhile."""
        try:
            theirs = place.read(self._ledger.identity)
            own, head = self.standing().get(place.name), self.head()
            said = compare(theirs, own, head)
            if theirs is not None and said in (Standing.BACKWARDS, Standing.ANOTHER):
                self._halt(place, own, theirs, head, said)
                return 0
            if self._write(place, own or Own(place.name, since=now), theirs, head, now):
                return 1
            rival = place.read(self._ledger.identity)
        except ProviderError as error:
            self._find("anchor_unwritten", place.name, str(error))
            return 0
        mine, head = self.standing().get(place.name) or Own(place.name, since=now), self.head()
        said = compare(rival, mine, head)
        if rival is not None and said in (Standing.BACKWARDS, Standing.ANOTHER):
            self._halt(place, mine, rival, head, said)
        elif rival is not None:  # another process of ours was first, or the key of this generation is used up
            self._keep(msgspec.structs.replace(mine, generation=max(mine.generation, rival.generation) + 1))
        return 0

    def _write(self, place: Anchors, own: Own, theirs: Anchor | None, head: Head, now: int) -> bool:
        """Write the next generation; its token is announced before, so that a crash in between is known."""
        token = self._ledger.ids.next().hex()
        generation = max(own.generation, theirs.generation if theirs else 0) + 1
        about = {**self._where, "place": place.name, "token": token, "generation": generation}
        self._ledger.commit.run(errand=lambda: _announcing(about))
        fresh = Anchor(self._ledger.identity, generation, token, head.positions, head.digest, now)
        if not place.write(fresh, theirs):
            return False
        self._keep(Own(place.name, generation, since=own.since or now))
        return True

    def _halt(self, place: Anchors, own: Own | None, theirs: Anchor, head: Head, said: Standing) -> None:
        at = f"{to_datetime(theirs.at):%Y-%m-%d %H:%M:%S} UTC"
        self._may_send = False
        if said is Standing.BACKWARDS:
            state, reason = (
                "recovering",
                f"the anchor ({place.name}) of {at} knows {theirs.positions} entries, this database has "
                f"{head.positions}: it was restored; nothing is sent until: tallystick recover",
            )
            self._find("ledger_went_backwards", place.name, reason)
        else:
            state, reason = (
                "lost",
                f"another copy of this ledger wrote the anchor ({place.name}) at {at}, or this one was restored and "
                "has recorded since; it sends nothing. Stop the other one; to go on with this one: tallystick recover",
            )
            self._find("another_copy_sends", place.name, reason)
        if own is None or own.state != state:
            own = own or Own(place.name)
            halted = msgspec.structs.replace(own, state=state, reason=reason, since=theirs.at)
            self._ledger.commit.run(errand=lambda: _halting(self._row(halted)))

    def _row(self, own: Own) -> dict[str, Any]:
        said = {"place": own.place, "generation": own.generation, "state": own.state, "reason": own.reason}
        return {**self._where, **said, "since": own.since}

    def _keep(self, own: Own) -> None:
        params = self._row(own)
        before = {**self._where, "place": own.place, "before": own.generation - TOKENS}
        self._ledger.commit.run(errand=lambda: _keeping(params, before))


def _own(where: dict[str, str]) -> Flow[dict[str, Own]]:
    found = {row[0]: Own(*row) for row in (yield Statement("find_anchors", where))}
    announced: dict[str, set[str]] = {}
    for place, token in (yield Statement("find_anchor_tokens", where)):
        announced.setdefault(place, set()).add(token)
    for place, tokens in announced.items():  # before the first one is written there is no more than its token
        own = found.get(place, Own(place))
        found[place] = msgspec.structs.replace(own, tokens=frozenset(tokens))
    return found


def _head() -> Flow[Head]:
    rows = yield Statement("heads")
    return Head.of((row[0], row[1], row[2]) for row in rows)


def _announcing(about: dict[str, Any]) -> Flow[None]:
    yield Statement("announce_anchor", about)


def _halting(row: dict[str, Any]) -> Flow[None]:
    yield Statement("halt_anchor", row)


def _keeping(params: dict[str, Any], before: dict[str, Any]) -> Flow[None]:
    yield Statement("keep_anchor", params)
    yield Statement("forget_anchor_tokens", before)
