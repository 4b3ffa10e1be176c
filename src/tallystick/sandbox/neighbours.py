"""Stand-ins of other billing services beside Stripe's: what the server asks of them, and what they share."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote

import msgspec

from tallystick.sandbox.api import Reply, encode
from tallystick.sandbox.world import Object

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Neighbour(Protocol):
    """One service under a path of its own, such as /openmeter."""

    def handle(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """Answer one request."""
        ...

    def limited(self) -> Reply:
        """The answer to a client that asks too often."""
        ...

    def failed(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """The answer when something breaks inside."""
        ...

    def command(self, body: Object) -> Any:
        """A command of the control plane."""
        ...


class Denied(Exception):
    """An answer that is no success, raised where it is found out."""

    def __init__(self, status: int, about: Any) -> None:
        super().__init__(status)
        self.status = status
        self.about = about


class Request(msgspec.Struct):
    """One request, taken apart; `path` without the service's own beginning."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    def one(self, name: str, default: str = "") -> str:
        """A query parameter."""
        return self.query.get(name, [default])[0]


Route = tuple[str, str, Callable[[Request, str], tuple[int, Any]]]  # method, path with one * for a name


def answer(request: Request, routes: Sequence[Route], no_route: Any) -> Reply:
    """What the matching route says; its mistakes become a 500 that names them."""
    try:
        for method, pattern, handler in routes:
            before, star, after = pattern.partition("*")
            path = request.path
            fits = path == pattern if not star else path.startswith(before) and path.endswith(after)
            name = path[len(before) : len(path) - len(after)] if star else ""
            if request.method == method and fits and "/" not in name and bool(name) == bool(star):
                status, found = handler(request, unquote(name))
                return Reply(status, b"" if status == 204 else encode(found))
        raise Denied(404, no_route)
    except Denied as denied:
        return Reply(denied.status, encode(denied.about))
    except Exception as error:  # a mistake of the sandbox: say so instead of hanging up
        traceback.print_exc()
        return Reply(500, encode({"sandbox": f"{type(error).__name__}: {error}"}))


def taken_apart(method: str, target: str, headers: dict[str, str], body: bytes) -> Request:
    """A request from its raw parts."""
    path, _, query = target.partition("?")
    return Request(method, path, parse_qs(query, keep_blank_values=True), headers, body)


def exact_json(body: bytes) -> Any:
    """A JSON document with numbers as they are written."""
    return json.loads(body, parse_float=Decimal)


def iso(seconds: int, *, milliseconds: bool = False) -> str:
    """An instant as RFC 3339 in UTC."""
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.000Z" if milliseconds else f"{text}Z"


def seconds_of(text: str) -> int:
    """The whole second of an RFC 3339 text; ValueError when it is none."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or "T" not in text.upper():
        raise ValueError(f"{text!r} is not RFC 3339")
    return (moment - _EPOCH) // timedelta(seconds=1)


def bearer(headers: dict[str, str]) -> str:
    """The key a request brings ('' without one)."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key if scheme == "Bearer" else ""
