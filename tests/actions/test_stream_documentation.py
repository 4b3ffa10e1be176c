"""The examples of docs/streams.md run as they stand."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient

from tallystick import Tally
from tallystick.integrations.fastapi import install

PAGE = (Path(__file__).parents[2] / "docs" / "streams.md").read_text()


async def model_parts() -> AsyncIterator[str]:
    for word in ("one", "two", "three"):
        yield word


def read_rows() -> Iterator[str]:
    yield from ("a", "b")


def test_the_examples_run(tally: Tally, counted: Callable[[str], list[tuple[str, int]]]) -> None:
    app = FastAPI()
    names: dict[str, Any] = {
        "app": app,
        "tally": tally,
        "Depends": Depends,
        "WebSocket": WebSocket,
        "StreamingResponse": StreamingResponse,
        "aclosing": aclosing,
        "billed_customer": lambda: "org",
        "customer_of": lambda websocket: "org",
        "model_parts": model_parts,
        "read_rows": read_rows,
    }
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, names)
    install(app, tally, exempt={"/socket": "declared in its body"})
    with TestClient(app) as client:
        assert client.post("/stream").text == "onetwothree"
        assert client.post("/rows").text == "ab"
        with client.websocket_connect("/socket") as socket:
            assert [socket.receive_text() for _ in range(3)] == ["one", "two", "three"]
            assert socket.receive()["type"] == "websocket.close"
    assert counted("org") == [("tokens", 30), ("tokens", 2), ("tokens", 30)]
    assert tally.ledger.open_holds() == []
