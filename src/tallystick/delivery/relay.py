"""The relay: sends what the request did not, tries again what failed, runs the sequencer and the upkeep.

One process at a time scans for a tenant and mode (a lease), slots decide who sends; a process that is
killed holds nothing longer than its lease. A relay sees only its own tenant and mode: other keys, other books.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import groupby
from operator import attrgetter

import msgspec

from tallystick.delivery import due, flows
from tallystick.delivery.model import Attempt, Owed, SlotKey
from tallystick.delivery.sender import Sender
from tallystick.errors import LedgerError
from tallystick.ledger.ledger import Ledger
from tallystick.providers import Answer
from tallystick.values.failpoint import failpoint
from tallystick.values.instant import MINUTE, SECOND

LEASE = 10 * SECOND
PAUSE = SECOND // 50
RETRIES = 1000  # dispatches looked at in one step


class Progress(msgspec.Struct, frozen=True):
    """What one step did."""

    sequenced: int = 0
    entries: int = 0
    dispatches: int = 0
    unlinked: int = 0
    kept_up: int = 0

    @property
    def idle(self) -> bool:
        """Whether there was nothing to do."""
        return not (self.sequenced or self.entries or self.dispatches or self.kept_up)


class Relay:
    """The worker of one process.

    Without a `sender` it sequences and does its `chores` (each does one bounded piece of upkeep and says
    how much; one that fails is a finding, told to `find`, and keeps nobody waiting). `batch` bounds the entries
    of a step, `threads` the calls in flight, `idle_seconds` the pause when there is nothing to do.
    """

    def __init__(
        self,
        ledger: Ledger,
        sender: Sender | None,
        find: Callable[[str, str, str], None],
        *,
        chores: Sequence[Callable[[], int]] = (),
        batch: int = 10_000,
        threads: int = 8,
        idle_seconds: float = 0.5,
    ) -> None:
        self._ledger = ledger
        self._sending = sender
        self._find = find
        self._owner = sender.owner if sender is not None else ledger.ids.next().hex()
        self._lease = f"relay {ledger.where.tenant} {ledger.where.mode}"
        self._chores = chores
        self._batch = batch
        self._threads = threads
        self._idle_seconds = idle_seconds
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._pid = os.getpid()
        self._owed_behind = self._retried_behind = due.BEGINNING
        self._midway = False  # whether more is due than the last step has looked at

    def start(self) -> None:
        """Run in the background of this process; calling it again does nothing."""
        if self._pid != os.getpid():
            self._pid, self._thread, self._pool, self._stop = os.getpid(), None, None, threading.Event()
        if self._thread is None:
            self._thread = threading.Thread(target=self.run, name="tallystick-relay", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Finish the step under way and stop."""
        self._stop.set()
        if self._thread is not None and self._pid == os.getpid():
            self._thread.join()
            self._thread = None
        self._stop.clear()

    def ask_to_stop(self) -> None:
        """Have `run` return after the step under way (for signal handlers)."""
        self._stop.set()

    def run(self) -> None:
        """Step until asked to stop; a ledger that cannot be reached is tried again, and so is whatever else fails."""
        while not self._stop.is_set():
            try:
                idle = not self._hold_lease() or (self.step().idle and not self._midway)
            except LedgerError:
                idle = True
            except Exception as error:  # a relay that ends leaves everything undelivered, and nobody notices
                self._failed("relay", error)
                idle = True
            if idle:
                self._stop.wait(self._idle_seconds)
        self._let_go()

    def pause(self, seconds: float) -> None:
        """Wait a little, or until asked to stop."""
        self._stop.wait(seconds)

    def drain(self, *, wait_seconds: float = 0) -> Progress:
        """Work until nothing is owed, or what is left is due later than `wait_seconds` from now.

        For cron and serverless. What was done altogether. For as long it also waits for the lease of a relay that
        was killed, while entries have no position yet.
        """
        done = Progress()
        until = self._ledger.clock.now() + int(wait_seconds * SECOND)
        while not self._stop.is_set():
            held = self._hold_lease()
            step = self.step() if held else Progress()
            done = Progress(*(a + b for a, b in zip(_fields(done), _fields(step), strict=True)))
            if step.idle and not (held and self._midway) and not self._await_due(until):
                break
        self._let_go()
        return done

    def _await_due(self, until: int) -> bool:
        """Wait for what is due next, or for whoever holds the lease to sequence; False when neither will be."""
        now = self._ledger.clock.now()
        if now >= until:
            return False
        sends = self._sending is not None
        soonest = self._ledger.read(due.next_due(self._ledger.where)) if sends else None
        if soonest is not None and soonest <= until:
            closed = int(self._sender.breaker.closes_in_seconds * SECOND)
            pause = max(soonest - now, closed, PAUSE)
        elif self._ledger.sequencer.is_behind():
            pause = PAUSE
        else:
            return False
        self._stop.wait(pause / SECOND)
        return True

    def step(self) -> Progress:
        """One bounded round: sequence, retry what is due, send what is owed."""
        self._midway = False
        sequenced = self._ledger.sequencer.step()
        failpoint("relay.sequenced")
        kept_up = sum(self._kept_up(chore) for chore in self._chores)
        if self._sending is None or self._sending.breaker.is_open or not self._sending.may_send():
            return Progress(sequenced, kept_up=kept_up)
        now = self._ledger.clock.now()
        retried = self._retry(now)
        where, behind = self._ledger.where, self._owed_behind
        owed, self._owed_behind = self._ledger.read(due.due_obligations(where, now, self._batch, behind))
        unlinked, by_slot = self._by_slot(owed)
        if unlinked:
            self._ledger.commit.run(errand=lambda: due.postpone(unlinked, now + MINUTE))
        self._midway = not self._owed_behind == self._retried_behind == due.BEGINNING
        failpoint("relay.owing")
        attempts = self._sender.claim(by_slot) if by_slot else []
        failpoint("relay.claimed")
        self._send(attempts)
        entries = sum(a.dispatch.entries for a in attempts if a.dispatch.part == 0)
        return Progress(sequenced, entries, len(attempts) + retried, len(unlinked), kept_up)

    def _kept_up(self, chore: Callable[[], int]) -> int:
        try:
            return chore()
        except LedgerError:
            raise
        except Exception as error:  # the others, and sending, do not wait for its cause to be mended
            self._failed("upkeep", error)
            return 0

    def _failed(self, what: str, error: Exception) -> None:
        self._find("relay_failed", what, f"{type(error).__name__}: {error}; it is tried again")

    @property
    def _sender(self) -> Sender:
        assert self._sending is not None
        return self._sending

    def _retry(self, now: int) -> int:
        where, behind = self._ledger.where, self._retried_behind
        again, self._retried_behind = self._ledger.read(due.due_dispatches(where, now, RETRIES, behind))
        if not again:
            return 0
        failpoint("relay.retrying")
        attempts = self._ledger.commit.run(errand=lambda: flows.retake(again, self._sender.terms))
        self._send(attempts)
        return len(attempts)

    def _by_slot(self, owed: Sequence[Owed]) -> tuple[list[Owed], dict[SlotKey, list[tuple[int, bytes]]]]:
        links = self._sender.links.find({e.customer for e in owed})
        unlinked: list[Owed] = []
        by_slot: dict[SlotKey, list[tuple[int, bytes]]] = {}
        for e in owed:
            link = links.get(e.customer)
            if link is None:
                unlinked.append(e)
                continue
            key = self._sender.slot_key(e.lane, e.tenant, e.mode, link, e.meter)
            by_slot.setdefault(key, []).append((e.lane, e.entry))
        return unlinked, by_slot

    def _send(self, attempts: Sequence[Attempt]) -> None:
        """Send slot by slot, several slots at once; answers are written down as they come."""
        if not attempts:
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="tallystick-relay-send")
        in_order = sorted(attempts, key=lambda a: (a.slot.key, a.dispatch.happened_at, a.dispatch.dispatch))
        turns = [list(group) for _, group in groupby(in_order, attrgetter("slot"))]
        for chunk in range(0, len(turns), 8 * self._threads):
            answered: list[tuple[Attempt, Answer]] = []
            for part in self._pool.map(self._sender.send_in_turn, turns[chunk : chunk + 8 * self._threads]):
                answered += part
            failpoint("relay.answered")
            self._sender.write(answered)
            failpoint("relay.written")

    def _hold_lease(self) -> bool:
        now = self._ledger.clock.now()
        held: bool = self._ledger.commit.run(
            errand=lambda: flows.take_lease(self._lease, self._owner, now, now + LEASE)
        )
        failpoint("relay.leased")
        return held

    def _let_go(self) -> None:
        failpoint("relay.leaving")
        with suppress(LedgerError):  # it runs out by itself
            self._ledger.commit.run(errand=lambda: flows.release_lease(self._lease, self._owner))
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


def _fields(progress: Progress) -> tuple[int, ...]:
    fields: tuple[int, ...] = msgspec.structs.astuple(progress)
    return fields
