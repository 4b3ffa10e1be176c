"""The disconnect sweep: the client goes away after each chunk of each kind of stream, under a real uvicorn."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from websockets.sync.client import connect

from tallystick import Catalogue, Meter, Tally
from tallystick.integrations.fastapi import install
from tallystick.meters import StreamBills
from tallystick.storage import open_store

CHUNKS = 6
UNNOTICED = 3  # chunks that may go into the socket before the server sees that nobody is there
METERS = Catalogue([Meter("delivered"), Meter("produced", stream_bills=StreamBills.PRODUCED)])


class Served:
    """An application with streams of every kind; a chunk goes out when the test says so."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.may_go_on: defaultdict[str, threading.Semaphore] = defaultdict(lambda: threading.Semaphore(0))
        app = FastAPI()
        install(app, tally)
        self._add_routes(app)
        self.server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        while not self.server.started and self.thread.is_alive():
            self.thread.join(0.01)
        self.address = self.server.servers[0].sockets[0].getsockname()

    def _add_routes(self, app: FastAPI) -> None:
        tally = self.tally

        @app.get("/chunked/{meter}/{org}")
        @tally.records("delivered", "produced")
        async def chunked(meter: str, org: str) -> StreamingResponse:
            action = await tally.aio.open(meter, customer=org)
            return StreamingResponse(action.stream(self.produce(org), count=lambda part: 10))

        @app.get("/sse/{meter}/{org}")
        @tally.records("delivered", "produced")
        async def sse(meter: str, org: str) -> StreamingResponse:
            action = await tally.aio.open(meter, customer=org)
            parts = action.stream(self.produce(org), count=lambda part: 10)
            events = (b"data: " + part + b"\n\n" async for part in parts)
            return StreamingResponse(events, media_type="text/event-stream")

        @app.get("/sync/{meter}/{org}")
        @tally.records("delivered", "produced")
        def sync(meter: str, org: str) -> StreamingResponse:
            action = tally.open(meter, customer=org)
            return StreamingResponse(action.stream(self.give(org), count=lambda part: 10))

        @app.websocket("/websocket/{meter}/{org}")
        @tally.records("delivered", "produced")
        async def websocket(socket: WebSocket, meter: str, org: str) -> None:
            await socket.accept()
            action = await tally.aio.open(meter, customer=org)
            async for part in action.stream(self.produce(org), count=lambda part: 10):
                await socket.send_bytes(part)
            await socket.close()

    async def produce(self, org: str) -> AsyncIterator[bytes]:
        for number in range(CHUNKS):
            while not self.may_go_on[org].acquire(blocking=False):
                await asyncio.sleep(0.001)
            yield b"part-%d" % number

    def give(self, org: str) -> Iterator[bytes]:
        for number in range(CHUNKS):
            self.may_go_on[org].acquire()
            yield b"part-%d" % number

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    path: Path = tmp_path_factory.mktemp("streams") / "ledger.db"
    made = Served(Tally(open_store(f"sqlite:///{path}"), METERS))
    yield made
    made.stop()
    made.tally.close()


def read(served: Served, kind: str, meter: str, org: str, chunks: int) -> None:
    """Read so many chunks, each after the server was allowed to make it, and go away."""
    path = f"/{kind}/{meter}/{org}"
    if kind == "websocket":
        with connect(f"ws://{served.address[0]}:{served.address[1]}{path}") as client:
            for number in range(chunks):
                served.may_go_on[org].release()
                assert client.recv() == b"part-%d" % number
            while not chunks and not served.tally.ledger.open_holds():
                served.thread.join(0.001)  # not gone before the action has begun
            client.socket.shutdown(socket.SHUT_RDWR)
        return
    with socket.create_connection(served.address) as client:
        client.sendall(b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n" % path.encode())
        received = b""
        for number in range(chunks):
            served.may_go_on[org].release()
            while b"part-%d" % number not in received:
                received += client.recv(4096)
        while not received and not served.tally.ledger.open_holds():
            served.thread.join(0.001)  # not gone before the action has begun


def billed(served: Served, org: str) -> list[Any]:
    return [e.quantity for e in served.tally.entries(customer=org)]


@pytest.mark.parametrize("chunks", range(CHUNKS))
@pytest.mark.parametrize("meter", ["delivered", "produced"])
@pytest.mark.parametrize("kind", ["chunked", "sse", "sync", "websocket"])
def test_the_client_goes_away_after_each_chunk(served: Served, kind: str, meter: str, chunks: int) -> None:
    """One settled entry for each action, of what its meter declares; no hold is left open."""
    org = f"{kind}-{meter}-{chunks}"
    read(served, kind, meter, org, chunks)
    for _ in range(CHUNKS):
        for _ in range(50):
            if not served.tally.ledger.open_holds():
                break
            served.thread.join(0.002)
        served.may_go_on[org].release()  # a server may notice only when it sends
    for _ in range(3000):
        if not served.tally.ledger.open_holds():
            break
        served.thread.join(0.01)
    assert served.tally.ledger.open_holds() == []
    found = billed(served, org)
    assert len(found) <= 1
    if meter == "produced":
        assert sum(found) == 10 * CHUNKS
    else:
        assert 10 * chunks <= sum(found)
        assert sum(found) <= 10 * min(CHUNKS, chunks + UNNOTICED)
    assert not [f for f in served.tally.findings if f.subject == org]


@pytest.mark.parametrize("kind", ["chunked", "sse", "sync"])
@pytest.mark.parametrize("meter", ["delivered", "produced"])
def test_a_whole_stream(served: Served, kind: str, meter: str) -> None:
    """Read to the end: everything is counted once."""
    org = f"{kind}-{meter}-whole"
    for _ in range(CHUNKS):
        served.may_go_on[org].release()
    with socket.create_connection(served.address) as client:
        path = f"/{kind}/{meter}/{org}".encode()
        client.sendall(b"GET %b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n" % path)
        while client.recv(4096):
            pass
    assert billed(served, org) == [10 * CHUNKS]
    assert served.tally.ledger.open_holds() == []
