"""Confirmation: the provider's totals against our dispatches, window by window; the relay runs it.

A 2xx says that an event was received. That it counts is seen in the provider's own totals: the accepted
dispatches of a window whose sum is there are confirmed. Where outcomes are unknown and the duplicate
window is over, two equal readings prove how much of them was counted, and one dispatch for the rest
supersedes them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from tallystick.delivery.model import Dispatch, to_dispatch
from tallystick.delivery.rules import payload_hash
from tallystick.delivery.sender import Sender
from tallystick.errors import ProviderError
from tallystick.meters import Formula
from tallystick.reconciliation.rules import Reading, Sums, Verdict, is_ambiguous, verdict
from tallystick.storage import Flow, Statement
from tallystick.values.instant import HOUR, MINUTE, SECOND
from tallystick.values.quantity import from_steps, to_text

LAG = 2 * MINUTE  # how long a provider's totals may trail what it accepted
ALARM = 30 * MINUTE  # accepted this long ago and still not in the totals: a finding
WINDOW = HOUR // SECOND
AT_ONCE = 50


class Window(msgspec.Struct, frozen=True):
    """One hour [since, since + 3600) of one provider customer and meter, in seconds since 1970 UTC."""

    lane: int
    customer: str
    meter: str
    provider_customer: str
    provider_meter: str
    since: int
    oldest: int  # when the first of it was accepted or sent, in microseconds

    def place(self, tenant: str, mode: str) -> dict[str, Any]:
        """The parameters that select it."""
        return {
            "lane": self.lane,
            "tenant": tenant,
            "mode": mode,
            "provider_customer": self.provider_customer,
            "provider_meter": self.provider_meter,
            "since": self.since,
        }


class Confirmer:
    """Confirms dispatches of one tenant and mode; `find` is told of what a person should see."""

    def __init__(self, sender: Sender, find: Callable[[str, str, str], None]) -> None:
        self._sender = sender
        self._ledger = sender.ledger
        self._where = {"tenant": sender.ledger.where.tenant, "mode": sender.ledger.where.mode}
        self._find = find
        self._next = 0
        self._told: set[tuple[str, str, int]] = set()

    def chore(self) -> int:
        """The relay's piece of upkeep: one pass a minute."""
        now = self._ledger.clock.now()
        if now < self._next <= now + MINUTE or self._sender.breaker.is_open:
            return 0
        self._next = now + MINUTE
        return self.step()

    def step(self) -> int:
        """Judge the oldest windows once; how many were cleared up."""
        now = self._ledger.clock.now()
        cleared = 0
        for window in self._ledger.read(self._windows(now)):
            try:
                cleared += self._judge(window)
            except ProviderError as error:
                self._find("totals_unreadable", window.customer, f"windows are not confirmed: {error}")
                break
        return cleared

    def _windows(self, now: int) -> Flow[list[Window]]:
        accepted = {**self._where, "settled_before": now - LAG, "limit": AT_ONCE}
        rows = list((yield Statement("windows_to_confirm", accepted)))
        window_over = now - self._sender.provider.profile.duplicate_window_seconds * SECOND
        doubtful = {**self._where, "sent_before": window_over, "limit": AT_ONCE}
        rows += yield Statement("windows_in_doubt", doubtful)
        found = {tuple(row[:6]): _to_window(row) for row in reversed(rows)}
        return [w for w in found.values() if self._is_comparable(w.meter)]

    def _is_comparable(self, meter: str) -> bool:
        catalogue = self._sender.catalogue
        if meter not in catalogue:
            return False
        about = catalogue[meter]
        return about.formula in (Formula.SUM, Formula.COUNT) and not about.foreign_writers

    def _judge(self, window: Window) -> int:
        place = window.place(**self._where)
        until = window.since + WINDOW
        dispatches, owed = self._ledger.read(_inside(window, {**place, "until": until}))
        sums = Sums.of(dispatches)
        now = self._ledger.clock.now()
        decimals = self._sender.catalogue[window.meter].decimals
        provider = self._sender.provider
        read = provider.total(window.provider_customer, window.provider_meter, window.since, until)
        total = int(provider.profile.meant(read, decimals).scaleb(decimals))
        reading = Reading(total, sums.certain, sums.ambiguous, now)
        earlier = self._ledger.read(_earlier(place)) if sums.ambiguous else None
        said = verdict(sums, reading, earlier)
        if said is Verdict.CONFIRMED:
            return self._confirm(dispatches)
        if said is Verdict.RESOLVED and not owed:
            return self._resolve(window, place, dispatches, reading)
        if said is Verdict.READ_AGAIN and (earlier is None or not reading.says(earlier)):
            self._ledger.commit.run(errand=lambda: _keep(place, reading))
        if said in (Verdict.WAIT, Verdict.FOREIGN) and now - window.oldest > ALARM:
            self._tell(window, reading)
        return 0

    def _confirm(self, dispatches: Iterable[Dispatch]) -> int:
        rows = sorted(
            (d.lane, d.dispatch, d.part, "accepted", d.reason) for d in dispatches if d.state == "accepted"
        )
        if rows:
            self._ledger.commit.run(errand=lambda: _confirming(rows))
        return 1

    def _resolve(
        self, window: Window, place: dict[str, Any], dispatches: Sequence[Dispatch], reading: Reading
    ) -> int:
        """Supersede what is ambiguous by what was counted of it, and one dispatch for the rest."""
        ambiguous = [d for d in dispatches if is_ambiguous(d)]
        counted = reading.total - reading.certain
        made = self._differences(ambiguous, counted, reading.ambiguous - counted)
        accepted = _accepted(dispatches)
        superseded = sorted(
            (d.lane, d.dispatch, d.part, f"superseded by {made[-1].identifier}") for d in ambiguous
        )
        self._ledger.commit.run(errand=lambda: _superseding(place, accepted, superseded, made))
        return 1

    def _differences(self, ambiguous: Sequence[Dispatch], counted: int, missing: int) -> list[Dispatch]:
        """A confirmed dispatch for what was counted, a ready one for what was not; at least one of them."""
        entries = sum(d.entries for d in ambiguous if d.part == 0)
        made = []
        if counted or not missing:
            why = "the provider's totals show that it was counted"
            made.append(self._dispatch(ambiguous[0], counted, "confirmed", 0 if missing else entries, why))
        if missing:
            why = "the provider's totals show that it was not counted"
            made.append(self._dispatch(ambiguous[0], missing, "ready", entries, why))
        return made

    def _dispatch(self, like: Dispatch, steps: int, state: str, entries: int, why: str) -> Dispatch:
        terms, now = self._sender.terms, self._ledger.clock.now()
        identity = terms.new_id()
        identifier = f"{terms.prefix}-{like.lane:02x}{identity.hex()}"
        value = to_text(steps, self._sender.catalogue[like.meter].decimals)
        return msgspec.structs.replace(
            like,
            dispatch=identity,
            part=0,
            identifier=identifier,
            quantity=steps,
            value=value,
            entries=entries,
            payload_hash=payload_hash(
                identifier, like.provider_customer, like.provider_meter, value, like.happened_at
            ),
            created_at=now,
            state=state,
            attempt=0,
            idempotency_key=identifier,
            first_sent_at=None,
            due_at=now,
            reason=why,
        )

    def _tell(self, window: Window, reading: Reading) -> None:
        place = (window.provider_customer, window.provider_meter, window.since)
        if place in self._told:
            return
        self._told.add(place)
        decimals = self._sender.catalogue[window.meter].decimals
        ours, theirs = from_steps(reading.certain, decimals), from_steps(reading.total, decimals)
        doubt = (
            f", and {from_steps(reading.ambiguous, decimals)} of unknown outcome" if reading.ambiguous else ""
        )
        self._find(
            "unconfirmed_window",
            window.customer,
            f"the provider has {theirs} of {window.provider_meter} for {window.provider_customer} in the hour from "
            f"{window.since} (unix), we were told it accepted {ours}{doubt}; compare its events of that hour",
        )


