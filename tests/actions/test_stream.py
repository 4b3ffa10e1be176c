"""Streams: one settled entry per started action, however the stream ends."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from tallystick import Catalogue, Meter, Tally
from tallystick.integrations.fastapi import install
from tallystick.storage import open_store

CHUNKS = 8


@pytest.fixture
def tally(sqlite_url: str) -> Iterator[Tally]:
    """A real, durable ledger: streams end while the disk is waited for."""
    with Tally(open_store(sqlite_url), Catalogue([Meter("tokens")])) as made:
        yield made


async def parts(*values: Any) -> AsyncIterator[Any]:
    for value in values:
        await asyncio.sleep(0)
        if isinstance(value, Exception):
            raise value
        yield value


def run(tally: Tally, *values: Any, **options: Any) -> list[Any]:
    """Stream these values through an action; what arrived."""

    async def main() -> list[Any]:
        action = await tally.aio.open("tokens", customer="org")
        return [part async for part in action.stream(parts(*values), count=lambda part: part, **options)]

    return asyncio.run(main())


def quantities(tally: Tally) -> list[int]:
    return [e.quantity for e in tally.entries(customer="org")]


@pytest.mark.parametrize(
    ("values", "cumulative", "total"),
    [
        ((1, 2, 3), False, [6]),
        ((1, None, 0, 3), False, [4]),
        ((0, 0), False, [0]),
        ((None, None), False, []),
        ((5, 9, 12), True, [12]),
        ((5, 9, 2, 4), True, [13]),
        ((5, 5, None), True, [5]),
    ],
)
def test_increments_and_running_totals(
    tally: Tally, values: tuple[Any, ...], cumulative: bool, total: list[int]
) -> None:
    """None is no statement, zero is a zero, a running total may start again."""
    assert run(tally, *values, cumulative=cumulative) == list(values)
    assert quantities(tally) == total
    assert tally.ledger.open_holds() == []


def test_parts_that_raise_record_what_was_produced(tally: Tally) -> None:
    """The upstream breaks off: what came before is billed."""
    with pytest.raises(ValueError, match="upstream"):
        run(tally, 1, 2, ValueError("upstream"))
    assert quantities(tally) == [3]
    assert tally.ledger.open_holds() == []


def test_a_wrong_quantity_does_not_break_the_stream(tally: Tally) -> None:
    """The client gets its parts; the hold stays open, with a finding."""
    assert run(tally, 1, Decimal("0.5"), 2) == [1, Decimal("0.5"), 2]
    assert len(tally.ledger.open_holds()) == 1
    assert [f.code for f in tally.findings] == ["unmeasured_action"]


class Served:
    """An application with a stream, under a real uvicorn."""

    def __init__(self, tally: Tally) -> None:
        app = FastAPI()
        install(app, tally)
        self.may_go_on = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)

        @app.get("/stream")
        @tally.records("tokens")
        async def stream() -> StreamingResponse:
            action = await tally.aio.open("tokens", customer="org")
            return StreamingResponse(action.stream(self.produce(), count=lambda part: 10))

        self.server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        while not self.server.started:
            self.thread.join(0.01)
        self.address = self.server.servers[0].sockets[0].getsockname()

    async def produce(self) -> AsyncIterator[bytes]:
        try:
            for number in range(CHUNKS):
                while not self.may_go_on.acquire(blocking=False):
                    await asyncio.sleep(0.001)
                yield b"part-%d" % number
        finally:
            self.ended.release()

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join()


@pytest.fixture
def served(sqlite_url: str) -> Iterator[tuple[Tally, Served]]:
    tally = Tally(open_store(sqlite_url), Catalogue([Meter("tokens")]))
    made = Served(tally)
    yield tally, made
    made.stop()


@pytest.mark.parametrize("chunks", range(CHUNKS))
def test_the_client_goes_away_after_each_chunk(served: tuple[Tally, Served], chunks: int) -> None:
    """One settled entry, for what had been produced; no hold is left open."""
    tally, server = served
    with socket.create_connection(server.address) as client:
        client.sendall(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
        received = b""
        for number in range(chunks):
            server.may_go_on.release()
            while b"part-%d" % number not in received:
                received += client.recv(4096)
    # The client has gone: the next chunk, if the server notices only while sending, is produced as well.
    for _ in range(CHUNKS):
        server.may_go_on.release()
    assert server.ended.acquire(timeout=30)
    for _ in range(3000):
        if not tally.ledger.open_holds() and (quantities(tally) or chunks == 0):
            break
        server.thread.join(0.01)
    found = quantities(tally)
    assert tally.ledger.open_holds() == []
    assert len(found) <= 1
    assert 10 * chunks <= sum(found) <= 10 * CHUNKS


def test_a_whole_stream(served: tuple[Tally, Served]) -> None:
    """Read to the end: everything is counted once."""
    tally, server = served
    for _ in range(CHUNKS):
        server.may_go_on.release()
    with socket.create_connection(server.address) as client:
        client.sendall(b"GET /stream HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        while client.recv(4096):
            pass
    assert quantities(tally) == [10 * CHUNKS]
    assert tally.ledger.open_holds() == []
