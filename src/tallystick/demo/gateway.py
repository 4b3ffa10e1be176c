"""The example application: an AI gateway that bills tokens and calls.

Run by the demo with uvicorn, two workers. `/v1/chat` is metered, `/v1/stream` is metered as it streams and
bills what was delivered; `/unmetered/chat` does the work of `/v1/chat` without tallystick, to measure what
metering adds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from tallystick.app import Tally
from tallystick.demo.traffic import Call, api_key, customers, parts, trace
from tallystick.integrations.fastapi import install

CUSTOMERS = 1000


class Prompt(BaseModel):
    """What a client sends; nothing of it is billed."""

    call: int


class Usage(BaseModel):
    """What the model says it used."""

    context_tokens: int
    generated_tokens: int
    total_tokens: int


class Answer(BaseModel):
    """The model's answer."""

    call: int
    service: str
    usage: Usage


def create_app() -> FastAPI:
    """The application; its Tally comes from the configuration file and the environment."""
    tally = Tally.from_config()
    app = FastAPI()
    install(
        app, tally, exempt={"/unmetered/chat": "the control of the latency measurement", "/health": "probe"}
    )
    by_key = {api_key(name): name for name in customers(CUSTOMERS)}
    calls = trace()

    def billed_customer(x_api_key: Annotated[str, Header()]) -> str:
        try:
            return by_key[x_api_key]
        except KeyError:
            raise HTTPException(401, "unknown API key") from None

    def complete(prompt: Prompt) -> Answer:
        call = calls[prompt.call]
        usage = Usage(
            context_tokens=call.context_tokens,
            generated_tokens=call.generated_tokens,
            total_tokens=call.tokens,
        )
        return Answer(call=call.number, service=call.service, usage=usage)

    @app.get("/health")
    async def health() -> dict[str, bool]:
        return {"ok": True}

    @app.post("/unmetered/chat")
    async def unmetered(prompt: Prompt, customer: str = Depends(billed_customer)) -> Answer:
        return complete(prompt)

    @app.post("/v1/chat")
    @tally.metered(
        "ai_tokens",
        customer=Depends(billed_customer),
        quantity=lambda answer: {"ai_tokens": answer.usage.total_tokens, "api_calls": 1},
        attributes=lambda answer: {"call": answer.call, "service": answer.service},
    )
    async def chat(prompt: Prompt) -> Answer:
        return complete(prompt)

    @app.post("/v1/stream")
    @tally.records("ai_tokens", "api_calls")
    async def stream(prompt: Prompt, customer: str = Depends(billed_customer)) -> StreamingResponse:
        call = calls[prompt.call]
        action = await tally.aio.open(
            "ai_tokens", customer=customer, attributes={"call": call.number, "service": call.service}
        )
        action.add(1, "api_calls")
        events = action.stream(produce(call), count=lambda event: int(event[6:]))
        return StreamingResponse(events, media_type="text/event-stream")

    return app


async def produce(call: Call) -> AsyncIterator[str]:
    """The model's answer as server-sent events that say how many tokens each part is worth."""
    for tokens in parts(call):
        await asyncio.sleep(0.001)
        yield f"data: {tokens}\n\n"
