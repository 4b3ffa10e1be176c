"""The peers' application, run in a throw-away environment that holds one peer, FastAPI and uvicorn.

Written as the peer's own quick start shows it, with its default settings; only the address of the
collector is ours. Every call counts 1 for the customer in the header.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import FastAPI, Header
from fastapi.responses import StreamingResponse

PARTS = 10


def aforo(app: FastAPI, collector: str) -> Callable[[str], None]:
    """aforo-metering: a middleware counts each request after its response."""
    from aforo.middleware.fastapi import AforoMeteringMiddleware  # type: ignore[import-not-found]

    app.add_middleware(AforoMeteringMiddleware, api_key="key", base_url=collector)
    return lambda customer: None


def amberflo(app: FastAPI, collector: str) -> Callable[[str], None]:
    """amberflo-metering-python: a call to `client.meter` where the work is done."""
    from metering.ingest import create_ingest_client  # type: ignore[import-not-found]
    from metering.session.ingest_session import IngestSession  # type: ignore[import-not-found]

    IngestSession.root_url = collector
    client = create_ingest_client(api_key="key")
    return lambda customer: client.meter("calls", 1, int(time.time() * 1000), customer)


def create() -> Any:
    """The application; LOSS_PEER names the peer, LOSS_COLLECTOR the address that its events go to."""
    app = FastAPI()
    meter = {"aforo": aforo, "amberflo": amberflo}[os.environ["LOSS_PEER"]](app, os.environ["LOSS_COLLECTOR"])

    @app.post("/call")
    def call(x_customer_id: Annotated[str, Header()]) -> dict[str, bool]:
        meter(x_customer_id)
        return {"ok": True}

    @app.post("/stream")
    async def stream(x_customer_id: Annotated[str, Header()]) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for n in range(PARTS):
                yield b"part %d\n" % n
                await asyncio.sleep(0.02)
            meter(x_customer_id)

        return StreamingResponse(parts())

    return app
