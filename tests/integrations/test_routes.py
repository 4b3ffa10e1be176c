"""The route guard, over the real route tree."""

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, WebSocket
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tallystick import Tally
from tallystick.errors import DeclarationError, UndeclaredRoutesError
from tallystick.integrations.fastapi import install
from tallystick.integrations.routes import routes


def org() -> str:
    return "org"


def metered(tally: Tally) -> Any:
    return tally.metered("calls", customer=Depends(org))


def test_an_undeclared_route_stops_the_start(tally: Tally) -> None:
    """Each is named with the reason; mounts and included routers are looked into; docs are exempt."""
    app, inner, router = FastAPI(), FastAPI(), APIRouter(prefix="/v1")
    install(app, tally, exempt={"/health": "probe", "/admin/*": "staff"})

    @app.get("/health")
    @app.get("/admin/users")
    def exempt() -> None: ...

    @router.post("/chat")
    @metered(tally)
    def chat() -> None: ...

    @router.post("/leak")
    def leak() -> None: ...

    @inner.post("/leak")
    def inner_leak() -> None: ...

    @app.websocket("/socket")
    async def socket(socket: WebSocket) -> None: ...

    app.include_router(router, prefix="/api")
    app.mount("/inner", inner)
    with pytest.raises(UndeclaredRoutesError) as caught, TestClient(app):
        pass
    lines = [line.split(" (")[0].strip() for line in str(caught.value).splitlines()[1:]]
    assert lines == ["WS /socket", "POST /api/v1/leak", "POST /inner/leak"]
    found = {route.path: route for route in routes(app, tally, {})}
    assert found["/api/v1/chat"].meters == ("calls",)
    assert found["/docs"].exempt == "documentation"


def test_without_a_lifespan_the_first_request_is_the_start(tally: Tally) -> None:
    """A plain TestClient runs no lifespan; the guard runs all the same."""
    app = FastAPI()
    install(app, tally)
    app.get("/leak")(lambda: None)
    with pytest.raises(UndeclaredRoutesError, match="/leak"):
        TestClient(app).get("/leak")


def test_report_mode_makes_findings(tally: Tally) -> None:
    """For adoption: the application starts, what is undeclared is listed."""
    app = FastAPI()
    install(app, tally, mode="report")
    app.get("/leak")(lambda: None)
    with TestClient(app) as client:
        assert client.get("/leak").status_code == 200
    assert [(f.code, f.subject) for f in tally.findings] == [("undeclared_route", "GET /leak")]


def test_the_decorator_above_the_route_decorator_is_detected(tally: Tally) -> None:
    """There it wraps what the router never sees."""
    app = FastAPI()
    install(app, tally)

    @metered(tally)
    @app.post("/chat")
    def chat() -> None: ...

    with pytest.raises(UndeclaredRoutesError, match="above the route decorator"), TestClient(app):
        pass


def test_starlette(tally: Tally) -> None:
    """The same guard without FastAPI."""

    @tally.metered("calls", customer=lambda request: request.state.org)
    async def chat(request: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    async def leak(request: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    app = Starlette(routes=[Route("/chat", chat), Route("/leak", leak)])
    install(app, tally)
    with pytest.raises(UndeclaredRoutesError, match="GET /leak"), TestClient(app):
        pass


@pytest.mark.parametrize("what", ["customer", "quantity", "key"])
def test_what_the_client_fills_is_refused(tally: Tally, what: str) -> None:
    """A path, query or body argument cannot decide customer, quantity or key; the argument is named."""
    options: dict[str, Any] = {"customer": Depends(org), "quantity": 1}
    options[what] = {
        "customer": lambda name: name,
        "quantity": lambda answer, name: name,
        "key": lambda name: name,
    }[what]

    def handler(name: str, who: str = Depends(org)) -> None: ...

    with pytest.raises(DeclarationError, match=f"{what} from 'name'"):
        tally.metered("tokens", **options)(handler)
    tally.metered("tokens", **options, untrusted_ok="checked by the proxy")(handler)
    assert [line.split(": ", 1)[1] for line in tally.untrusted()] == [
        f"{what} from 'name' (checked by the proxy)"
    ]


def test_dependencies_are_trusted_and_shared(tally: Tally) -> None:
    """A dependency by name or hidden is resolved once per request, through the framework's own cache."""
    calls: list[int] = []

    def who() -> str:
        calls.append(1)
        return "org"

    app = FastAPI()
    install(app, tally)

    @app.post("/hidden")
    @tally.metered("calls", customer=Depends(who))
    def hidden(name: Annotated[str, Depends(who)]) -> str:
        return name

    @app.post("/named")
    @tally.metered("calls", customer=lambda name: name)
    def named(name: Annotated[str, Depends(who)]) -> str:
        return name

    with TestClient(app) as client:
        assert client.post("/hidden").json() == "org"
        assert client.post("/named").json() == "org"
        assert "tallystick_customer" not in str(client.get("/openapi.json").json())
        assert len(tally.entries(customer="org")) == 2
    assert calls == [1, 1]
