"""The commit gate for any ASGI application: no response starts before its entries are durable.

It wraps `send`. At `http.response.start` every transaction that carries an entry of this request must
have ended; then what was committed is sent to the provider within the inline budget.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from tallystick.actions import scope as scopes
from tallystick.actions.declaration import declared
from tallystick.actions.scope import Carried, Scope
from tallystick.app import Tally
from tallystick.ledger.model import Entry, Kind
from tallystick.values.failpoint import failpoint

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

log = logging.getLogger("tallystick")


class CommitGate:
    """ASGI middleware; put it around the application, or let `install` do it.

    `on_first_request` runs before the first request where no lifespan ran before it, again while it
    fails; by default it starts the relay.
    """

    def __init__(self, app: App, tally: Tally, on_first_request: Callable[[], None] | None = None) -> None:
        self.app = app
        self._tally = tally
        self._on_first_request: Callable[[], None] | None = on_first_request or tally.start

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self._on_first_request is not None:
            self._on_first_request()
            self._on_first_request = None
        request = Scope()
        gated = _GatedSend(self._tally, scope, request, send)
        token = scopes.enter(request)
        try:
            await self.app(scope, receive, gated)
        finally:
            scopes.leave(token)
            if not request.started:  # an error that is answered further out
                gated.hurry(request.committed)


class _GatedSend:
    """`send` of one request: waits for the commits before the first byte."""

    __slots__ = ("_flowing", "_refused", "_request", "_scope", "_send", "_tally")

    def __init__(self, tally: Tally, scope: Message, request: Scope, send: Send) -> None:
        self._tally = tally
        self._scope = scope
        self._request = request
        self._send = send
        self._refused = False
        self._flowing = False

    def __call__(self, message: Message) -> Awaitable[None]:
        if self._flowing and message.get("more_body"):
            return self._send(message)  # a part of a stream under way: nothing left to wait for
        return self._gate(message)

    async def _gate(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            failpoint("gate.starting")
            refusal = await self._pass(message["status"])
            self._request.started = True
            failpoint("gate.passed")
            if refusal:
                self._refused = True
                await self._refuse(refusal)
        if not self._refused:
            await self._send(message)
            self._flowing = True
            failpoint("gate.sent")

    async def _pass(self, status: int) -> str:
        """Wait for commits and the inline attempt; why the response must not go out ('' when it may)."""
        request = self._request
        if request.pending:
            return (
                "a record was never awaited, or not to its end, so the answer would go out without its usage; "
                "write `await tally.aio.record(...)`"
            )
        entries = request.committed
        if request.carried:
            found = await self._carried_entries(request.carried)
            if isinstance(found, str):
                return found
            entries = entries + found
        if status < 400 and not request.recorded:
            self._note_unrecorded()
        if entries:
            failpoint("gate.committed")
            await self._deliver(entries)
        return ""

    async def _carried_entries(self, carried: list[Carried]) -> list[Entry] | str:
        """The entries that the application's transactions have committed, or why the response must wait.

        An entry whose transaction was rolled back is gone with the application's rows.
        """
        open_before = [] if self._tally.lenient_gate else [one for one in carried if not one.ended()]
        asked = [(entry.lane, entry.entry) for one in carried for entry in one.entries]
        committed = await self._tally.ledger.committed_async(asked)
        for one in open_before:
            if any(entry.entry not in committed for entry in one.entries):
                return (
                    f"usage was recorded on a transaction ({one.source}) that is still open when the response "
                    "starts, so the answer would go out before the usage is durable; commit before returning, or use "
                    'Depends(..., scope="function") for the dependency that yields it'
                )
        return [entry for one in carried for entry in one.entries if entry.entry in committed]

    async def _deliver(self, entries: list[Entry]) -> None:
        courier = self._tally.courier
        owed = _owed(entries) if courier is not None else []
        if courier is not None and owed:
            budget = self._tally.settings.budget_ms / 1000
            await courier.expedite(owed, budget_seconds=budget).wait_async(budget)

    def hurry(self, entries: list[Entry]) -> None:
        """Send without waiting."""
        courier, owed = self._tally.courier, _owed(entries)
        if courier is not None and owed:
            courier.expedite(owed, budget_seconds=self._tally.settings.budget_ms / 1000)

    def _note_unrecorded(self) -> None:
        endpoint = self._scope.get("endpoint")
        mark = declared(endpoint) if endpoint is not None else None
        if mark is not None:
            subject = f"{self._scope['method']} {self._scope['path']}"
            self._tally.find(
                "unrecorded_success",
                subject,
                f"{subject} is declared to record {', '.join(mark.meters)}, answered with success and recorded nothing",
            )

    async def _refuse(self, why: str) -> None:
        log.error("%s %s: %s", self._scope["method"], self._scope["path"], why)
        body = msgspec.json.encode({"detail": f"tallystick: {why}"})
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await self._send({"type": "http.response.start", "status": 500, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def _owed(entries: list[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.kind is not Kind.HOLD and entry.quantity]
