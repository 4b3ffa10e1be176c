"""Writing entries on behalf of actions: one place that knows tenant, mode, ids, scope and delivery."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from tallystick.actions import scope as scopes
from tallystick.actions.scope import Carried
from tallystick.errors import ActionError
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.model import Entry, Kind, Posted, Posting
from tallystick.meters import Catalogue, Meter
from tallystick.values.identifiers import lane_of

T = TypeVar("T")
Step = Generator[Posting, Posted, T]


class Delivery(Protocol):
    """What happens right after a commit outside of a request (inside one, the commit gate does it)."""

    def deliver(self, entries: Sequence[Entry]) -> None:
        """Send what was committed, waiting at most the budget."""
        ...

    async def deliver_async(self, entries: Sequence[Entry]) -> None:
        """The awaitable `deliver`."""
        ...


class Recorder:
    """Makes entries and posts them; flows are generators of postings, driven sync or async."""

    def __init__(
        self,
        ledger: Ledger,
        catalogue: Catalogue,
        delivery: Delivery,
        *,
        tenant: str,
        mode: str,
        account: str,
    ) -> None:
        self.ledger = ledger
        self.catalogue = catalogue
        self._delivery = delivery
        self._tenant = tenant
        self._mode = mode
        self._account = account

    def entry(
        self,
        kind: Kind,
        meter: Meter,
        customer: Any,
        steps: int,
        *,
        key: str | None = None,
        refers: bytes | None = None,
        attributes: Mapping[str, Any] | None = None,
        occurred_at: int | None = None,
    ) -> Entry:
        """A new entry with an id of its own; ActionError when customer or key cannot be billed."""
        name = _name("customer", customer)
        return Entry(
            lane_of(self._tenant, self._mode, name),
            self.ledger.ids.next(),
            kind,
            self._tenant,
            self._mode,
            self._account,
            name,
            meter.name,
            steps,
            None if key is None else _name("key", key),
            refers,
            _canonical(attributes),
            occurred_at,
        )

    def drive(self, flow: Step[T]) -> T:
        """Run a flow, blocking."""
        try:
            posting = next(flow)
            while True:
                posted = self.ledger.post(posting)
                self._after(posted.entries)
                posting = flow.send(posted)
        except StopIteration as stop:
            result: T = stop.value
            return result

    async def drive_async(self, flow: Step[T]) -> T:
        """Run a flow without blocking the event loop."""
        try:
            posting = next(flow)
            while True:
                posted = await self.ledger.post_async(posting)
                await self._after_async(posted.entries)
                posting = flow.send(posted)
        except StopIteration as stop:
            result: T = stop.value
            return result

    def carry(self, connection: Any, posting: Posting) -> Any:
        """Post on the application's transaction; the commit gate sees to it that it ends in time."""
        carried = self.ledger.post_on(connection, posting)
        if hasattr(carried, "__await__"):
            return self._carry_async(carried, connection)
        return self._note(carried, connection)

    async def _carry_async(self, pending: Any, connection: Any) -> Posted:
        return self._note(await pending, connection)

    def _note(self, carried: Any, connection: Any) -> Posted:
        scope = scopes.current()
        if scope is not None:
            source = f"{type(connection).__module__.split('.')[0]}.{type(connection).__name__}"
            scope.carried.append(Carried(carried.posted.entries, carried.ended, source))
        posted: Posted = carried.posted
        return posted

    def _after(self, entries: Sequence[Entry]) -> None:
        delivered = [e for e in entries if e.kind is not Kind.HOLD and e.quantity]
        scope = scopes.current()
        if scope is not None:
            scope.committed.extend(e for e in entries if e.kind is not Kind.HOLD)
        elif delivered:
            self._delivery.deliver(delivered)

    async def _after_async(self, entries: Sequence[Entry]) -> None:
        scope = scopes.current()
        if scope is not None:
            scope.committed.extend(e for e in entries if e.kind is not Kind.HOLD)
            return
        delivered = [e for e in entries if e.kind is not Kind.HOLD and e.quantity]
        if delivered:
            await self._delivery.deliver_async(delivered)


def _name(what: str, value: Any) -> str:
    text = value if isinstance(value, str) else str(value) if type(value) is int else _text(value)
    if not text or len(text) > 255 or "\0" in text:
        raise ActionError(f"{what} {value!r} cannot be recorded; give 1 to 255 characters of text")
    return text


def _text(value: Any) -> str:
    """The text of ids that are not str or int (UUIDs and the like); '' for what cannot be an id."""
    known = type(value).__name__ in ("UUID", "ULID", "ObjectId") or isinstance(value, str | int)
    return str(value) if known and not isinstance(value, bool) else ""


def _canonical(attributes: Mapping[str, Any] | None) -> str:
    if not attributes:
        return ""
    for name, value in attributes.items():
        if not isinstance(value, str | int | bool) and value is not None:
            raise ActionError(
                f"attribute {name}={value!r} is a {type(value).__name__}; give text, an int, a bool or None"
            )
    return json.dumps(dict(attributes), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
