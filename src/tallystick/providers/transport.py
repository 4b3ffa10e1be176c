"""HTTP/1.1 on the standard library: kept-alive connections, and knowing whether bytes left.

Whether a request was "never sent" or had "no answer" decides if an instruction may be sent again for
ever, or only inside the provider's duplicate window; the usual clients cannot tell.
"""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tallystick.values.failpoint import failpoint
from tallystick.values.instant import SECOND, from_datetime


class NotSent(Exception):
    """The request certainly did not reach the server."""


class Reply(msgspec.Struct, frozen=True):
    """An answer: status, headers with lower-case names, the raw body."""

    status: int
    headers: dict[str, str]
    body: bytes


def second_of(headers: Mapping[str, str]) -> int | None:
    """What the clock of who answered shows (Date, RFC 9110), in seconds since 1970 UTC; None: nothing."""
    try:
        return from_datetime(parsedate_to_datetime(headers.get("date", ""))) // SECOND
    except ValueError:
        return None


class Connections:
    """One kept-alive connection per thread and host."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout = timeout_seconds
        self._context = ssl.create_default_context()
        self._local = threading.local()

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | str | None = None,
        *,
        still_ours: Callable[[], bool] | None = None,
    ) -> Reply:
        """One request; NotSent when nothing left, any other exception when the outcome is unknown.

        `still_ours` is asked right before the bytes leave.
        """
        parts = urlsplit(url)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection = self._connected(parts.scheme, parts.netloc)
        if still_ours is not None and not still_ours():
            raise NotSent("the right to send expired before the bytes left")
        failpoint("transport.connected")
        try:
            connection.request(method.upper(), path, body=body, headers=dict(headers))
            failpoint("transport.sent")
            response = connection.getresponse()
            data = response.read()
            failpoint("transport.answered")
        except BaseException:
            self._drop(parts.scheme, parts.netloc)
            raise
        if response.will_close:
            self._drop(parts.scheme, parts.netloc)
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, data)

    def _connected(self, scheme: str, host: str) -> http.client.HTTPConnection:
        pool = self._pool()
        connection = pool.get((scheme, host))
        if connection is not None and _is_stale(connection):
            self._drop(scheme, host)
            connection = None
        if connection is None:
            if scheme == "https":
                connection = http.client.HTTPSConnection(host, timeout=self._timeout, context=self._context)
            else:
                connection = http.client.HTTPConnection(host, timeout=self._timeout)
            try:
                connection.connect()
            except OSError as error:
                raise NotSent(f"cannot connect to {host}: {error}") from error
            pool[scheme, host] = connection
        return connection

    def _pool(self) -> dict[tuple[str, str], http.client.HTTPConnection]:
        pool: dict[tuple[str, str], http.client.HTTPConnection] | None = getattr(self._local, "pool", None)
        if pool is None:
            pool = self._local.pool = {}
        return pool

    def _drop(self, scheme: str, host: str) -> None:
        connection = self._pool().pop((scheme, host), None)
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Close this thread's connections."""
        for connection in self._pool().values():
            connection.close()
        self._pool().clear()


def _is_stale(connection: http.client.HTTPConnection) -> bool:
    """Whether the server has closed a kept-alive connection, found out before anything is written."""
    sock = connection.sock
    if sock is None:
        return True
    sock.setblocking(False)
    try:
        return _peek(sock) is not None
    finally:
        sock.settimeout(connection.timeout)


def _peek(sock: Any) -> bytes | None:
    """What waits to be read: None for nothing, b'' when the other side has closed."""
    try:
        if isinstance(sock, ssl.SSLSocket):
            return bytes(sock.recv(1)) if sock.pending() else _peek_raw(sock)
        return bytes(sock.recv(1))
    except (BlockingIOError, ssl.SSLWantReadError):
        return None
    except OSError:
        return b""


def _peek_raw(sock: ssl.SSLSocket) -> bytes | None:
    try:
        return bytes(sock.recv(1))
    except (BlockingIOError, ssl.SSLWantReadError):
        return None
