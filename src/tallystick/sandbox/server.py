"""The HTTP/1.1 server: a protocol of its own, because faults happen at the socket.

Two listeners: Stripe's API, which an outage really closes, and the control plane, which stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httptools
import msgspec

from tallystick.sandbox.api import Api, Reply
from tallystick.sandbox.control import Control
from tallystick.sandbox.faults import Dice, Fate, Faults
from tallystick.sandbox.lago import Lago
from tallystick.sandbox.neighbours import Neighbour
from tallystick.sandbox.openmeter import OpenMeter

_REASONS = {
    200: "OK",
    201: "Created",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    429: "Too Many Requests",
}


class Connection(asyncio.Protocol):
    """One client connection; requests are answered in order."""

    def __init__(self, respond: Callable[[Connection, str, str, dict[str, str], bytes], None]) -> None:
        self._respond = respond
        self._parser: Any = httptools.HttpRequestParser(self)
        self.transport: asyncio.Transport | None = None
        self._start()

    def _start(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Bytes arrived; anything that is not HTTP ends the connection."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.drop()

    def on_url(self, url: bytes) -> None:
        """The parser read (a part of) the target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser read a header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """The parser read (a part of) the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """A whole request is there."""
        method = self._parser.get_method().decode()
        target, headers, body = self._target.decode("latin-1"), self._headers, self._body
        self._start()
        self._respond(self, method, target, headers, body)

    def send(self, reply: Reply, share: float = 1) -> None:
        """Write an answer, or only the first part of it and hang up."""
        if self.transport is None or self.transport.is_closing():
            return
        lines = [f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Error')}"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        lines += ["content-type: application/json", f"content-length: {len(reply.body)}", "", ""]
        data = "\r\n".join(lines).encode("latin-1") + reply.body
        if share < 1:
            self.transport.write(data[: int(len(data) * share)])
            self.transport.close()
        else:
            self.transport.write(data)

    def drop(self) -> None:
        """End the connection without another byte."""
        if self.transport is not None:
            self.transport.abort()


class Server:
    """The sandbox in one process, on one event loop."""

    def __init__(self, api: Api, *, host: str = "127.0.0.1", faults: Faults | None = None) -> None:
        self.api = api
        self.neighbours: dict[str, Neighbour] = {"openmeter": OpenMeter(api.clock), "lago": Lago(api.clock)}
        self.dice = Dice(faults or Faults())
        self.requests = 0
        self._host = host
        self._port = 0
        self._listener: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._reopening: asyncio.TimerHandle | None = None

    async def start(self, port: int, control_port: int) -> tuple[str, str]:
        """Listen; the URLs of API and control plane."""
        loop = asyncio.get_running_loop()
        control = Control(self)
        plane = await loop.create_server(lambda: Connection(control.respond), self._host, control_port)
        await self._open(port)
        return (
            f"http://{self._host}:{self._port}",
            f"http://{self._host}:{plane.sockets[0].getsockname()[1]}",
        )

    async def _open(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._connected, self._host, port, reuse_address=True)
        self._port = self._listener.sockets[0].getsockname()[1]

    def _connected(self) -> Connection:
        connection = Connection(self.respond)
        self._connections.add(connection)
        return connection

    def begin_outage(self, seconds: float | None) -> None:
        """Close the listener and every connection; open again after `seconds`, or when told (None)."""
        if self._reopening is not None:
            self._reopening.cancel()
            self._reopening = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in self._connections:
            connection.drop()
        self._connections.clear()
        if seconds is not None:
            self._reopening = asyncio.get_running_loop().call_later(seconds, self.end_outage)

    def end_outage(self) -> None:
        """Listen again on the same port."""
        if self._reopening is not None:
            self._reopening.cancel()
            self._reopening = None
        if self._listener is None:
            self._task = asyncio.get_running_loop().create_task(self._open(self._port))

    def respond(
        self, connection: Connection, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> None:
        """Answer one request of Stripe's API, faults included."""
        self.requests += 1
        delay = self.dice.faults.latency_ms
        if delay:
            loop = asyncio.get_running_loop()
            loop.call_later(delay / 1000, self._respond_now, connection, method, target, headers, body)
        else:
            self._respond_now(connection, method, target, headers, body)

    def _respond_now(
        self, connection: Connection, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> None:
        neighbour = self.neighbours.get(target[1:].partition("/")[0])
        if neighbour is not None:
            self._respond_beside(neighbour, connection, method, target, headers, body)
            return
        fate = self.dice.draw()
        if fate is Fate.RATE_LIMIT:
            error = {
                "error": {"type": "rate_limit_error", "message": "Too many requests.", "code": "rate_limit"}
            }
            headers = {
                "request-id": f"req_limited{self.requests:08d}",
                "stripe-rate-limited-reason": "global-rate",
            }
            connection.send(Reply(429, msgspec.json.encode(error), headers))
            return
        reply = self.api.handle(method, target, headers, body, fail=fate is Fate.FAIL)
        if fate is Fate.LOSE_REPLY:
            connection.drop()
        else:
            connection.send(reply, 0.5 if fate is Fate.HALF_ANSWER else 1)

    def _respond_beside(
        self,
        neighbour: Neighbour,
        connection: Connection,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes,
    ) -> None:
        """Answer one request of another service, whose name the path begins with."""
        fate = self.dice.draw()
        rest = "/" + target[1:].partition("/")[2]
        if fate is Fate.RATE_LIMIT:
            reply = neighbour.limited()
        elif fate is Fate.FAIL:
            reply = neighbour.failed(method, rest, headers, body)
        else:
            reply = neighbour.handle(method, rest, headers, body)
        if fate is Fate.LOSE_REPLY:
            connection.drop()
        else:
            connection.send(reply, 0.5 if fate is Fate.HALF_ANSWER else 1)
