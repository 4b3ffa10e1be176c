"""The same application with tallystick: a call counts 1, a stream counts its parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI, Header
from fastapi.responses import StreamingResponse

from tallystick import Tally
from tallystick.integrations.fastapi import install

PARTS = 10


def billed_customer(x_customer_id: Annotated[str, Header()]) -> str:
    return x_customer_id


def create() -> FastAPI:
    """The application of the environment."""
    tally = Tally.from_config()
    app = FastAPI()
    install(app, tally)

    @app.post("/call")
    @tally.metered("calls", customer=Depends(billed_customer))
    def call() -> dict[str, bool]:
        return {"ok": True}

    @app.post("/stream")
    @tally.records("parts")
    async def stream(customer: str = Depends(billed_customer)) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for n in range(PARTS):
                yield b"part %d\n" % n
                await asyncio.sleep(0.02)

        action = await tally.aio.open("parts", customer=customer)
        return StreamingResponse(action.stream(parts(), count=lambda part: 1))

    return app
