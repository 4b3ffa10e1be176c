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
    checked = _once(lambda: _check(app, tally, exempt, mode))

    def start() -> None:
        checked()
        tally.start()

    app.add_middleware(CommitGate, tally=tally, on_first_request=start)
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(scope_app: Any) -> AsyncIterator[Any]:
        start()
        try:
            async with inner(scope_app) as state:
                yield state
        finally:
            tally.close()

    app.router.lifespan_context = lifespan
    app.state.tallystick = (tally, exempt)


def _check(app: Any, tally: Tally, exempt: Exempt, mode: str) -> None:
    if mode == "enforce":
        require_declared(app, tally, exempt)
        return
    for route in routes(app, tally, exempt):
        if route.undeclared:
            tally.find("undeclared_route", f"{route.methods} {route.path}", route.problem)


def _once(function: Callable[[], None]) -> Callable[[], None]:
    """The function, run until it has succeeded once."""
    left = [function]

    def run() -> None:
        for waiting in left:
            waiting()
        left.clear()

    return run
