"""The applications that the endpoint benchmark compares; run by uvicorn, one worker.

`/unmetered` does nothing else; `/unheld` and `/held` are metered; `/naive` is what people write today:
INSERT and commit per request, then a direct call with the official client.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import uuid

import stripe
from fastapi import Depends, FastAPI, Header

from tallystick import Catalogue, Meter, Tally
from tallystick.integrations.fastapi import install
from tallystick.meters.config import DeliverySettings
from tallystick.providers.stripe import StripeProvider
from tallystick.storage import open_store

METERS = Catalogue([Meter("tokens", hold=False), Meter("held_tokens", event_name="tokens")])
KEY = "sk_test_benchmark_key"


def customer(x_customer: str = Header()) -> str:
    return x_customer


def create() -> FastAPI:
    """The application; BENCH_INLINE says whether it delivers within the request."""
    inline = os.environ["BENCH_INLINE"] == "yes"
    sandbox = os.environ["BENCH_SANDBOX"]
    tally = Tally(
        open_store(os.environ["BENCH_STORE"]),
        METERS,
        provider=StripeProvider(KEY, base=sandbox),
        delivery=DeliverySettings(inline=inline, relay="in-process" if inline else "process"),
    )
    app = FastAPI()
    install(app, tally, exempt={"/unmetered": "control", "/naive": "control"})

    @app.post("/unmetered")
    async def unmetered(name: str = Depends(customer)) -> dict[str, int]:
        return {"tokens": 7}

    @app.post("/unheld")
    @tally.metered("tokens", customer=Depends(customer), quantity=lambda answer: answer["tokens"])
    async def unheld() -> dict[str, int]:
        return {"tokens": 7}

    @app.post("/held")
    @tally.metered("held_tokens", customer=Depends(customer), quantity=lambda answer: answer["tokens"])
    async def held() -> dict[str, int]:
        return {"tokens": 7}

    app.post("/naive")(naive(os.environ["BENCH_STORE"].removeprefix("sqlite:///") + ".naive", sandbox))
    return app


def naive(path: str, sandbox: str):  # type: ignore[no-untyped-def]
    """A sync handler as it is usually written; links are the sandbox's own names."""
    client = stripe.StripeClient(KEY, base_addresses={"api": sandbox, "meter_events": sandbox})
    local = threading.local()
    links = dict(item.split("=") for item in os.environ["BENCH_LINKS"].split(","))

    def handler(name: str = Depends(customer)) -> dict[str, int]:
        if not hasattr(local, "connection"):
            local.connection = sqlite3.connect(path, timeout=30)
            local.connection.execute("pragma journal_mode=wal")
            local.connection.execute("pragma synchronous=full")
            local.connection.execute(
                "create table if not exists usage (id text primary key, customer text, tokens int)"
            )
        identifier = uuid.uuid4().hex
        local.connection.execute("insert into usage values (?, ?, ?)", (identifier, name, 7))
        local.connection.commit()
        payload = {"value": "7", "stripe_customer_id": links[name]}
        client.v1.billing.meter_events.create(
            {"event_name": "tokens", "identifier": identifier, "payload": payload}
        )
        return {"tokens": 7}

    return handler
