"""The client: replays calls over HTTP at high concurrency and keeps a log of its own.

A small HTTP/1.1 client on asyncio streams, because a general one would need more of the two cores
than the application under test.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import msgspec

from tallystick.demo.traffic import Call, api_key, is_streamed, read_until
from tallystick.values.instant import Clock


class Logged(msgspec.Struct):
    """One line of the client's log; status 0 is a call that never got an answer.

    `received` are the tokens of a stream's parts that arrived; `abandoned` says that the client went away.
    """

    call: int
    customer: str
    metered: bool
    status: int
    microseconds: int
    streamed: bool = False
    abandoned: bool = False
    received: int = 0


class Client:
    """Replays a list of calls over `connections` kept-alive connections."""

    def __init__(self, host: str, port: int, log: Path, clock: Clock, *, connections: int = 64) -> None:
        self._host = host
        self._port = port
        self._log_path = log
        self._clock = clock
        self._connections = connections
        self.done = 0

    async def replay(
        self, calls: Sequence[tuple[Call, str]], control_every: int, progress: Callable[[int], None]
    ) -> None:
        """Make every call once; each `control_every`-th is made to the unmetered twin as well."""
        work = self._work(calls, control_every)
        with self._log_path.open("a") as log:
            await asyncio.gather(*(self._worker(work, log, progress) for _ in range(self._connections)))

    def _work(
        self, calls: Sequence[tuple[Call, str]], control_every: int
    ) -> Iterator[tuple[Call, str, bool]]:
        for call, customer in calls:
            yield call, customer, True
            if call.number % control_every == 0 and not is_streamed(call):
                yield call, customer, False

    async def _worker(
        self, work: Iterator[tuple[Call, str, bool]], log: IO[str], progress: Callable[[int], None]
    ) -> None:
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        for call, customer, metered in work:
            if connection is None:
                connection = await self._connect()
            line = Logged(call.number, customer, metered, 0, 0, streamed=is_streamed(call))
            began = self._clock.elapsed()
            try:
                line.status = await self._call(connection, call, line)
            except (OSError, EOFError, asyncio.IncompleteReadError, ValueError):
                line.status = 0
            if line.status == 0 or line.abandoned:
                connection[1].close()
                connection = None
            line.microseconds = self._clock.elapsed() - began
            log.write(json.dumps(msgspec.to_builtins(line)) + "\n")
            self.done += metered
            progress(self.done)
        if connection is not None:
            connection[1].close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, patiently: while the application restarts nobody listens."""
        for _ in range(600):
            try:
                return await asyncio.open_connection(self._host, self._port)
            except OSError:
                await asyncio.sleep(0.05)
        raise TimeoutError(f"nobody listens on {self._host}:{self._port}")

    async def _call(
        self, connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], call: Call, line: Logged
    ) -> int:
        reader, writer = connection
        body = json.dumps({"call": call.number}).encode()
        path = "/v1/stream" if line.streamed else "/v1/chat" if line.metered else "/unmetered/chat"
        writer.write(
            f"POST {path} HTTP/1.1\r\nhost: gateway\r\nx-api-key: {api_key(line.customer)}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        if "transfer-encoding: chunked" in head:
            await self._read_stream(reader, line, read_until(call))
        else:
            await reader.readexactly(int(head.partition("content-length:")[2].partition("\r\n")[0]))
        return int(head.split(" ", 2)[1])

    async def _read_stream(self, reader: asyncio.StreamReader, line: Logged, until: int | None) -> None:
        """Read a chunked stream to its end, or `until` so many parts have come."""
        parts = 0
        while size := int(await reader.readuntil(b"\r\n"), 16):
            event = (await reader.readexactly(size + 2)).strip()
            line.received += int(event.removeprefix(b"data: "))
            parts += 1
            if parts == until:
                line.abandoned = True
                return
        await reader.readexactly(2)


def read_log(path: Path) -> list[Logged]:
    """The client's log; a last line cut off by a crash is left out."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [msgspec.json.decode(line, type=Logged) for line in lines if line.endswith(b"}")]
