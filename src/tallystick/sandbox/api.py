"""From a request to an answer: authentication, modes, idempotency, what is in flight."""

from __future__ import annotations

import hashlib
import re
import traceback

import msgspec

from tallystick.sandbox.clock import Clock
from tallystick.sandbox.forms import encode, parse_form, parse_json
from tallystick.sandbox.refusal import Refusal
from tallystick.sandbox.routes import find
from tallystick.sandbox.switches import Switches
from tallystick.sandbox.usage import record, stream
from tallystick.sandbox.world import Call, World

__all__ = ["Api", "Reply", "Request", "encode"]

DAY = 86400
_NO_CALL = Call()
_KNOWN_KEYS = 1000
LONGEST_KEY = 255
_V2_CODES = {401: "unauthorized", 404: "not_found", 500: "internal_error", 503: "unavailable"}
_STREAM = "/v2/billing/meter_event_stream"
_CUSTOMER = re.compile(rb"cus_\w+")
_EVENT_NAME = re.compile(rb'event_name(?:=|"\s*:\s*")([^&"]+)')


class Request(msgspec.Struct):
    """One request as it came in; `path` is the target without its query.

    `key` is the idempotency key, where the call has one: v1 POST; v2 POST and DELETE.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    path: str = ""
    key: str | None = None

    def __post_init__(self) -> None:
        self.path = self.target.partition("?")[0]
        if self.method == "POST" or (self.method == "DELETE" and self.target.startswith("/v2/")):
            self.key = self.headers.get("idempotency-key")

    @property
    def secret(self) -> str:
        """The key that it came with."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")


class Reply(msgspec.Struct):
    """An answer on its way out."""

    status: int
    body: bytes
    headers: dict[str, str] = {}


class Stored(msgspec.Struct):
    """What was answered under an idempotency key."""

    print: bytes
    at: int
    reply: Reply


class Mishap(msgspec.Struct, frozen=True):
    """What a fault makes of the work itself."""

    fail: bool = False  # a 500 instead of the work
    fail_done: bool = False  # a 500 after the work
    reject_as: str = ""
    stale_seconds: int = 0


class Api:
    """One account: a world per mode, and what was answered under each idempotency key."""

    def __init__(self, clock: Clock, switches: Switches | None = None) -> None:
        self.clock = clock
        self.worlds = {
            mode: World(mode, clock, (switches or Switches()).changed()) for mode in ("test", "live")
        }
        self._stored: dict[tuple[str, str], Stored] = {}
        self._known: dict[str, tuple[World, str]] = {}
        self._flights: set[tuple[str, str]] = set()
        self._requests = 0
        self.meter_events = 0  # calls of that route, accepted or not

    def enter(self, request: Request) -> list[tuple[str, str]] | Reply:
        """Mark a request as in flight; a Reply when its key, or its customer and meter, already is."""
        marks: list[tuple[str, str]] = []
        world, key = self.world_of(request.headers), request.key
        if key is not None:
            marks.append((f"key of {world.mode}", key))
            if marks[0] in self._flights:
                return refused(key_in_use())
        if not world.switches.one_in_flight:
            self._flights.update(marks)
            return marks
        customer, name = _CUSTOMER.search(request.body), _EVENT_NAME.search(request.body)
        if customer and name:
            marks.append((customer[0].decode(), name[1].decode()))
            if marks[-1] in self._flights:
                v2 = request.target.startswith("/v2/")
                return refused(too_many_at_once() if v2 else lock_timeout())
        self._flights.update(marks)
        return marks

    def world_of(self, headers: dict[str, str]) -> World:
        """The world that a request's key opens; the test world for keys that open none."""
        try:
            return self._authenticate(headers)[0]
        except Refusal:
            return self.worlds["test"]

    def leave(self, marks: list[tuple[str, str]]) -> None:
        """The request is answered."""
        self._flights.difference_update(marks)

    def handle(self, request: Request, mishap: Mishap | None = None) -> Reply:
        """Answer one request."""
        self._requests += 1
        number = f"req_sandbox{self._requests:08d}"
        try:
            reply = self._keyed(request, number, mishap or Mishap())
        except Refusal as refusal:
            reply = refused(refusal, v2=request.target.startswith("/v2/"))
        except Exception as error:  # a mistake of the sandbox: say so instead of hanging up
            traceback.print_exc()
            mistake = Refusal(f"sandbox: {type(error).__name__}: {error}", status=500, kind="api_error")
            reply = Reply(500, encode(mistake.body))
        reply.headers.setdefault("request-id", number)
        return reply

    def _keyed(self, request: Request, number: str, mishap: Mishap) -> Reply:
        world, token = self._authenticate(request.headers)
        key = request.key
        if key is not None and len(key) > LONGEST_KEY:
            raise Refusal(
                f"An idempotency key has at most {LONGEST_KEY} characters.", kind="idempotency_error"
            )
        world.call = Call(
            number,
            key,
            request.headers.get("stripe-version", ""),
            mishap.reject_as,
            mishap.stale_seconds,
        )
        digest = hashlib.sha256(request.path.encode() + b"\0" + request.body).digest()
        before = self._replayed(world, request, key, digest)
        if before is not None:
            return before
        try:
            reply = failed(request) if mishap.fail else self._answer(world, request, token)
        finally:
            world.call = _NO_CALL
        if mishap.fail_done:
            reply = failed(request)
        if key is not None:
            self._stored[world.mode, key] = Stored(digest, self.clock.now(), reply)
        return reply

    def _authenticate(self, headers: dict[str, str]) -> tuple[World, str]:
        given = headers.get("authorization", "")
        known = self._known.get(given)
        if known is not None:
            return known
        scheme, _, key = given.partition(" ")
        for mode, world in self.worlds.items():
            starts = (f"sk_{mode}_", f"rk_{mode}_", f"tok_{mode}_")
            if scheme == "Bearer" and key.startswith(starts) and len(key) >= 12:
                if len(self._known) < _KNOWN_KEYS:
                    self._known[given] = (world, key)
                return world, key
        raise unauthorized(key)

    def _replayed(self, world: World, request: Request, key: str | None, digest: bytes) -> Reply | None:
        """v1 repeats any first answer for 24 hours; v2 repeats a success for 30 days and runs a failure again."""
        stored = self._stored.get((world.mode, key)) if key is not None else None
        if stored is None:
            return None
        v2 = request.target.startswith("/v2/")
        if self.clock.now() - stored.at >= (30 if v2 else 1) * DAY:
            return None
        if stored.print != digest:
            raise Refusal(
                "Keys for idempotent requests can only be used with the same parameters they were first used with.",
                kind="idempotency_error",
                code="idempotency_error" if v2 else "",
            )
        if v2:
            return Reply(stored.reply.status, stored.reply.body) if stored.reply.status < 300 else None
        headers = {**stored.reply.headers, "idempotent-replayed": "true"}
        return Reply(stored.reply.status, stored.reply.body, headers)

    def _answer(self, world: World, request: Request, token: str) -> Reply:
        path, _, query = request.target.partition("?")
        if path.startswith("/v2/"):
            return self._answer_v2(world, request, token)
        if token.startswith("tok_"):
            raise unauthorized(token)
        if path == "/v1/billing/meter_events" and request.method == "POST":  # the one hot route
            self.meter_events += 1
            recorded = record.record(world, parse_form(request.body.decode()))
            return Reply(200, msgspec.json.encode(recorded))  # holds text and whole numbers only
        handler, ids = find(request.method, path)
        reads = request.method in ("GET", "DELETE") and query
        return Reply(200, encode(handler(world, parse_form(query if reads else request.body.decode()), ids)))

    def _answer_v2(self, world: World, request: Request, token: str) -> Reply:
        path, _, query = request.target.partition("?")
        if "stripe-version" not in request.headers:
            raise Refusal("The Stripe-Version header is required for v2.", code="invalid_fields")
        if request.body and not request.headers.get("content-type", "").startswith("application/json"):
            raise Refusal("v2 takes application/json.", code="invalid_fields")
        params = parse_json(request.body) if request.body else parse_form(query)
        if path == _STREAM and request.method == "POST":
            self.meter_events += 1
            return Reply(200, encode(stream.send(world, params, token)))
        if token.startswith("tok_"):
            raise unauthorized(token)
        self.meter_events += path == "/v2/billing/meter_events"
        handler, ids = find(request.method, path)
        return Reply(200, encode(handler(world, params, ids)))


