"""Confirmation: the provider's totals against our dispatches, window by window; the relay runs it.

A 2xx says that an event was received. That it counts is seen in the provider's own totals: the accepted
dispatches of a window whose sum is there are confirmed. Where outcomes are unknown and the duplicate
window is over, two equal readings of their minute prove which were counted; the others are sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from tallystick.delivery.model import Dispatch, to_dispatch
from tallystick.delivery.rejections import successor
from tallystick.delivery.sender import Sender
from tallystick.errors import ProviderError
from tallystick.meters import Formula
from tallystick.reconciliation.rules import Reading, Sums, Verdict, counted_of, is_ambiguous, verdict
from tallystick.storage import Flow, Statement
from tallystick.values.instant import HOUR, MINUTE, SECOND
from tallystick.values.quantity import from_steps

LAG = 2 * MINUTE  # how long a provider's totals may trail what it accepted
ALARM = 30 * MINUTE  # accepted this long ago and still not in the totals: a finding
AN_HOUR, A_MINUTE = HOUR // SECOND, MINUTE // SECOND
AT_ONCE = 50


class Window(msgspec.Struct, frozen=True):
    """[since, until) of one provider customer and meter, in seconds since 1970 UTC."""

    lane: int
    customer: str
    meter: str
    provider_customer: str
    provider_meter: str
    since: int
    until: int
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
        rows = yield Statement("windows_to_confirm", accepted)
        found = [_to_window(row, AN_HOUR) for row in rows]
        window_over = now - self._sender.provider.profile.duplicate_window_seconds * SECOND
        doubtful = {**self._where, "sent_before": window_over, "limit": AT_ONCE}
        rows = yield Statement("windows_in_doubt", doubtful)
        found += [_to_window(row, A_MINUTE) for row in rows]
        return [w for w in found if self._is_comparable(w.meter)]

    def _is_comparable(self, meter: str) -> bool:
        catalogue = self._sender.catalogue
        if meter not in catalogue:
            return False
        about = catalogue[meter]
        return about.formula in (Formula.SUM, Formula.COUNT) and not about.foreign_writers

    def _judge(self, window: Window) -> int:
        place = window.place(**self._where)
        dispatches, owed = self._ledger.read(_inside(window, {**place, "until": window.until}))
        sums = Sums.of(dispatches)
        now = self._ledger.clock.now()
        decimals = self._sender.catalogue[window.meter].decimals
        provider = self._sender.provider
        read = provider.total(window.provider_customer, window.provider_meter, window.since, window.until)
        total = int(provider.profile.meant(read, decimals).scaleb(decimals))
        reading = Reading(total, sums.certain, sum(sums.ambiguous), now)
        earlier = self._ledger.read(_earlier(place)) if sums.ambiguous else None
        said = verdict(sums, reading, earlier)
        if said is Verdict.CONFIRMED:
            return self._confirm(dispatches)
        if window.until - window.since == AN_HOUR and sums.ambiguous:
            return 0  # its minutes in doubt come first
        if said is Verdict.RESOLVED and not owed:
            return self._resolve(place, dispatches, reading)
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

    def _resolve(self, place: dict[str, Any], dispatches: Sequence[Dispatch], reading: Reading) -> int:
        """Confirm those in doubt that the total holds; the others never arrived: each gets a successor."""
        doubtful = [d for d in dispatches if is_ambiguous(d)]
        chosen = counted_of([d.quantity for d in doubtful], reading.total - reading.certain) or ()
        now = self._ledger.clock.now()
        counted = [d for index, d in enumerate(doubtful) if index in chosen]
        absent = [d for index, d in enumerate(doubtful) if index not in chosen]
        confirmed = _accepted(dispatches) + [
            (d.lane, d.dispatch, d.part, "parked", "found in the provider's totals") for d in counted
        ]
        self._ledger.commit.run(errand=lambda: _resolving(place, sorted(confirmed), absent, now))
        return 1

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
            f"the provider has {theirs} of {window.provider_meter} for {window.provider_customer} in the time from "
            f"{window.since} (unix), we were told it accepted {ours}{doubt}; compare its events of that time",
        )


def _to_window(row: Any, width: int) -> Window:
    lane, customer, meter, provider_customer, provider_meter, number, oldest, _ = row
    since = number * width
    return Window(lane, customer, meter, provider_customer, provider_meter, since, since + width, oldest)


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


def _resolving(
    place: dict[str, Any], confirmed: list[tuple[Any, ...]], absent: Sequence[Dispatch], now: int
) -> Flow[None]:
    if confirmed:
        yield Statement("confirm_dispatches", rows=confirmed)
    for d in absent:
        why = "the provider's totals prove that it never arrived; sent again under a new identity"
        refused = yield Statement("refuse_absent", rows=[(d.lane, d.dispatch, d.part, why)])
        if refused:
            [(part,)] = yield Statement("next_part", {"lane": d.lane, "dispatch": d.dispatch})
            yield Statement("insert_dispatches", rows=[successor(d, part, now).row()])
    yield Statement("forget_reading", place)
