"""The wire between a process and its provider: where a call is refused, lost on the way, or answered by a stranger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

import stripe

from tallystick.providers import transport
from tests.simulation.witness import Witness
from tests.simulation.world import SECOND, World

KEPT_ALIVE = 60 * SECOND  # how long a server keeps an idle connection
TIMEOUT = 10 * SECOND


@dataclass(frozen=True)
class Sent:
    """A request as its bytes say it; names of headers in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True)
class Reply:
    """What goes back over the wire."""

    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Call(Protocol):
    """A request under way at a provider; `reply` is there when nothing has to be done for it."""

    reply: Reply | None


class Faults(Protocol):
    """What goes wrong when."""

    def at(self, now: int) -> str:
        """The fault of a call at an instant ('' for none)."""
        ...


class Account(Protocol):
    """A provider at the other end; instants in microseconds."""

    faults: Faults
    violations: list[str]
    strict_turns: bool  # two calls at once for a customer and meter are our fault

    def names(self, sent: Sent) -> list[str]:
        """The identifiers of the usage that a request tells."""
        ...

    def arrive(self, sent: Sent, now: int, *, fault: str, checked_at: int) -> Any:
        """A request has arrived, whose sender last asked at `checked_at` whether it may send."""
        ...

    def finish(self, call: Any, now: int) -> Reply:
        """Do what was asked, whether or not anybody still waits for the answer."""
        ...


class Line:
    """The connections of one process to one provider."""

    def __init__(self, world: World, account: Account, witness: Witness) -> None:
        self._world = world
        self._account = account
        self._witness = witness

    def carry(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: bytes | str | None,
        still_ours: Callable[[], bool] | None,
    ) -> Reply:
        """One call; raises as the real transport does."""
        world = self._world
        world.boundary("connect")
        fault = self._account.faults.at(world.now)
        if fault == "down":
            raise transport.NotSent("connection refused")
        if still_ours is not None and not still_ours():
            raise transport.NotSent("the right to send expired before the bytes left")
        checked_at = world.now
        world.boundary("bytes leave")
        if world.now - checked_at > KEPT_ALIVE:
            raise ConnectionResetError("the server had closed the connection")
        if fault == "lost_request":
            world.sleep(TIMEOUT)
            raise TimeoutError("timed out")
        parts = urlsplit(url)
        text = body.decode() if isinstance(body, bytes) else body or ""
        given = {name.lower(): value for name, value in (headers or {}).items()}
        reply = self._answered(Sent(method.upper(), parts.path, parts.query, given, text), fault, checked_at)
        world.boundary("answer")
        if fault == "lost_reply":
            world.sleep(TIMEOUT)
            raise TimeoutError("timed out")
        return reply

    def _answered(self, sent: Sent, fault: str, checked_at: int) -> Reply:
        world, account = self._world, self._account
        if account.strict_turns and world.now - checked_at <= TIMEOUT:
            complaints = [self._witness.complaint(name, world.now) for name in account.names(sent)]
            account.violations += [complaint for complaint in complaints if complaint]
        call = account.arrive(sent, world.now, fault=fault, checked_at=checked_at)
        try:
            if call.reply is None:
                world.crash_point("at work")
                world.sleep(min(world.pause(), 9 * SECOND))
        finally:  # the provider goes on, whatever becomes of us
            reply = account.finish(call, world.now)
        return reply


class StripeWire(stripe.HTTPClient):
    """The transport under the official client."""

    name = "simulated"

    def __init__(self, line: Line, world: World) -> None:
        super().__init__()
        self._line = line
        self._world = world
        self._asked: dict[Any, Callable[[], bool] | None] = {}

    def allow(self, still_ours: Callable[[], bool] | None) -> None:
        """What this thread's next request asks right before its bytes leave."""
        self._asked[self._world.current] = still_ours

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        """One call of the client."""
        reply = self._line.carry(method, url, headers, post_data, self._asked.get(self._world.current))
        return reply.body, reply.status, reply.headers

    def close(self) -> None:
        """Nothing is kept."""


class PlainWire:
    """The transport under the clients of our own, in the place of `transport.Connections`."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | str | None = None,
        *,
        still_ours: Callable[[], bool] | None = None,
    ) -> transport.Reply:
        """One call."""
        reply = self._line.carry(method, url, headers, body, still_ours)
        named = {name.lower(): value for name, value in reply.headers.items()}
        return transport.Reply(reply.status, named, reply.body.encode())
