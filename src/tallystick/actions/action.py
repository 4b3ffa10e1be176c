"""One metered action: held before it runs, settled or voided once when it has.

What was added before an exception is recorded, because that work was done; an action that adds
nothing is voided. A key names the logical operation: a second delivery of the same job counts once.
A quantity that was measured but cannot be recorded leaves the hold open, with a finding.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from enum import Enum
from types import TracebackType
from typing import Any, TypeVar, overload

from tallystick.actions import nesting, stream
from tallystick.actions import scope as scopes
from tallystick.actions.recorder import Recorder, Step, canonical, name_of
from tallystick.errors import (
    ActionError,
    LedgerError,
    QuantityError,
    TallystickError,
    TallystickWarning,
    UnknownMeterError,
)
from tallystick.ledger.model import Entry, Kind, Outcome, Posted, Posting, Resolution
from tallystick.meters import Formula, StreamBills
from tallystick.values.failpoint import failpoint
from tallystick.values.instant import SECOND
from tallystick.values.quantity import MAX_STEPS

Part = TypeVar("Part")


NEVER = 2**63 - 1


class State(Enum):
    """Where an action stands."""

    NEW = "new"
    OPEN = "open"
    CLOSED = "closed"


class Action:
    """A piece of server-side work that a meter counts; use it as `with` or `async with`."""

    _state = State.CLOSED

    def __init__(
        self,
        recorder: Recorder,
        meter: str,
        customer: Any,
        *,
        key: Any = None,
        attributes: Mapping[str, Any] | None = None,
        hold: bool | None = None,
        nested: str = nesting.APART,
    ) -> None:
        self._recorder = recorder
        self._meter = recorder.catalogue[meter]
        self.nested = nesting.check(nested)
        self.outer: Action | None = None  # the block that counts this one's meter already
        self._inner = nesting.Inner()
        self._customer = name_of("customer", customer)
        self._key = None if key is None else name_of("key", key)
        self._attributes = canonical(attributes)
        self._held = self._meter.hold if hold is None else hold
        self._hold: Entry | None = None
        self._steps: dict[str, int] = {}
        self._unmeasured: dict[str, str] = {}
        self._voided = ""
        self._plain = not self._meter.decimals and self._meter.limit is None
        self._checkpoint_at = NEVER
        self._state = State.NEW
        self.posted: Posted | None = None

    @property
    def meter(self) -> str:
        """The name of the meter this action was opened on."""
        return self._meter.name

    @property
    def key(self) -> str | None:
        """The logical operation."""
        return self._key

    @property
    def subject(self) -> tuple[object, str, str]:
        """What is counted for whom: ledger, meter, customer."""
        return self._recorder, self._meter.name, self._customer

    @property
    def is_open(self) -> bool:
        """Whether it has begun and not ended."""
        return self._state is State.OPEN

    @property
    def has_counted(self) -> bool:
        """Whether a quantity was added or set."""
        return bool(self._steps)

    # Counting

    def add(self, quantity: Any, meter: str | None = None) -> None:
        """Count more of this action's meter, or of another one; QuantityError when it is not exact."""
        if meter is None and type(quantity) is int and self._plain and self._state is State.OPEN:
            # The same as below without its detours: a stream comes past with every part.
            total = self._steps.get(self._meter.name, 0) + quantity
            if quantity >= 0 and total <= MAX_STEPS:
                self._steps[self._meter.name] = total
                return
        name, steps = self._measure(quantity, meter, self._steps)
        self._steps[name] = steps

    def set(self, quantity: Any, meter: str | None = None) -> None:
        """Replace what was counted so far."""
        name, steps = self._measure(quantity, meter, {})
        self._unmeasured.pop(name, None)
        self._steps[name] = steps

    def void(self, reason: str) -> None:
        """Say that this action does not count, and why; what was counted so far is forgotten."""
        self._require(State.OPEN)
        self._steps.clear()
        self._voided = reason

    def describe(self, attributes: Mapping[str, Any] | None) -> None:
        """Set the attributes of what will be recorded."""
        self._attributes = canonical(attributes)

    def distrust(self, why: str) -> None:
        """Say that what the action used is not known: its hold stays open, with a finding."""
        self._unmeasured.setdefault(self._meter.name, why)

    def _measure(self, quantity: Any, meter: str | None, before: Mapping[str, int]) -> tuple[str, int]:
        self._require(State.OPEN)
        try:
            counted = self._meter if meter is None else self._recorder.catalogue[meter]
            total = before.get(counted.name, 0) + counted.steps(quantity)
            if total > MAX_STEPS:
                raise QuantityError(
                    f"meter {counted.name!r}: adding {quantity} exceeds what one entry can hold"
                )
        except (QuantityError, UnknownMeterError) as error:
            self._unmeasured[self._meter.name if meter is None else meter] = str(error)
            raise
        return counted.name, total

    @property
    def repeated(self) -> bool:
        """Whether the key had been recorded before: this run counted nothing."""
        return self.posted is not None and bool(self.posted.repeated)

    @property
    def conflicting(self) -> bool:
        """Whether the key had been recorded before with another quantity or attributes."""
        return self.posted is not None and bool(self.posted.conflicting)

    # The flows: generators of postings, driven by the recorder

    def opening(self) -> Step[Action]:
        """The flow that writes the hold, if the meter has holds."""
        self._require(State.NEW)
        self._state = State.CLOSED
        scope = scopes.current()
        if scope is not None:
            scope.acted = True
        if self._held and self.outer is None:
            hold = self._recorder.entry(
                Kind.HOLD, self._meter, self._customer, 0, key=self._key, attributes=self._attributes
            )
            failpoint("action.opening")
            try:
                yield Posting((hold,))
            except LedgerError:
                raise
            except BaseException:
                # The caller has gone (cancelled) while its hold is on the way to the disk.
                reason = "cancelled before the action ran"
                yield Posting((), Resolution(hold.lane, hold.entry, Outcome.VOIDED, reason))
                raise
            self._hold = hold
            self._put_off_checkpoint()
            failpoint("action.held")
        self._state = State.OPEN
        return self

    def settling(self) -> Step[None]:
        """The flow that ends the action: what was counted is recorded, nothing counted is voided.

        A count meter counts one action unless `set`, `add` or `void` said otherwise.
        """
        if self._meter.formula is Formula.COUNT and not (self._steps or self._voided or self._unmeasured):
            self._steps[self._meter.name] = 1
        return self._ending(self._voided or "nothing was counted")

    def failing(self) -> Step[None]:
        """The flow after an exception: what was counted before it is recorded.

        A void that cannot be written does not hide that exception: the hold stays open and is listed.
        """
        try:
            yield from self._ending(self._voided or "the action failed before anything was counted")
        except LedgerError:
            if self._steps:
                raise

    def _ending(self, reason: str) -> Step[None]:
        self._require(State.OPEN)
        failpoint("action.ending")
        self._state = State.CLOSED
        if not self._voided:
            self._inner.fill(self._meter.name, self._steps, self._unmeasured)
        if self.outer is not None and self.outer.is_open:
            own = self._meter.name
            self.outer._inner.add(self._steps.pop(own, None), self._unmeasured.pop(own, None))
        entries = tuple([self._usage(name, steps) for name, steps in self._steps.items()])
        resolution = None
        if self._unmeasured:
            self._report_unmeasured()
        elif self._hold is not None:
            outcome = Outcome.SETTLED if entries else Outcome.VOIDED
            resolution = Resolution(self._hold.lane, self._hold.entry, outcome, "" if entries else reason)
        if entries or resolution is not None:
            try:
                self.posted = yield Posting(entries, resolution)
                failpoint("action.ended")
            except TallystickError as error:
                self._report_lost(entries, error)
                raise

    def _usage(self, name: str, steps: int) -> Entry:
        return self._recorder.entry(
            Kind.USAGE,
            self._recorder.catalogue[name],
            self._customer,
            steps,
            key=self._key,
            refers=None if self._hold is None else self._hold.entry,
            attributes=self._attributes,
        )

    # Telling

    def _report_unmeasured(self) -> None:
        rest = (
            f"its hold {self._hold.id} stays open" if self._hold else "it had no hold, nothing of it is kept"
        )
        for meter, why in self._unmeasured.items():
            self._recorder.find(
                "unmeasured_action",
                self._customer,
                f"an action of customer {self._customer!r} used an unknown quantity of {meter!r} ({why}); {rest}",
            )

    def _report_lost(self, entries: tuple[Entry, ...], error: TallystickError) -> None:
        for entry in entries:
            self._recorder.find(
                "unwritten_usage",
                self._customer,
                f"{entry.quantity} steps of {entry.meter!r} for customer {self._customer!r} were used "
                f"and could not be recorded: {error}",
            )

    def _require(self, state: State) -> None:
        if self._state is not state:
            raise ActionError(
                f"this action on meter {self._meter.name!r} is {self._state.value}, not {state.value}; "
                "use it once, inside `with tally.action(...) as action:`"
            )

    def __del__(self) -> None:
        if self._state is State.CLOSED:
            return
        problem = (
            f"an action on meter {self._meter.name!r} was never entered, so nothing was recorded; "
            "write `with tally.action(...) as action:`"
            if self._state is State.NEW
            else f"an action on meter {self._meter.name!r} of customer {self._customer!r} was never ended, so what "
            "it counted is not recorded; write `await action.close()`"
        )
        self._recorder.find("unended_action", self._customer, problem)
        warnings.warn(problem, TallystickWarning, stacklevel=2)

    # Using

    def __enter__(self) -> Action:
        nesting.enter(self)
        try:
            return self._recorder.drive(self.opening())
        except ActionError:
            self._state = State.CLOSED
            raise

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._recorder.drive(self.settling() if kind is None else self.failing())

    async def __aenter__(self) -> Action:
        nesting.enter(self)
        return await self._recorder.drive_async(self.opening())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._recorder.drive_async(self.settling() if kind is None else self.failing())

    # Streaming

    @overload
    def stream(
        self, parts: AsyncIterable[Part], *, count: Callable[[Part], Any], cumulative: bool = False
    ) -> AsyncIterator[Part]: ...

    @overload
    def stream(
        self, parts: Iterable[Part], *, count: Callable[[Part], Any], cumulative: bool = False
    ) -> Iterator[Part]: ...

    def stream(
        self,
        parts: AsyncIterable[Part] | Iterable[Part],
        *,
        count: Callable[[Part], Any],
        cumulative: bool = False,
    ) -> AsyncIterator[Part] | Iterator[Part]:
        """Pass the parts on and count them; the action ends with the stream, however that ends.

        `count` gives what a part adds, or with `cumulative` the running total so far (which may start
        again from zero); None for a part that says nothing. When the client goes away, the server stops or
        the parts raise, the meter's `stream_bills` decides: what was delivered until then, or what upstream
        goes on to produce within `drain_seconds`. Asynchronous parts give an asynchronous stream.
        """
        self._require(State.OPEN)
        counter = stream.Counter(self, count, cumulative=cumulative)
        seconds = self._meter.drain_seconds if self._meter.stream_bills is StreamBills.PRODUCED else None

        def alike(parts: AsyncIterable[Part]) -> AsyncIterator[Part]:
            if seconds is None:
                return stream.delivered(self, parts, counter)
            return stream.produced(self, parts, counter, drain_seconds=seconds)

        if isinstance(parts, AsyncIterable):
            return alike(parts)
        given = parts
        synchronous = stream.streamed(self, given, counter, drain_seconds=seconds)
        return stream.Stream(synchronous, lambda: alike(stream.in_threads(given)))

    def checkpoint_is_due(self) -> bool:
        """Whether the meter's `checkpoint_seconds` have passed since the action last noted how far it is."""
        return self._recorder.ledger.clock.elapsed() >= self._checkpoint_at

    def _put_off_checkpoint(self) -> None:
        now = self._recorder.ledger.clock.elapsed()
        self._checkpoint_at = now + self._meter.checkpoint_seconds * SECOND

    def checkpoint(self) -> Awaitable[None]:
        """Note durably how far the action has come, for whoever decides about its hold if it never ends."""
        self._put_off_checkpoint()
        return self._recorder.note_progress_async(self._progress())

    def checkpoint_now(self) -> None:
        """The blocking `checkpoint`."""
        self._put_off_checkpoint()
        self._recorder.note_progress(self._progress())

    def _progress(self) -> list[tuple[int, bytes, str, int]]:
        assert self._hold is not None
        return [(self._hold.lane, self._hold.entry, name, steps) for name, steps in self._steps.items()]

    def elapsed(self) -> float:
        """Seconds on a clock that only goes forward."""
        return self._recorder.ledger.clock.elapsed() / SECOND

    def keep_task(self, task: asyncio.Task[None]) -> None:
        """Hold on to a task that goes on after its request; the loop itself would not."""
        self._recorder.background.add(task)
        task.add_done_callback(self._recorder.background.discard)

    # Ending by hand

    async def abandon(self) -> None:
        """End the action after an exception: what was counted before it is recorded."""
        await self._recorder.drive_async(self.failing())

    async def close(self) -> None:
        """Settle an action that was opened with `await tally.aio.open(...)`."""
        await self._recorder.drive_async(self.settling())

    def end_failed(self) -> None:
        """The blocking `abandon`."""
        self._recorder.drive(self.failing())

    def end(self) -> None:
        """The blocking `close`, for an action that was opened with `tally.open(...)`."""
        self._recorder.drive(self.settling())