def refused(refusal: Refusal, *, v2: bool = False) -> Reply:
    """A refusal as a reply; in v2 every error has a code."""
    if v2 and refusal.code in ("", "resource_missing"):
        refusal.code = _V2_CODES.get(refusal.status, "invalid_fields")
    return Reply(refusal.status, encode(refusal.body), dict(refusal.headers))


def failed(request: Request) -> Reply:
    """500."""
    refusal = Refusal("An unknown error occurred.", status=500, kind="api_error", retry=None)
    return refused(refusal, v2=request.target.startswith("/v2/"))


def unauthorized(key: str) -> Refusal:
    """401: no such key."""
    return Refusal(f"Invalid API Key provided: {key[:8]}***", status=401)


def key_in_use() -> Refusal:
    """409: a request with the same key is under way."""
    words = "There is currently another in-progress request using this Idempotent Key."
    return Refusal(words, status=409, kind="idempotency_error", code="idempotency_key_in_use", retry=None)


def lock_timeout() -> Refusal:
    """429 that asks for a retry: the object is being used by another request."""
    words = "This object cannot be accessed right now because another API request is currently accessing it."
    return Refusal(words, status=429, code="lock_timeout", retry=True)


def too_many_at_once() -> Refusal:
    """v2's name for the same."""
    words = "Too many concurrent requests for this meter and customer."
    return Refusal(words, status=429, code="too_many_concurrent_requests", retry=True)


def rate_limited(number: int, v2: bool) -> Reply:
    """429: too many requests; the client does not repeat it by itself."""
    kind = "rate_limit" if v2 else "invalid_request_error"  # v1 has no type of its own for it
    body = Refusal("Too many requests.", kind=kind, code="rate_limit").body
    headers = {"request-id": f"req_limited{number:08d}", "stripe-rate-limited-reason": "global-rate"}
    return Reply(429, encode(body), headers)


def unavailable(request: Request) -> Reply:
    """503, nothing done."""
    refusal = Refusal("Stripe is temporarily unavailable.", status=503, kind="api_error", retry=None)
    return refused(refusal, v2=request.target.startswith("/v2/"))


def by_stranger(status: int) -> Reply:
    """What a proxy or gateway in the middle answers in Stripe's place."""
    return Reply(
        status, b"<html><body>It works, or it does not.</body></html>", {"content-type": "text/html"}
    )
