"""A metered stream of 200 chunks against the same stream unmetered, at 64 connections.

Server (uvicorn, one worker) and client are processes of their own. The metered stream writes a hold before its
first byte, counts each chunk, and settles; the rates are medians of short runs, taken in turn. `/gateway` does
with each part what a gateway does (parse the model's event, write its own); `/ready` sends bytes that are there
already, the least work a stream can have.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median
from typing import Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from benchmarks.measure import Results, disk
from tallystick import Catalogue, Meter, Tally
from tallystick.demo.processes import free_port
from tallystick.integrations.fastapi import install
from tallystick.storage import open_store

CHUNKS, CONNECTIONS, SECONDS, ROUNDS = 200, 64, 3.0, 5
EVENT = json.dumps(
    {
        "id": "chatcmpl-123",
        "object": "chat.completion.chunk",
        "created": 1694268190,
        "model": "a-model",
        "choices": [{"index": 0, "delta": {"content": "token"}, "logprobs": None, "finish_reason": None}],
        "usage": None,
    }
)
READY = f"data: {EVENT}\n\n".encode()
PATHS = {"/gateway": "at least 0.9", "/ready": "printed"}
METERS = Catalogue([Meter("tokens")])


async def ready() -> AsyncIterator[bytes]:
    """Bytes that are there already; the loop gets its turn between two chunks."""
    for _ in range(CHUNKS):
        await asyncio.sleep(0)
        yield READY


async def gateway() -> AsyncIterator[str]:
    """The model's events, each parsed and written anew under the gateway's own name."""
    for _ in range(CHUNKS):
        await asyncio.sleep(0)
        event = json.loads(EVENT)
        event["model"] = "our-model"
        yield f"data: {json.dumps(event)}\n\n"


def create() -> FastAPI:
    """The application; BENCH_STORE is the ledger."""
    tally = Tally(open_store(os.environ["BENCH_STORE"]), METERS)
    app, bare = FastAPI(), FastAPI()
    for path, produce in (("/gateway", gateway), ("/ready", ready)):
        bare.get(path)(unmetered(produce))
        app.get(path)(metered(tally, produce))
    install(app, tally)
    return app if os.environ["BENCH_METERED"] == "yes" else bare


def unmetered(produce: Any) -> Any:
    async def stream() -> StreamingResponse:
        return StreamingResponse(produce(), media_type="text/event-stream")

    return stream


def metered(tally: Tally, produce: Any) -> Any:
    @tally.records("tokens")
    async def stream() -> StreamingResponse:
        action = await tally.aio.open("tokens", customer="org")
        parts = action.stream(produce(), count=lambda part: 1)
        return StreamingResponse(parts, media_type="text/event-stream")

    return stream


async def load(port: int, path: str, seconds: float) -> float:
    """Streams a second, read to their ends over kept-alive connections."""
    done = 0
    until = time.perf_counter() + seconds

    async def worker() -> None:
        nonlocal done
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < until:
            writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            body = await reader.readuntil(b"\r\n0\r\n\r\n")
            if b" 200 " not in body[:20] or body.count(b"data:") != CHUNKS:
                raise RuntimeError(body[:200].decode())
            done += 1
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(CONNECTIONS)))
    return done / (time.perf_counter() - began)


def serve(folder: Path, *, metered: bool) -> tuple[subprocess.Popen[bytes], int]:
    """A server process and its port."""
    port = free_port()
    environ = {
        **os.environ,
        "BENCH_STORE": f"sqlite:///{folder / 'streams.db'}",
        "BENCH_METERED": "yes" if metered else "no",
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "benchmarks.streams:create"]
    command += ["--port", str(port), "--log-level", "warning", "--no-access-log"]
    process = subprocess.Popen(command, env=environ)
    for _ in range(200):
        try:
            asyncio.run(load(port, "/ready", 0.3))
            return process, port
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the server did not start")


def main() -> None:
    results = Results(f"Streams of {CHUNKS} chunks, {CONNECTIONS} connections, SQLite")
    with disk() as folder:
        servers = {metered: serve(folder, metered=metered) for metered in (False, True)}
        try:
            for path, target in PATHS.items():
                rates: dict[bool, list[float]] = {False: [], True: []}
                for _ in range(ROUNDS):
                    for metered, (_, port) in servers.items():
                        rates[metered].append(asyncio.run(load(port, path, SECONDS)))
                ours, bare = median(rates[True]), median(rates[False])
                results.add(
                    f"metered {path}", f"{ours:,.0f}/s", f"unmetered {bare:,.0f}/s", ours / bare, target
                )
        finally:
            for process, _ in servers.values():
                process.terminate()
                process.wait()
    results.show()


if __name__ == "__main__":
    main()
