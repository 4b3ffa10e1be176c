"""One metered action: held before it runs, settled or voided once when it has.

What was added before an exception is recorded, because that work was done; an action that adds
nothing is voided. A key names the logical operation: a second delivery of the same job counts once.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import TracebackType
from typing import Any

from tallystick.actions import scope as scopes
from tallystick.actions.recorder import Recorder, Step
from tallystick.errors import ActionError
from tallystick.ledger.model import Entry, Kind, Outcome, Posted, Posting, Resolution
from tallystick.meters import Formula, Meter


class State(Enum):
    """Where an action stands."""

    NEW = "new"
    OPEN = "open"
    CLOSED = "closed"


class Action:
    """A piece of server-side work that a meter counts; use it as `with` or `async with`."""

    def __init__(
        self,
        recorder: Recorder,
        meter: str,
        customer: Any,
        *,
        key: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        hold: bool | None = None,
    ) -> None:
        self._recorder = recorder
        self._meter = recorder.catalogue[meter]
        self._customer = customer
        self._key = key
        self._attributes = attributes
        self._held = self._meter.hold if hold is None else hold
        self._hold: Entry | None = None
        self._steps: dict[str, int] = {}
        self._state = State.NEW
        self.posted: Posted | None = None

    def add(self, quantity: Any, meter: str | None = None) -> None:
        """Count more of this action's meter, or of another one; QuantityError when it is not exact."""
        self._require(State.OPEN)
        counted = self._of(meter)
        self._steps[counted.name] = self._steps.get(counted.name, 0) + counted.steps(quantity)

    def set(self, quantity: Any, meter: str | None = None) -> None:
        """Replace what was counted so far."""
        self._require(State.OPEN)
        counted = self._of(meter)
        self._steps[counted.name] = counted.steps(quantity)

    def describe(self, attributes: Mapping[str, Any] | None) -> None:
        """Set the attributes of what will be recorded."""
        self._attributes = attributes

    def _of(self, meter: str | None) -> Meter:
        return self._meter if meter is None else self._recorder.catalogue[meter]

    @property
    def repeated(self) -> bool:
        """Whether the key had been recorded before: this run counted nothing."""
        return self.posted is not None and bool(self.posted.repeated)

    @property
    def conflicting(self) -> bool:
        """Whether the key had been recorded before with another quantity or attributes."""
        return self.posted is not None and bool(self.posted.conflicting)

    def open(self) -> Step[Action]:
        """The flow that writes the hold, if the meter has holds."""
        self._require(State.NEW)
        self._state = State.OPEN
        if self._held:
            self._hold = self._recorder.entry(Kind.HOLD, self._meter, self._customer, 0)
            yield Posting((self._hold,))
        return self

    def settle(self) -> Step[None]:
        """The flow that ends the action: what was counted is recorded, nothing counted is voided.

        A count meter counts one action unless `set` or `add` said otherwise.
        """
        if self._meter.formula is Formula.COUNT and not self._steps:
            self._steps[self._meter.name] = 1
        yield from self._end("nothing was counted")

    def fail(self) -> Step[None]:
        """The flow after an exception: what was counted before it is recorded."""
        yield from self._end("the action failed before anything was counted")

    def void(self, reason: str) -> Step[None]:
        """The flow that ends the action without any usage."""
        self._steps.clear()
        yield from self._end(reason)

    def _end(self, reason: str) -> Step[None]:
        self._require(State.OPEN)
        self._state = State.CLOSED
        scope = scopes.current()
        if scope is not None:
            scope.resolved = True
        entries = tuple(self._usage(name, steps) for name, steps in self._steps.items())
        resolution = None
        if self._hold is not None:
            outcome = Outcome.SETTLED if entries else Outcome.VOIDED
            resolution = Resolution(self._hold.lane, self._hold.entry, outcome, "" if entries else reason)
        if entries or resolution:
            self.posted = yield Posting(entries, resolution)

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

    def _require(self, state: State) -> None:
        if self._state is not state:
            raise ActionError(
                f"this action on meter {self._meter.name!r} is {self._state.value}, not {state.value}; "
                "use it once, inside `with tally.action(...) as action:`"
            )

    def __enter__(self) -> Action:
        return self._recorder.drive(self.open())

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._recorder.drive(self.settle() if kind is None else self.fail())

    async def __aenter__(self) -> Action:
        return await self._recorder.drive_async(self.open())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._recorder.drive_async(self.settle() if kind is None else self.fail())

    async def close(self) -> None:
        """Settle an action that was opened with `await tally.aio.open(...)`."""
        await self._recorder.drive_async(self.settle())
