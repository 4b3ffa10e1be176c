"""A small API that bills by use: words through the decorator, documents in the application's own transaction."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel

from tallystick import Tally
from tallystick.integrations.fastapi import install

DATABASE = os.environ["TALLYSTICK_STORE"].removeprefix("sqlite:///")  # one file: both rows or neither
API_KEYS = {"ada-key": "ada", "bob-key": "bob"}

tally = Tally.from_config()
app = FastAPI()
install(app, tally, exempt={"/health": "probe"})


class Text(BaseModel):
    text: str


class Summary(BaseModel):
    text: str
    words: int


def billed_customer(authorization: Annotated[str, Header()]) -> str:
    """Who pays: the owner of the key, never a field of the request."""
    customer = API_KEYS.get(authorization.removeprefix("Bearer "))
    if customer is None:
        raise HTTPException(401, "unknown key")
    return customer


def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(DATABASE)) as connection, connection:
        connection.execute(
            "create table if not exists documents (id integer primary key, owner text, body text)"
        )
        yield connection


@app.get("/health")
def health() -> dict[str, bool]:
    return {"ok": True}


@app.post("/summaries")
@tally.metered("words", customer=Depends(billed_customer), quantity=lambda summary: summary.words)
def summarise(given: Text) -> Summary:
    words = given.text.split()
    return Summary(text=" ".join(words[:3]), words=len(words))


@app.post("/documents")
@tally.records("documents")
def store(
    given: Text,
    customer: Annotated[str, Depends(billed_customer)],
    connection: Annotated[sqlite3.Connection, Depends(database, scope="function")],
) -> dict[str, int | None]:
    document = connection.execute(
        "insert into documents (owner, body) values (?, ?)", (customer, given.text)
    ).lastrowid
    tally.record("documents", 1, customer=customer, key=f"document:{document}", on=connection)
    return {"id": document}
