"""Why the provider has an event: the dispatch behind its identifier, and the entries behind that."""

from __future__ import annotations

import msgspec

from tallystick.delivery.model import Dispatch, to_dispatch
from tallystick.delivery.rejections import place_of
from tallystick.delivery.rules import prefix_of
from tallystick.errors import ActionError
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.model import Entry, to_entry
from tallystick.storage import Flow, Statement
from tallystick.values.instant import DAY, SECOND

LONGEST_WAIT = 40 * DAY  # from an entry to the stamp of the dispatch that tells an absolute


class Explanation(msgspec.Struct, frozen=True):
    """The parts of one dispatch, those that took the place of others included, and the entries they tell."""

    parts: list[Dispatch]
    entries: list[Entry]


def explain(ledger: Ledger, identifier: str, *, limit: int = 1000) -> Explanation:
    """What stands behind an identifier as the provider shows it; ActionError when it is not of this ledger."""
    place = place_of(identifier, prefix_of(ledger.identity))
    found = ledger.read(_explain(place[:2], limit)) if place is not None else Explanation([], [])
    if not found.parts:
        raise ActionError(f"{identifier!r} names no dispatch of this ledger; identifiers look like ts…-…")
    return found


def _explain(place: tuple[int, bytes], limit: int) -> Flow[Explanation]:
    params = {"lane": place[0], "dispatch": place[1]}
    parts = [to_dispatch(row) for row in (yield Statement("parts_of_dispatch", params))]
    if not parts:
        return Explanation([], [])
    first = parts[0]
    about = {"tenant": first.tenant, "mode": first.mode, "customer": first.customer, "meter": first.meter}
    since = first.happened_at * SECOND - LONGEST_WAIT
    rows = yield Statement("entries_of_dispatch", {**params, **about, "since": since, "limit": limit})
    return Explanation(parts, [to_entry(row) for row in rows])
