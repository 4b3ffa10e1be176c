"""One client's connection: HTTP/1.1 by hand, because faults happen at the socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import httptools

from tallystick.sandbox.api import Reply, Request
from tallystick.sandbox.clock import Clock

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

    def __init__(self, respond: Callable[[Connection, Request], None], clock: Clock) -> None:
        self._respond = respond
        self._clock = clock
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
        request = Request(method, self._target.decode("latin-1"), self._headers, self._body)
        self._start()
        self._respond(self, request)

    def send(self, reply: Reply, share: float = 1) -> None:
        """Write an answer, or only the first part of it and hang up."""
        if self.transport is None or self.transport.is_closing():
            return
        lines = [f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Error')}"]
        date = formatdate(self._clock.now(), usegmt=True)
        headers = {"date": date, "content-type": "application/json", **reply.headers}
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"content-length: {len(reply.body)}", "", ""]
        data = "\r\n".join(lines).encode("latin-1") + reply.body
        if share < 1:
            self.transport.write(data[: int(len(data) * share)])
            self.transport.close()
        else:
            self.transport.write(data)

    @property
    def is_open(self) -> bool:
        """Whether there is still somebody at the other end."""
        return self.transport is not None and not self.transport.is_closing()

    def drop(self) -> None:
        """End the connection without another byte."""
        if self.transport is not None:
            self.transport.abort()
