"""Writing entries on behalf of actions: one place that knows tenant, mode, ids, scope and delivery."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import msgspec

from tallystick.actions import scope as scopes
from tallystick.actions.scope import Carried
from tallystick.errors import ActionError, EntryRefusedError, LedgerError
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.model import Entry, Kind, Outcome, Posted, Posting
from tallystick.ledger.spool import Spool
from tallystick.meters import Catalogue, Meter, OnLedgerFailure
from tallystick.storage import Flow, Statement
from tallystick.values.failpoint import failpoint
from tallystick.values.identifiers import lane_of

T = TypeVar("T")
Step = Generator[Posting, Posted, T]
Progress = Sequence[tuple[int, bytes, str, int]]  # lane, hold, meter, steps


class Delivery(Protocol):
    """What happens right after a commit outside of a request (inside one, the commit gate does it)."""

    def deliver(self, entries: Sequence[Entry]) -> None:
        """Send what was committed, waiting at most the budget."""
        ...

    async def deliver_async(self, entries: Sequence[Entry]) -> None:
        """The awaitable `deliver`."""
        ...


class Findings(Protocol):
    """Where what a person should know is kept."""

    def __call__(self, code: str, subject: str, message: str) -> None:
        """Keep one finding."""
        ...


class Recorder:
    """Makes entries and posts them; flows are generators of postings, driven sync or async.

    An error of a posting is thrown into its flow, which may post once more before it lets it through.
    """

    def __init__(
        self,
        ledger: Ledger,
        catalogue: Catalogue,
        delivery: Delivery,
        find: Findings,
        *,
        tenant: str,
        mode: str,
        account: str,
        spool: Spool | None = None,
    ) -> None:
        self.ledger = ledger
        self.catalogue = catalogue
        self.find = find
        self.spool = spool
        self.background: set[asyncio.Task[None]] = set()
        self._delivery = delivery
        self._tenant = tenant
        self._mode = mode
        self._account = account

    def entry(
        self,
        kind: Kind,
        meter: Meter,
        customer: str,
        steps: int,
        *,
        key: str | None = None,
        refers: bytes | None = None,
        attributes: str = "",
        occurred_at: int | None = None,
    ) -> Entry:
        """A new entry with an id of its own; texts have passed `name_of` and `canonical`.

        ActionError when a unique meter is not told what is unique.
        """
        if meter.unique_of and f'"{meter.unique_of}":' not in attributes:
            raise ActionError(
                f"meter {meter.name!r} counts different values of {meter.unique_of!r}; "
                f"give attributes={{{meter.unique_of!r}: …}}"
            )
        return Entry(
            lane_of(self._tenant, self._mode, customer),
            self.ledger.ids.next(),
            kind,
            self._tenant,
            self._mode,
            self._account,
            customer,
            meter.name,
            steps,
            key,
            refers,
            attributes,
            occurred_at,
        )

    def drive(self, flow: Step[T]) -> T:
        """Run a flow, blocking; ActionError on an event loop, which must not wait for a disk."""
        _refuse_event_loop()
        try:
            posting = next(flow)
            while True:
                try:
                    posted = self._write(posting)
                except BaseException as error:
                    posting = flow.throw(error)
                    continue
                owed = self._keep(posting, posted)
                if owed:
                    self._delivery.deliver(owed)
                posting = flow.send(posted)
        except StopIteration as stop:
            result: T = stop.value
            return result

    async def drive_async(self, flow: Step[T]) -> T:
        """Run a flow without blocking the event loop.

        A posting is queued before the first wait, so that cancelling the task stops the waiting, not the
        posting.
        """
        try:
            posting = next(flow)
            while True:
                try:
                    posted = await self._write_async(posting)
                except BaseException as error:
                    posting = flow.throw(error)
                    continue
                owed = self._keep(posting, posted)
                if owed:
                    await self._delivery.deliver_async(owed)
                posting = flow.send(posted)
        except StopIteration as stop:
            result: T = stop.value
            return result

    def post(self, posting: Posting) -> Posted:
        """Post one piece, blocking; ActionError on an event loop."""
        _refuse_event_loop()
        posted = self._write(posting)
        owed = self._keep(posting, posted)
        if owed:
            self._delivery.deliver(owed)
        return posted

    async def post_async(self, posting: Posting) -> Posted:
        """The awaitable `post`."""
        posted = await self._write_async(posting)
        owed = self._keep(posting, posted)
        if owed:
            await self._delivery.deliver_async(owed)
        return posted

    def note_progress(self, steps: Progress) -> None:
        """Note how far an action has come; what cannot be noted is only known less well later."""
        with suppress(LedgerError):
            self.ledger.commit.run(errand=lambda: _noting(steps, self.ledger.clock.now()))

    async def note_progress_async(self, steps: Progress) -> None:
        """The awaitable `note_progress`."""
        with suppress(LedgerError):
            await self.ledger.commit.run_async(errand=lambda: _noting(steps, self.ledger.clock.now()))

    def post_many(self, postings: Sequence[Posting]) -> list[Posted]:
        """Post many pieces that share commits, blocking."""
        _refuse_event_loop()
        results, owed = self._post_many(postings)
        if owed:
            self._delivery.deliver(owed)
        return results

    async def post_many_async(self, postings: Sequence[Posting]) -> list[Posted]:
        """The awaitable `post_many`."""
        results, owed = await asyncio.to_thread(self._post_many, postings)
        if owed:
            await self._delivery.deliver_async(owed)
        return results

    def _post_many(self, postings: Sequence[Posting]) -> tuple[list[Posted], list[Entry]]:
        try:
            results = self.ledger.post_many(postings)
        except LedgerError as error:
            results = self._spool(postings, error)
        pairs = zip(postings, results, strict=True)
        return results, [entry for pair in pairs for entry in self._keep(*pair)]

    def _write(self, posting: Posting) -> Posted:
        try:
            return self.ledger.post(posting)
        except LedgerError as error:
            return self._spool([posting], error)[0]

    async def _write_async(self, posting: Posting) -> Posted:
        try:
            return await self.ledger.post_async(posting)
        except LedgerError as error:
            if self.spool is None:
                raise
            return (await asyncio.to_thread(self._spool, [posting], error))[0]

    def _spool(self, postings: Sequence[Posting], error: LedgerError) -> list[Posted]:
        """Keep postings whose meters all allow it; otherwise the action fails, with the ledger's error."""
        allowed = all(
            self.catalogue[entry.meter].on_ledger_failure is OnLedgerFailure.ALLOW_AND_SPOOL
            for posting in postings
            for entry in posting.entries
        )
        if self.spool is None or not allowed or isinstance(error, EntryRefusedError):
            raise error
        return self.spool.keep([_happened(posting, self.ledger.clock.now()) for posting in postings])

    def carry(self, connection: Any, posting: Posting) -> Any:
        """Post on the application's transaction; the commit gate sees to it that it ends in time."""
        carried = self.ledger.post_on(connection, posting)
        if hasattr(carried, "__await__"):
            return self._carry_async(carried, connection, posting)
        return self._note(carried, connection, posting)

    async def _carry_async(self, pending: Any, connection: Any, posting: Posting) -> Posted:
        return self._note(await pending, connection, posting)

    def _note(self, carried: Any, connection: Any, posting: Posting) -> Posted:
        scope = scopes.current()
        if scope is not None:
            source = f"{type(connection).__module__.split('.')[0]}.{type(connection).__name__}"
            scope.carried.append(Carried(carried.posted.entries, carried.ended, source))
        posted: Posted = carried.posted
        self._notice(posting, posted)
        return posted

    def _keep(self, posting: Posting, posted: Posted) -> list[Entry]:
        """Give the entries to the request's commit gate; those to deliver here where there is none."""
        if posted.spooled:
            return []
        failpoint("recorder.committed")
        if posted.conflicting or posted.resolved_before is not None:
            self._notice(posting, posted)
        usage = [entry for entry in posted.entries if entry.kind is not Kind.HOLD]
        scope = scopes.current()
        if scope is None or scope.started:
            return [entry for entry in usage if entry.quantity]
        scope.committed.extend(usage)
        return []

    def _notice(self, posting: Posting, posted: Posted) -> None:
        for index in posted.conflicting:
            first = posted.entries[index]
            ours = next(e for e in posting.entries if (e.meter, e.key) == (first.meter, first.key))
            self.find(
                "key_conflict",
                first.id,
                f"key {first.key!r} of customer {first.customer!r} stands for {first.quantity} steps of "
                f"{first.meter!r}; a repeat said {ours.quantity} steps or other attributes and was not counted",
            )
        if (before := posted.resolved_before) is not None and (posting.entries or posted.entries):
            told = posted.entries if before.outcome is Outcome.EXPIRED else posting.entries
            said = ", ".join(f"{entry.quantity} steps of {entry.meter!r}" for entry in told) or "nothing"
            became = "posted as the difference" if before.outcome is Outcome.EXPIRED else "not recorded"
            self.find(
                "late_settle",
                (*posting.entries, *posted.entries)[0].customer,
                f"a hold was {before.outcome.name.lower()} before its action ended; {became}: {said}",
            )


