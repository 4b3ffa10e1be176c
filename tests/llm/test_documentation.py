"""The examples of docs/llm.md run as they stand, behind a real application."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient

from tallystick import Catalogue, Meter, Tally
from tallystick.integrations.fastapi import install

PAYLOADS = Path(__file__).parent / "payloads"
PAGE = (Path(__file__).parents[2] / "docs" / "llm.md").read_text()


@pytest.fixture
def tally_meters() -> Catalogue:
    return Catalogue([Meter(name) for name in ("tokens", "cached_tokens", "written_tokens")])


def answer(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text())


async def as_events(parts: AsyncIterator[Any]) -> AsyncIterator[str]:
    async for part in parts:
        yield f"data: {json.dumps(part)}\n\n"


async def stream_openai() -> AsyncIterator[Any]:
    for part in answer("openai_chat_stream")["parts"]:
        yield part


def test_the_examples_run(tally: Tally, counted: Callable[[str], list[tuple[str, int]]]) -> None:
    app = FastAPI()
    names = {
        "app": app,
        "tally": tally,
        "Depends": Depends,
        "billed_customer": lambda: "org",
        "ask_openai": lambda: answer("openai_chat")["answer"],
        "ask_anthropic": lambda: answer("anthropic_message")["answer"],
        "stream_openai": stream_openai,
        "StreamingResponse": StreamingResponse,
        "as_events": as_events,
        "tokenizer": len,
    }
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, names)
    install(app, tally)
    with TestClient(app) as client:
        for path in ("/chat", "/ask", "/stream"):
            assert client.post(path).status_code == 200
    assert counted("org") == [
        ("tokens", 2564),
        ("tokens", 298),
        ("cached_tokens", 1800),
        ("written_tokens", 503),
        ("tokens", 22),
    ]
