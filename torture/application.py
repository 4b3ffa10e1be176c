"""The application that gets killed: with a hold, without one, and within its own transaction."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
from fastapi import BackgroundTasks, Depends, FastAPI, Header

from tallystick import Tally
from tallystick.integrations.fastapi import install
from torture.calls import quantity_of

ORDERS = "create table if not exists orders (job text primary key, customer text not null)"


@contextmanager
def transaction(url: str) -> Iterator[Any]:
    """The application's own transaction, committed at the end of the block."""
    if url.startswith("sqlite:///"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=10, isolation_level=None)) as db:
            db.execute("pragma synchronous=full")
            db.execute("begin immediate")
            yield db
            db.execute("commit")
    else:
        with psycopg.connect(url) as connection:
            yield connection


def billed_customer(x_customer: str = Header()) -> str:
    return x_customer


def job_id(x_job: str = Header()) -> str:
    return x_job


def _record_behind_the_answer(app: FastAPI, tally: Tally) -> None:
    """The control: what people write today, usage recorded after the answer; the checks must find the loss."""

    @app.post("/unheld")
    @tally.records("unheld")
    def unheld(
        later: BackgroundTasks, customer: str = Depends(billed_customer), job: str = Depends(job_id)
    ) -> dict[str, int]:
        later.add_task(tally.record, "unheld", quantity_of(job), customer=customer, key=job)
        return {"quantity": quantity_of(job)}


def create() -> FastAPI:
    """The application of the environment."""
    tally = Tally.from_config()
    url = os.environ["TALLYSTICK_STORE"]
    app = FastAPI()
    install(app, tally)

    def metered(meter: str) -> Any:
        return tally.metered(
            meter,
            customer=Depends(billed_customer),
            key=lambda job: job,
            quantity=lambda answer: answer["quantity"],
        )

    @app.post("/held")
    @metered("held")
    async def held(job: str = Depends(job_id)) -> dict[str, int]:
        return {"quantity": quantity_of(job)}

    if os.environ.get("TORTURE_CONTROL"):
        _record_behind_the_answer(app, tally)

    @app.post("/unheld")
    @metered("unheld")
    def unheld(job: str = Depends(job_id)) -> dict[str, int]:
        return {"quantity": quantity_of(job)}

    @app.post("/orders")
    @tally.records("orders")
    def order(customer: str = Depends(billed_customer), job: str = Depends(job_id)) -> dict[str, int]:
        with transaction(url) as db:
            mark = "?" if url.startswith("sqlite") else "%s"
            added = db.execute(
                f"insert into orders values ({mark}, {mark}) on conflict do nothing", (job, customer)
            )
            if added.rowcount:
                tally.record("orders", quantity_of(job), customer=customer, key=job, on=db)
        return {"quantity": quantity_of(job)}

    return app
