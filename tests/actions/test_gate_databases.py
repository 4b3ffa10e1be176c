"""The commit gate over asynchronous database sessions, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from tallystick import Catalogue, Formula, Meter, Tally
from tallystick.integrations.fastapi import install
from tallystick.storage import open_store


@pytest.fixture
def tally(store_url: str) -> Iterator[Tally]:
    with Tally(
        open_store(store_url, auto_migrate=True), Catalogue([Meter("calls", formula=Formula.COUNT)])
    ) as made:
        yield made


@pytest.fixture
def app(tally: Tally) -> FastAPI:
    app = FastAPI()
    install(app, tally)
    return app


def sessions(url: str) -> Any:
    """A dependency that commits after its handler, as an application writes it."""
    if url.startswith("sqlite"):
        engine = create_async_engine(url.replace("sqlite://", "sqlite+aiosqlite://"), poolclass=NullPool)

        @sa.event.listens_for(engine.sync_engine, "connect")
        def _(raw: Any, _: Any) -> None:
            raw.isolation_level = None
            raw.execute("pragma synchronous=full")

        sa.event.listen(engine.sync_engine, "begin", lambda c: c.exec_driver_sql("begin immediate"))
    else:
        engine = create_async_engine(
            url.replace("postgresql://", "postgresql+psycopg://"), poolclass=NullPool
        )

    async def session() -> AsyncIterator[AsyncSession]:
        async with AsyncSession(engine) as made, made.begin():
            yield made

    return session


@pytest.mark.parametrize(("scope", "status"), [("function", 200), (None, 500)])
def test_async_sessions(tally: Tally, app: FastAPI, store_url: str, scope: Any, status: int) -> None:
    """A commit before the response passes; the default `yield` dependency commits after it and is refused."""

    @app.post("/books")
    @tally.records("calls")
    async def handler(db: Any = Depends(sessions(store_url), scope=scope)) -> None:
        posted = await tally.aio.record("calls", customer="ada", on=db)
        assert len(posted.entries) == 1

    answer = TestClient(app).post("/books")
    assert answer.status_code == status
    assert status == 200 or "AsyncSession" in answer.text
    assert len(tally.entries(customer="ada")) == 1


def test_a_plain_record_on_an_async_session_is_awaited_too(
    tally: Tally, app: FastAPI, store_url: str
) -> None:
    """`tally.record(on=)` of an asynchronous transaction gives an awaitable; forgetting it is a 500."""
    kept = []

    @app.post("/books")
    @tally.records("calls")
    async def handler(forget: bool, db: Any = Depends(sessions(store_url), scope="function")) -> None:
        pending = tally.record("calls", customer="ada", on=db)
        if forget:
            kept.append(pending)
        else:
            await pending

    client = TestClient(app)
    assert client.post("/books?forget=false").status_code == 200
    assert client.post("/books?forget=true").status_code == 500
    assert len(tally.entries(customer="ada")) == 1
    with pytest.warns(match="never awaited"):
        kept.clear()


@pytest.mark.parametrize(
    ("ends", "status", "entries"), [("commit", 200, 1), ("rollback", 200, 0), ("", 500, 0)]
)
def test_psycopg_async(postgres_url: str, ends: str, status: int, entries: int) -> None:
    """Committed, rolled back, or still open when the response starts."""
    meters = Catalogue([Meter("calls", formula=Formula.COUNT)])
    with Tally(open_store(postgres_url, auto_migrate=True), meters) as tally:
        app = FastAPI()
        install(app, tally)

        async def connection() -> AsyncIterator[psycopg.AsyncConnection]:
            opened = await psycopg.AsyncConnection.connect(postgres_url)
            yield opened
            await opened.close()

        @app.post("/books")
        @tally.records("calls")
        async def handler(db: Any = Depends(connection)) -> None:
            await tally.record("calls", customer="ada", on=db)
            if ends:
                await getattr(db, ends)()

        answer = TestClient(app).post("/books")
        assert answer.status_code == status
        assert status == 200 or "psycopg.AsyncConnection" in answer.text
        assert len(tally.entries(customer="ada")) == entries
