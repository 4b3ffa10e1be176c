"""The route guard: every route of the real route tree is metered, declared or exempt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from tallystick.actions.declaration import Declared, declared
from tallystick.app import Tally
from tallystick.errors import UndeclaredRoutesError

_VERBS = ("get", "post", "put", "patch", "delete")
Exempt = Mapping[str, str] | Iterable[str]


class Route(msgspec.Struct, frozen=True):
    """One route and what the guard makes of it; `meters` when it records, `exempt` why it need not."""

    methods: str
    path: str
    name: str
    meters: tuple[str, ...] = ()
    exempt: str = ""
    problem: str = ""

    @property
    def undeclared(self) -> bool:
        """Whether the guard refuses it."""
        return not self.meters and not self.exempt

    @property
    def fix(self) -> str:
        """The line to add for a route that the guard refuses."""
        exempt = f'exempt={{"{self.path}": "why"}}'
        if self.path.endswith("/*"):
            return exempt
        line = '@tally.records("…")' if self.methods == "WS" else '@tally.metered("…", customer=Depends(…))'
        return f"add {line} right above `def {self.name.rpartition('.')[2]}`, or {exempt}"


def routes(app: Any, tally: Tally, exempt: Exempt = ()) -> list[Route]:
    """The routes of an application, mounts and included routers too, in their order."""
    reasons = dict(exempt) if isinstance(exempt, Mapping) else dict.fromkeys(exempt, "exempt")
    above = {metering.handler for metering in tally.declarations}
    return [_judge(found, reasons, above) for found in _walk(app, "")]


class _Found(msgspec.Struct):
    path: str
    methods: str
    name: str
    endpoint: Any
    docs: bool


def _walk(app: Any, prefix: str) -> Iterator[_Found]:
    documentation = {
        path
        for name in ("openapi_url", "docs_url", "redoc_url", "swagger_ui_oauth2_redirect_url")
        if (path := getattr(app, name, None))
    }
    for route in _iterate(getattr(app, "routes", ())):
        path = getattr(route, "path", None) or ""
        inner = getattr(route, "app", None)
        endpoint = getattr(route, "endpoint", None)
        if endpoint is None and inner is not None:
            yield from _walk_mount(route, inner, prefix + path)
            continue
        methods = ",".join(sorted((getattr(route, "methods", None) or _methods(endpoint)) - {"HEAD"}))
        name = getattr(endpoint, "__qualname__", type(endpoint).__name__)
        yield _Found(prefix + path, methods, name, endpoint, path in documentation)


def _walk_mount(route: Any, inner: Any, prefix: str) -> Iterator[_Found]:
    """A mounted application: its routes if it has some, else the mount itself."""
    base = getattr(route, "_base_app", inner)
    if getattr(base, "routes", None):
        yield from _walk(base, prefix)
    else:
        yield _Found(f"{prefix}/*", "*", type(base).__name__, None, False)


def _iterate(found: Iterable[Any]) -> Iterable[Any]:
    """FastAPI's own iteration where it has one: its included routers are opaque since 0.137."""
    try:
        from fastapi.routing import iter_route_contexts
    except ImportError:
        return found
    contexts: Iterable[Any] = iter_route_contexts(list(found))
    return contexts


def _methods(endpoint: Any) -> set[str]:
    """What a route without methods answers: a class of handlers its own, else it is a websocket."""
    return {name.upper() for name in _VERBS if hasattr(endpoint, name)} or {"WS"}


def _declared(endpoint: Any) -> Declared | None:
    """The declaration of an endpoint; of a class of handlers, if all of them have one."""
    if not isinstance(endpoint, type):
        return declared(endpoint)
    marks = [declared(getattr(endpoint, name)) for name in _VERBS if hasattr(endpoint, name)]
    if not marks or None in marks:
        return None
    return Declared(tuple(dict.fromkeys(meter for mark in marks if mark for meter in mark.meters)))


def _judge(found: _Found, reasons: Mapping[str, str], above: set[Any]) -> Route:
    mark = _declared(found.endpoint)
    if mark is not None:
        return Route(found.methods, found.path, found.name, meters=mark.meters)
    if found.docs:
        return Route(found.methods, found.path, found.name, exempt="documentation")
    for pattern, reason in reasons.items():
        if fnmatchcase(found.path, pattern):
            return Route(found.methods, found.path, found.name, exempt=reason)
    if found.endpoint in above:
        problem = "@tally.metered stands above the route decorator, which registered the bare function; put it below"
    else:
        problem = "neither metered nor exempt"
    return Route(found.methods, found.path, found.name, problem=problem)


def require_declared(app: Any, tally: Tally, exempt: Exempt) -> None:
    """Raise UndeclaredRoutesError naming every route that is neither metered nor exempt, with the fix."""
    bad = [route for route in routes(app, tally, exempt) if route.undeclared]
    if bad:
        lines = [
            f"  {route.methods} {route.path} ({route.name}): {route.problem}; {route.fix}" for route in bad
        ]
        raise UndeclaredRoutesError(
            f"{len(bad)} route(s) are not declared; decorate them, or exempt them in install(...):\n"
            + "\n".join(lines)
        )