def _noting(steps: Progress, now: int) -> Flow[None]:
    if steps:
        yield Statement("note_progress", rows=[(*row, now) for row in steps])


def _happened(posting: Posting, now: int) -> Posting:
    """The posting with its time kept: the ledger will record it later than it happened."""
    replace = msgspec.structs.replace
    entries = (e if e.occurred_at is not None else replace(e, occurred_at=now) for e in posting.entries)
    return replace(posting, entries=tuple(entries))


def _refuse_event_loop() -> None:
    if asyncio._get_running_loop() is not None:
        raise ActionError(
            "this would block the event loop until the disk has the entry; use `async with tally.action(...)`, "
            "`await tally.aio.record(...)`, or `await tally.aio.record_many(...)`"
        )


def name_of(what: str, value: Any) -> str:
    """The text of a customer or key; ActionError for what cannot be one, such as None or ''."""
    text = value if isinstance(value, str) else str(value) if type(value) is int else _text(value)
    if not text or len(text) > 255 or not _storable(text):
        raise ActionError(f"{what} {value!r} cannot be recorded; give 1 to 255 characters of text")
    return text


def _storable(text: str) -> bool:
    """Whether every database takes the text: no NUL, no half of a surrogate pair."""
    return "\0" not in text and (text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text))


def _text(value: Any) -> str:
    """The text of ids that are not str or int (UUIDs and the like); '' for what cannot be an id."""
    known = type(value).__name__ in ("UUID", "ULID", "ObjectId") or isinstance(value, int)
    return str(value) if known and not isinstance(value, bool) else ""


def canonical(attributes: Mapping[str, Any] | None) -> str:
    """The one text of attributes ('' for none); ActionError for values that have no exact one."""
    if not attributes:
        return ""
    for name, value in attributes.items():
        if not isinstance(value, str | int | bool) and value is not None:
            raise ActionError(
                f"attribute {name}={value!r} is a {type(value).__name__}; give text, an int, a bool or None"
            )
        if not _storable(name) or (isinstance(value, str) and not _storable(value)):
            raise ActionError(
                f"attribute {name!r}={value!r} has characters that are not text; leave them out"
            )
    return json.dumps(dict(attributes), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
