"""Living inside an application: start-up in all its forms, background work, sockets, classes of handlers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from tallystick import Tally
from tallystick.errors import UndeclaredRoutesError
from tallystick.integrations.asgi import CommitGate
from tallystick.integrations.fastapi import install
from tallystick.integrations.routes import routes


class Starts:
    """Counts what `Tally.start` and `Tally.close` are asked."""

    def __init__(self, tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[str] = []
        close = tally.close
        monkeypatch.setattr(tally, "start", lambda: self.seen.append("start"))
        monkeypatch.setattr(tally, "close", lambda: (self.seen.append("close"), close()))


@pytest.fixture
def starts(tally: Tally, monkeypatch: pytest.MonkeyPatch) -> Starts:
    return Starts(tally, monkeypatch)


def metered_app(tally: Tally, **rest: Any) -> FastAPI:
    app = FastAPI(**rest)
    install(app, tally)

    @app.get("/chat")
    @tally.metered("calls", customer=Depends(lambda: "ada"))
    async def chat() -> str:
        return "hello"

    return app


def test_the_guard_stays_closed_after_it_has_refused(tally: Tally) -> None:
    """Without a lifespan every request is refused, not only the first."""
    app = metered_app(tally)
    app.get("/leak")(lambda: None)
    client = TestClient(app)
    for _ in range(2):
        with pytest.raises(UndeclaredRoutesError):
            client.get("/chat")
    assert tally.entries(customer="ada") == []


def test_started_twice(tally: Tally, starts: Starts, counted: Any) -> None:
    """A second lifespan starts again what the first has closed."""
    app = metered_app(tally)
    for _ in range(2):
        with TestClient(app) as client:
            assert client.get("/chat").status_code == 200
    assert starts.seen == ["start", "start", "close", "start", "close"]  # the first request starts too
    assert counted("ada") == [("calls", 1)] * 2


def test_the_applications_own_lifespan_runs_inside(tally: Tally, starts: Starts) -> None:
    """Its state reaches the handlers, and the Tally is closed even when its shutdown fails."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, int]]:
        starts.seen.append("in")
        yield {"answer": 42}
        raise RuntimeError("shutdown failed")

    app = metered_app(tally, lifespan=lifespan)

    @app.get("/state")
    @tally.records("calls")
    def state(request: Request) -> int:
        with tally.action("calls", customer="ada"):
            answer: int = request.state.answer
            return answer

    with pytest.raises(RuntimeError, match="shutdown failed"), TestClient(app) as client:
        assert client.get("/state").json() == 42
    assert [what for what in starts.seen if what != "start"] == ["in", "close"]


def test_an_installed_application_below_a_mount(tally: Tally, counted: Any) -> None:
    """Its lifespan never runs there; the first request starts it."""
    outer = FastAPI()
    outer.mount("/inner", metered_app(tally))
    with TestClient(outer) as client:
        assert client.get("/inner/chat").status_code == 200
    assert counted("ada") == [("calls", 1)]


