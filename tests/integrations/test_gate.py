"""The commit gate: no response starts before the entries of its request are durable."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from tallystick import Tally
from tallystick.errors import ActionError, TallystickWarning
from tallystick.integrations.asgi import CommitGate
from tallystick.integrations.fastapi import install


@pytest.fixture
def app(tally: Tally, sqlite_url: str) -> FastAPI:
    """Routes that record on the application's transaction in all ways."""
    made = FastAPI()
    install(made, tally)

    def transaction() -> Iterator[sqlite3.Connection]:
        path = sqlite_url.removeprefix("sqlite:///")
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        connection.execute("pragma synchronous=full")
        connection.execute("create table if not exists documents (name text)")
        connection.execute("begin immediate")
        try:
            yield connection
            connection.execute("commit")
        except BaseException:
            connection.execute("rollback")
            raise
        finally:
            connection.close()

    def document(db: Any, fails: bool) -> dict[str, str]:
        db.execute("insert into documents values ('x')")
        tally.record("tokens", 5, customer="org", on=db)
        if fails:
            raise ValueError("after recording")
        return {"stored": "x"}

    @made.post("/in-time")
    @tally.records("tokens")
    def in_time(fails: bool = False, db: Any = Depends(transaction, scope="function")) -> dict[str, str]:
        return document(db, fails)

    @made.post("/too-late")
    @tally.records("tokens")
    def too_late(db: Any = Depends(transaction)) -> dict[str, str]:
        return document(db, fails=False)

    @made.post("/forgotten")
    @tally.records("tokens")
    async def forgotten() -> dict[str, str]:
        made.state.kept = tally.aio.record("tokens", 1, customer="org")
        return {}

    @made.post("/blocking")
    @tally.records("tokens")
    async def blocking() -> dict[str, str]:
        tally.record("tokens", 1, customer="org")
        return {}

    @made.post("/nothing")
    @tally.records("tokens")
    def nothing() -> dict[str, str]:
        return {}

    return made


def test_both_rows_or_neither(app: FastAPI, tally: Tally, sqlite_url: str) -> None:
    """The document and its entry share a transaction (T1)."""
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.post("/in-time").status_code == 200
        assert client.post("/in-time?fails=true").status_code == 500
        entries = tally.entries(customer="org")
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        assert connection.execute("select count(*) from documents").fetchone() == (1,)
    assert [e.quantity for e in entries] == [5]


def test_a_commit_after_the_response_is_refused(app: FastAPI) -> None:
    """The default yield dependency commits too late: a 500 that names the fix."""
    with TestClient(app) as client:
        answer = client.post("/too-late")
    assert answer.status_code == 500
    assert 'scope="function"' in answer.json()["detail"]
    assert "sqlite3.Connection" in answer.json()["detail"]


def test_a_record_that_is_never_awaited_fails_the_request(app: FastAPI) -> None:
    """Forgetting `await` is loud: a 500, and a warning."""
    with TestClient(app) as client:
        assert "never awaited" in client.post("/forgotten").json()["detail"]
    with pytest.warns(TallystickWarning, match="never awaited"):
        del app.state.kept


def test_blocking_the_event_loop_is_refused(app: FastAPI) -> None:
    """`tally.record` in a coroutine points to `tally.aio.record`."""
    with TestClient(app) as client, pytest.raises(ActionError, match=r"tally\.aio\.record"):
        client.post("/blocking")


def test_success_without_a_record_is_a_finding(app: FastAPI, tally: Tally) -> None:
    """A route that is declared to record, succeeds and recorded nothing."""
    with TestClient(app) as client:
        assert client.post("/nothing").status_code == 200
    assert [(f.code, f.subject) for f in tally.findings] == [("unrecorded_success", "POST /nothing")]


def test_plain_asgi_and_a_mounted_application(tally: Tally) -> None:
    """The gate works around any ASGI application, without a lifespan, and below a mount."""

    async def work(request: Any) -> JSONResponse:
        await tally.aio.record("tokens", 3, customer="org")
        return JSONResponse({})

    inner = CommitGate(Starlette(routes=[Route("/work", work)]), tally)  # type: ignore[arg-type]
    client = TestClient(Starlette(routes=[Mount("/inner", app=inner)]))
    assert client.get("/inner/work").status_code == 200
    assert [e.quantity for e in tally.entries(customer="org")] == [3]
