"""Confirmation: the provider's totals against our dispatches, window by window; the relay runs it.

A 2xx says that an event was received. That it counts is seen in the provider's own totals: the accepted
dispatches of a window whose sum is there are confirmed. Where outcomes are unknown and the duplicate
window is over, two equal readings of their minute prove which were counted; the others are sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tallystick.delivery.model import Dispatch, to_dispatch
from tallystick.delivery.rejections import successor
from tallystick.delivery.sender import Sender
from tallystick.errors import NoSuchCustomerError, ProviderError
from tallystick.reconciliation.rules import Reading, Sums, Verdict, is_ambiguous, judge, standing
from tallystick.storage import Flow, Statement
from tallystick.values.instant import HOUR, MINUTE, SECOND
from tallystick.values.quantity import from_steps

LAG = 2 * MINUTE  # how long a provider's totals may trail what it accepted
ALARM = 30 * MINUTE  # accepted this long ago and still not in the totals: a finding
AN_HOUR, A_MINUTE = HOUR // SECOND, MINUTE // SECOND
AT_ONCE = 50  # windows of a kind in one step; the next step goes on behind them
PAUSE = 5 * SECOND  # between steps while there are more, so that the provider is not flooded with readings


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

    @property
    def is_minute(self) -> bool:
        """Whether it is the smallest window that a provider adds up."""
        return self.until - self.since == A_MINUTE

    def order(self, width: int) -> dict[str, Any]:
        """The parameters that say where it stands among windows of a width."""
        return {**msgspec.structs.asdict(self), "number": self.since // width}

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


BEFORE_ALL = Window(-1, "", "", "", "", 0, 0, 0)


class Confirmer:
    """Confirms dispatches of one tenant and mode; `find` is told of what a person should see."""

    def __init__(self, sender: Sender, find: Callable[[str, str, str], None]) -> None:
        self._sender = sender
        self._ledger = sender.ledger
        self._where = {"tenant": sender.ledger.where.tenant, "mode": sender.ledger.where.mode}
        self._find = find
        self._next = 0
        self._behind: dict[str, Window] = {}  # the last window of a round's step, by kind
        self._told: set[tuple[str, str, str, int]] = set()

    def chore(self) -> int:
        """The relay's piece of upkeep: one round through the windows a minute, in steps."""
        now = self._ledger.clock.now()
        if now < self._next <= now + MINUTE or self._sender.breaker.is_open:
            return 0
        if self._sender.provider.profile.totals_are_whole_periods or not self._sender.may_send():
            return 0  # nothing so small can be read, or the totals hold what a restored ledger does not know
        cleared = self.step()
        self._next = now + (PAUSE if self._behind else MINUTE)
        return cleared

    def step(self) -> int:
        """Judge the next windows once, the oldest first; how many were cleared up."""
        now = self._ledger.clock.now()
        over = now - self._sender.provider.profile.duplicate_window_seconds * SECOND
        windows = [
            *self._windows("windows_to_confirm", AN_HOUR, now - LAG),
            *self._windows("windows_in_doubt", A_MINUTE, over),
        ]
        cleared = 0
        for window in windows:
            try:
                cleared += self._judge(window)
            except NoSuchCustomerError as error:  # one that is gone does not keep the others waiting
                self._tell_once(window, "totals_unreadable", f"windows are not confirmed: {error}")
            except ProviderError as error:
                self._find("totals_unreadable", window.customer, f"windows are not confirmed: {error}")
                break
        return cleared

    def _windows(self, kind: str, width: int, before: int) -> list[Window]:
        """The windows of a kind behind those of the step before; after the last it starts again."""
        behind = self._behind.pop(kind, BEFORE_ALL)
        params = {**self._where, **behind.order(width), "before": before, "limit": AT_ONCE}
        found = self._ledger.read(_found(kind, params, width))
        if len(found) == AT_ONCE:
            self._behind[kind] = found[-1]
        return [w for w in found if self._is_comparable(w.meter)]

    def _is_comparable(self, meter: str) -> bool:
        catalogue = self._sender.catalogue
        if meter not in catalogue:
            return False
        return not catalogue[meter].foreign_writers

    def _judge(self, window: Window) -> int:
        place = window.place(**self._where)
        dispatches, owed = self._ledger.read(_inside(window, {**place, "until": window.until}))
        absolute = self._sender.catalogue[window.meter].formula.is_absolute
        sums = Sums.of(standing(dispatches) if absolute else dispatches)
        if sums.under_way or (sums.ambiguous and not window.is_minute):
            return 0  # of an hour, the minutes in doubt come first
        reading = self._reading(window, sums)
        earlier = self._ledger.read(_earlier(place)) if sums.ambiguous else None
        judgement = judge(sums, reading, earlier)
        if judgement.verdict is Verdict.CONFIRMED:
            return self._resolve(window, dispatches, ())
        if judgement.verdict is Verdict.RESOLVED and not owed:
            return self._resolve(window, dispatches, judgement.counted)
        if judgement.verdict is Verdict.READ_AGAIN and (earlier is None or not reading.says(earlier)):
            self._ledger.commit.run(errand=lambda: _keep(place, reading))
        differs = judgement.verdict is Verdict.FOREIGN or (
            judgement.verdict is Verdict.WAIT and reading.total != reading.certain
        )
        if differs and reading.read_at - window.oldest > ALARM:
            self._tell(window, reading)
        return 0

    def _reading(self, window: Window, sums: Sums) -> Reading:
        """What the provider says of a window, beside what we say."""
        provider, decimals = self._sender.provider, self._sender.catalogue[window.meter].decimals
        total = provider.total(window.provider_customer, window.provider_meter, window.since, window.until)
        steps = int(provider.profile.meant(total, decimals).scaleb(decimals))
        return Reading(steps, sums.certain, sum(sums.ambiguous), self._ledger.clock.now())

    def _resolve(self, window: Window, dispatches: Sequence[Dispatch], counted: Sequence[int]) -> int:
        """Confirm what the total holds; of those in doubt the others never arrived: each gets a successor."""
        doubtful = [d for d in dispatches if is_ambiguous(d)]
        absent = [d for index, d in enumerate(doubtful) if index not in counted]
        confirmed = [
            *((*_key(d), "accepted", d.reason) for d in dispatches if d.state == "accepted"),
            *((*_key(doubtful[index]), "parked", "found in the provider's totals") for index in counted),
        ]
        place, now = window.place(**self._where), self._ledger.clock.now()
        self._ledger.commit.run(errand=lambda: _resolving(place, sorted(confirmed), absent, now))
        self._told.discard(
            ("unconfirmed_window", window.provider_customer, window.provider_meter, window.since)
        )
        return 1

    def _tell(self, window: Window, reading: Reading) -> None:
        decimals = self._sender.catalogue[window.meter].decimals
        ours, theirs = from_steps(reading.certain, decimals), from_steps(reading.total, decimals)
        doubt = (
            f", and {from_steps(reading.ambiguous, decimals)} of unknown outcome" if reading.ambiguous else ""
        )
        self._tell_once(
            window,
            "unconfirmed_window",
            f"the provider has {theirs} of {window.provider_meter} for {window.provider_customer} in the time from "
            f"{window.since} (unix), we were told it accepted {ours}{doubt}; compare its events of that time",
        )

    def _tell_once(self, window: Window, code: str, message: str) -> None:
        told = (code, window.provider_customer, window.provider_meter, window.since)
        if told not in self._told:
            self._told.add(told)
            self._find(code, window.customer, message)


def _found(kind: str, params: dict[str, Any], width: int) -> Flow[list[Window]]:
    rows = yield Statement(kind, params)
    return [_to_window(row, width) for row in rows]


def _to_window(row: Any, width: int) -> Window:
    lane, customer, meter, provider_customer, provider_meter, number, oldest = row
    since = number * width
    return Window(lane, customer, meter, provider_customer, provider_meter, since, since + width, oldest)


def _key(dispatch: Dispatch) -> tuple[int, bytes, int]:
    return (dispatch.lane, dispatch.dispatch, dispatch.part)


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


def _resolving(
    place: dict[str, Any], confirmed: list[tuple[Any, ...]], absent: Sequence[Dispatch], now: int
) -> Flow[None]:
    if confirmed:
        yield Statement("confirm_dispatches", rows=confirmed)
    for d in absent:
        why = "the provider's totals prove that it never arrived; sent again under a new identity"
        refused = yield Statement("refuse_absent", rows=[(*_key(d), "parked", why)])
        if refused:
            [(part,)] = yield Statement("next_part", {"lane": d.lane, "dispatch": d.dispatch})
            yield Statement("insert_dispatches", rows=[successor(d, part, now).row()])
    yield Statement("forget_reading", place)