def _to_window(row: Any) -> Window:
    lane, customer, meter, provider_customer, provider_meter, hour, oldest, _ = row
    return Window(lane, customer, meter, provider_customer, provider_meter, hour * WINDOW, oldest)


def _accepted(dispatches: Iterable[Dispatch]) -> list[tuple[Any, ...]]:
    return sorted(
        (d.lane, d.dispatch, d.part, "accepted", d.reason) for d in dispatches if d.state == "accepted"
    )


def _inside(window: Window, place: dict[str, Any]) -> Flow[tuple[list[Dispatch], int]]:
    rows = yield Statement("window", place)
    about = {key: place[key] for key in ("lane", "tenant", "mode")}
    hours = {"since_instant": place["since"] * SECOND, "until_instant": place["until"] * SECOND}
    [(owed,)] = yield Statement(
        "owed_in_window", {**about, **hours, "customer": window.customer, "meter": window.meter}
    )
    return [to_dispatch(row) for row in rows], owed


def _earlier(place: dict[str, Any]) -> Flow[Reading | None]:
    rows = yield Statement("find_reading", place)
    return Reading(*map(int, rows[0])) if rows else None


def _keep(place: dict[str, Any], reading: Reading) -> Flow[None]:
    kept = {"total": reading.total, "expected": reading.certain, "ambiguous": reading.ambiguous}
    texts = {name: str(value) for name, value in kept.items()}
    yield Statement("keep_reading", {**place, **texts, "read_at": reading.read_at})


def _confirming(rows: list[tuple[Any, ...]]) -> Flow[None]:
    yield Statement("confirm_dispatches", rows=rows)


def _superseding(
    place: dict[str, Any],
    accepted: list[tuple[Any, ...]],
    superseded: list[tuple[Any, ...]],
    made: Sequence[Dispatch],
) -> Flow[None]:
    done = yield Statement("supersede_dispatches", rows=superseded)
    if len(done) == len(superseded):  # else another relay was quicker, and all of it is undone by what it did
        if accepted:
            yield Statement("confirm_dispatches", rows=accepted)
        yield Statement("insert_dispatches", rows=[d.row() for d in made])
        yield Statement("forget_reading", place)