def test_the_gate_alone_starts_the_relay(tally: Tally, starts: Starts, counted: Any) -> None:
    """Plain ASGI: nothing but the middleware."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with tally.action("calls", customer="ada"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    client = TestClient(CommitGate(app, tally))
    assert [client.get("/").text for _ in range(2)] == ["ok", "ok"]
    assert starts.seen == ["start"]
    assert counted("ada") == [("calls", 1)] * 2


def test_websockets_record_by_themselves(tally: Tally, counted: Any) -> None:
    app = FastAPI()
    install(app, tally)

    @app.websocket("/socket")
    @tally.records("calls")
    async def socket(socket: WebSocket) -> None:
        await socket.accept()
        await tally.aio.record("calls", customer="ada")
        await socket.send_text("done")
        await socket.close()

    with TestClient(app) as client, client.websocket_connect("/socket") as connection:
        assert connection.receive_text() == "done"
    assert counted("ada") == [("calls", 1)]


@pytest.mark.parametrize("inside", [True, False])
def test_beside_a_middleware_with_a_task_of_its_own(tally: Tally, counted: Any, inside: bool) -> None:
    """Starlette's BaseHTTPMiddleware runs the application in another task; the request is still one."""

    async def passing(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    app = FastAPI()
    if inside:
        app.add_middleware(BaseHTTPMiddleware, dispatch=passing)
    install(app, tally)
    if not inside:
        app.add_middleware(BaseHTTPMiddleware, dispatch=passing)

    @app.get("/nothing")
    @tally.records("calls")
    async def nothing() -> None: ...

    @app.get("/something")
    @tally.records("calls")
    async def something() -> None:
        await tally.aio.record("calls", customer="ada")

    client = TestClient(app)
    assert client.get("/nothing").status_code == client.get("/something").status_code == 200
    assert [finding.subject for finding in tally.findings] == ["GET /nothing"]
    assert counted("ada") == [("calls", 1)]


def test_records_after_the_response_are_not_held_back(tally: Tally, counted: Any) -> None:
    """A background task's record is its own posting: nobody waits for it, nothing keeps it."""
    app = FastAPI()
    install(app, tally)

    @app.get("/later")
    @tally.records("calls", "tokens")
    async def later(tasks: BackgroundTasks) -> None:
        async with tally.action("calls", customer="ada"):
            tasks.add_task(lambda: tally.record("tokens", 3, customer="ada"))

    delivered: list[str] = []
    tally._recorder._delivery.deliver = lambda entries: delivered.extend(e.meter for e in entries)  # type: ignore[method-assign]
    with TestClient(app) as client:
        client.get("/later")
    assert delivered == ["tokens"]
    assert sorted(counted("ada")) == [("calls", 1), ("tokens", 3)]


def test_bodies_stream_through(tally: Tally) -> None:
    """The gate waits for the head of a response, never for its body."""
    app = FastAPI()
    install(app, tally)

    async def parts() -> AsyncIterator[str]:
        for part in "abc":
            await asyncio.sleep(0)
            yield part

    @app.get("/stream")
    @tally.metered("calls", customer=Depends(lambda: "ada"))
    async def stream() -> StreamingResponse:
        return StreamingResponse(parts())

    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(60)

    async def send(message: Any) -> None:
        sent.append(message.get("body"))

    scope = {"type": "http", "method": "GET", "path": "/stream", "headers": [], "query_string": b""}
    asyncio.run(
        app({**scope, "root_path": "", "asgi": {"version": "3.0", "spec_version": "2.4"}}, receive, send)
    )
    assert sent == [None, b"a", b"b", b"c", b""]


def test_an_open_action_is_no_missing_record(tally: Tally, counted: Any) -> None:
    """A stream holds before its first byte and settles after its last."""
    app = FastAPI()
    install(app, tally)

    @app.get("/stream")
    @tally.records("tokens")
    async def stream() -> StreamingResponse:
        action = await tally.aio.open("tokens", customer="ada")

        async def parts() -> AsyncIterator[str]:
            for part in "abc":
                action.add(1)
                yield part
            await action.close()

        return StreamingResponse(parts())

    with TestClient(app) as client:
        assert client.get("/stream").text == "abc"
    assert not tally.findings
    assert counted("ada") == [("tokens", 3)]


def test_classes_of_handlers(tally: Tally) -> None:
    """A class is declared when each of its methods is."""

    class Whole(HTTPEndpoint):
        @tally.records("calls")
        async def get(self, request: Request) -> PlainTextResponse:
            return PlainTextResponse("")

        @tally.records("tokens")
        async def post(self, request: Request) -> PlainTextResponse:
            return PlainTextResponse("")

    class Half(Whole):
        async def put(self, request: Request) -> PlainTextResponse:
            return PlainTextResponse("")

    app = Starlette(routes=[Route("/whole", Whole), Route("/half", Half)])
    whole, half = routes(app, tally)
    assert (whole.methods, whole.meters) == ("GET,POST", ("calls", "tokens"))
    assert (half.methods, half.undeclared) == ("GET,POST,PUT", True)


def test_mounts_and_routers_within_routers(tally: Tally, tmp_path: Any) -> None:
    """Opaque mounts are one row; what is below an included router keeps its whole path."""
    inner = Starlette(routes=[Route("/deep", lambda request: PlainTextResponse(""))])
    app = Starlette(
        routes=[Mount("/static", StaticFiles(directory=tmp_path)), Mount("/a", routes=[Mount("/b", inner)])]
    )
    found = routes(app, tally, {"/static/*": "files"})
    assert [(route.path, route.exempt) for route in found] == [("/static/*", "files"), ("/a/b/deep", "")]
