"""FastAPI and Starlette: `install(app, tally)` puts in the commit gate, the route guard and the relay."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

from tallystick.app import Tally
from tallystick.integrations.asgi import CommitGate
from tallystick.integrations.routes import Exempt, require_declared, routes


def install(
    app: Any, tally: Tally, *, exempt: Exempt = (), mode: Literal["enforce", "report"] = "enforce"
) -> None:
    """Install tallystick in a FastAPI or Starlette application.

    At start-up (the lifespan, or the first request where none runs) every route must be metered,
    declared with `@tally.records`, or exempt by a pattern such as "/admin/*", else UndeclaredRoutesError;
    `mode="report"` makes findings of them instead. Shutting down closes the Tally.
    """
    start = _once(lambda: _start(app, tally, exempt, mode))
    app.add_middleware(CommitGate, tally=tally, on_first_request=start)
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(scope_app: Any) -> AsyncIterator[Any]:
        start()
        async with inner(scope_app) as state:
            yield state
        tally.close()

    app.router.lifespan_context = lifespan
    app.state.tallystick = (tally, exempt)


def _start(app: Any, tally: Tally, exempt: Exempt, mode: str) -> None:
    if mode == "enforce":
        require_declared(app, tally, exempt)
    else:
        for route in routes(app, tally, exempt):
            if route.undeclared:
                tally.find("undeclared_route", f"{route.methods} {route.path}", route.problem)
    tally.start()


def _once(function: Callable[[], None]) -> Callable[[], None]:
    """The function, run by the first call only."""
    left = [function]

    def run() -> None:
        if left:
            left.pop()()

    return run
