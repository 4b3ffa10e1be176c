"""The server: what becomes of a request, faults included, and what happens by itself.

Two listeners: Stripe's API, which an outage really closes, and the control plane, which stays.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable

from tallystick.sandbox.api import (
    Api,
    Mishap,
    Reply,
    Request,
    by_stranger,
    encode,
    key_in_use,
    lock_timeout,
    rate_limited,
    refused,
    unauthorized,
    unavailable,
)
from tallystick.sandbox.connection import Connection
from tallystick.sandbox.control import Control
from tallystick.sandbox.faults import NO_FAULT, Asked, Dice, Fate, Faults, Rule
from tallystick.sandbox.lago import Lago
from tallystick.sandbox.neighbours import Neighbour
from tallystick.sandbox.notices.webhooks import Webhooks
from tallystick.sandbox.openmeter import OpenMeter
from tallystick.sandbox.passage import advance_test_clocks
from tallystick.sandbox.refusal import Refusal
from tallystick.sandbox.settlement import settle

_TICK_SECONDS = 0.05  # how often it looks for what is due by itself
_CONNECTIONS_BEFORE_A_LOOK = 256  # those that are over are forgotten then

Marks = list[tuple[str, str]]


class Server:
    """The sandbox in one process, on one event loop."""

    def __init__(self, api: Api, *, host: str = "127.0.0.1", faults: Faults | None = None) -> None:
        self.api = api
        self.neighbours: dict[str, Neighbour] = {"openmeter": OpenMeter(api.clock), "lago": Lago(api.clock)}
        self.dice = Dice(faults or Faults())
        self.webhooks = Webhooks(api.worlds.values(), self.dice.faults.seed)
        self.requests = 0
        self._host = host
        self._port = 0
        self._listener: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._reopening: asyncio.TimerHandle | None = None
        self.journal: deque[tuple[Request, Fate]] = deque(maxlen=1000)
        self._second = 0
        self._calls: Counter[str] = Counter()  # of this second, by mode

    async def start(self, port: int, control_port: int) -> tuple[str, str]:
        """Listen; the URLs of API and control plane."""
        loop = asyncio.get_running_loop()
        control = Control(self)
        plane = await loop.create_server(
            lambda: Connection(control.respond, self.api.clock), self._host, control_port
        )
        await self._open(port)
        self._ticking = loop.create_task(self._tick())
        return (
            f"http://{self._host}:{self._port}",
            f"http://{self._host}:{plane.sockets[0].getsockname()[1]}",
        )

    async def close(self) -> None:
        """Stop ticking and give up the webhooks under way."""
        self._ticking.cancel()
        await self.webhooks.close()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            try:
                for world in self.api.worlds.values():
                    settle(world)
                    await advance_test_clocks(world, self.webhooks)
                self.webhooks.send_due()
            except Exception:  # a mistake of the sandbox: say so and go on serving
                traceback.print_exc()

    async def _open(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._connected, self._host, port, reuse_address=True)
        self._port = self._listener.sockets[0].getsockname()[1]

    def _connected(self) -> Connection:
        if len(self._connections) >= _CONNECTIONS_BEFORE_A_LOOK:
            self._connections = {each for each in self._connections if each.is_open}
        connection = Connection(self.respond, self.api.clock)
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

    def respond(self, connection: Connection, request: Request) -> None:
        """Answer one request of Stripe's API, faults included."""
        self.requests += 1
        if self._over_limit(request):
            connection.send(rate_limited(self.requests, request.target.startswith("/v2/")))
            return
        strike = NO_FAULT if self.dice.idle else self._draw(request)
        self.journal.append((request, strike.fate))
        neighbour = self.neighbours.get(request.target[1:].partition("/")[0])
        if self._unreached(connection, strike) or (
            neighbour is None and self._undone(connection, request, strike)
        ):
            return
        if neighbour is not None:
            self._later(strike, self._work_beside, neighbour, connection, request, strike)
            return
        marks = self.api.enter(request)
        if isinstance(marks, Reply):
            connection.send(marks)
        else:
            self._later(strike, self._work, connection, request, strike, marks)

    def _later(self, strike: Rule, work: Callable[..., None], *about: object) -> None:
        """Do the work now, or after the delays that are in force."""
        delay = self.dice.faults.latency_ms + (strike.delay_ms if strike.fate is Fate.SLOW_WORK else 0)
        if delay:
            asyncio.get_running_loop().call_later(delay / 1000, work, *about)
        else:
            work(*about)

    def _draw(self, request: Request) -> Rule:
        text = request.target.encode() + request.body
        return self.dice.draw(Asked(request.method, request.path, text, request.secret))

    def _over_limit(self, request: Request) -> bool:
        world = self.api.world_of(request.headers)
        limit = world.switches.calls_per_second
        if limit is None:
            return False
        second = int(time.monotonic())
        if second != self._second:
            self._second = second
            self._calls.clear()
        self._calls[world.mode] += 1
        return self._calls[world.mode] > limit

    def _unreached(self, connection: Connection, strike: Rule) -> bool:
        """The fates that lie before any service."""
        match strike.fate:
            case Fate.DROP:
                connection.drop()
            case Fate.OUTAGE:
                self.begin_outage(strike.delay_ms / 1000)
            case Fate.GATEWAY:
                connection.send(by_stranger(502))
            case Fate.CLOCK_JUMP:
                self.api.clock.advance(strike.seconds)
                return False
            case _:
                return False
        return True

    def _undone(self, connection: Connection, request: Request, strike: Rule) -> bool:
        """The fates that keep a request of Stripe's from being done at all."""
        v2 = request.target.startswith("/v2/")
        match strike.fate:
            case Fate.RATE_LIMIT:
                connection.send(rate_limited(self.requests, v2))
            case Fate.LOCK_TIMEOUT:
                self._refuse(connection, request, lock_timeout())
            case Fate.KEY_IN_USE if request.key is not None:
                self._refuse(connection, request, key_in_use())
            case Fate.UNAVAILABLE:
                connection.send(unavailable(request))
            case Fate.UNAUTHORIZED:
                self._refuse(connection, request, unauthorized(request.secret))
            case _:
                return False
        return True

    def _refuse(self, connection: Connection, request: Request, refusal: Refusal) -> None:
        reply = refused(refusal, v2=request.target.startswith("/v2/"))
        reply.headers["request-id"] = f"req_refused{self.requests:08d}"
        connection.send(reply)

    def _work(self, connection: Connection, request: Request, strike: Rule, marks: Marks) -> None:
        lost = {Fate.REJECT_LATER: strike.code, Fate.SWALLOW: "-"}
        mishap = Mishap(
            fail=strike.fate is Fate.FAIL,
            fail_done=strike.fate is Fate.FAIL_DONE,
            reject_as=lost.get(strike.fate, ""),
            stale_seconds=strike.seconds if strike.fate is Fate.STALE else 0,
        )
        reply = self.api.handle(request, mishap)
        self.api.leave(marks)
        self._answer(connection, reply, strike)

    def _work_beside(
        self, neighbour: Neighbour, connection: Connection, request: Request, strike: Rule
    ) -> None:
        """Answer one request of another service, whose name the path begins with."""
        rest = "/" + request.target[1:].partition("/")[2]
        about = (request.method, rest, request.headers, request.body)
        if strike.fate in (Fate.RATE_LIMIT, Fate.LOCK_TIMEOUT, Fate.KEY_IN_USE):
            reply = neighbour.limited()
        elif strike.fate in (Fate.FAIL, Fate.UNAVAILABLE):
            reply = neighbour.failed(*about)
        elif strike.fate is Fate.UNAUTHORIZED:
            reply = Reply(401, encode({"status": 401, "error": "Unauthorized"}))
        else:
            reply = neighbour.handle(*about)
        if strike.fate is Fate.FAIL_DONE:
            reply = neighbour.failed(*about)
        self._answer(connection, reply, strike)

    def _answer(self, connection: Connection, reply: Reply, strike: Rule) -> None:
        """The fates that come after the work."""
        match strike.fate:
            case Fate.LOSE_REPLY:
                connection.drop()
            case Fate.HALF_ANSWER:
                connection.send(reply, 0.5)
            case Fate.GARBAGE:
                connection.send(by_stranger(200))
            case Fate.GATEWAY_DONE:
                connection.send(by_stranger(504))
            case Fate.SLOW_ANSWER:
                asyncio.get_running_loop().call_later(strike.delay_ms / 1000, connection.send, reply)
            case _:
                connection.send(reply)
