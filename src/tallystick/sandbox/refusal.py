"""Stripe's error answers."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

_DIGITS = 15
_LAST_SECOND = 221_845_392_000
_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,12})?\Z")


class Refusal(Exception):
    """An error answer: status, type, message, and where Stripe gives them code and parameter.

    `retry` is the Stripe-Should-Retry header; None leaves it out.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str = "",
        param: str = "",
        doc_url: str = "",
        retry: bool | None = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.code = code
        self.param = param
        self.doc_url = doc_url
        self.headers = {} if retry is None else {"stripe-should-retry": str(retry).lower()}

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body."""
        error = {"type": self.kind, "message": str(self)}
        if self.code:
            error["code"] = self.code
        if self.param:
            error["param"] = self.param
        if self.doc_url:
            error["doc_url"] = self.doc_url
        return {"error": error}


def missing(kind: str, identity: str) -> Refusal:
    """The answer for an object that is not there."""
    return Refusal(f"No such {kind}: '{identity}'", status=404, code="resource_missing", param="id")


def required(params: dict[str, Any], *names: str) -> None:
    """Refuse a request that lacks a parameter."""
    for name in names:
        if params.get(name) in (None, ""):
            raise Refusal(f"Missing required param: {name}.", code="parameter_missing", param=name)


def known(params: dict[str, Any], *names: str) -> None:
    """Refuse a request with a parameter that the call does not have."""
    for name in params:
        if name not in names and name != "expand":
            raise Refusal(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)


def whole(params: dict[str, Any], name: str, default: int = 0) -> int:
    """A parameter as an integer, or the default when it is left out; Stripe's 400 when it is not one."""
    given = params.get(name)
    if given is None or given == "":
        return default
    text = str(given)
    if not text.isascii() or not text.removeprefix("-").isdigit() or len(text) > _DIGITS:
        raise Refusal(f"Invalid integer: {text}", param=name)
    return int(text)


def second(params: dict[str, Any], name: str, default: int = 0) -> int:
    """A parameter as seconds since 1970, up to the year 9000."""
    found = whole(params, name, default)
    if not 0 <= found < _LAST_SECOND:
        raise Refusal(f"Invalid timestamp: {found}", param=name)
    return found


def exact(params: dict[str, Any], name: str, default: str = "0") -> Decimal:
    """A parameter as a plain decimal number of at most 12 decimals."""
    given = params.get(name)
    text = default if given is None or given == "" else str(given)
    if not _NUMBER.match(text):
        raise Refusal(f"Invalid decimal: {text}", param=name)
    return Decimal(text)


def mapping(params: dict[str, Any], name: str) -> dict[str, Any]:
    """A parameter as a map; empty when it is left out."""
    given = params.get(name)
    if given is None or given == "":
        return {}
    if not isinstance(given, dict):
        raise Refusal(f"Invalid object: {name} is a map, not {given!r}", param=name)
    return given


def text(params: dict[str, Any], name: str, default: str = "") -> str:
    """A parameter as text."""
    given = params.get(name)
    if given is None:
        return default
    if not isinstance(given, str):
        raise Refusal(f"Invalid string: {name} is text, not {given!r}", param=name)
    return given


def one_of(params: dict[str, Any], name: str, *allowed: str) -> str:
    """A parameter that must be one of some words."""
    value = str(params[name])
    if value not in allowed:
        words = f"{', '.join(allowed[:-1])} or {allowed[-1]}" if len(allowed) > 1 else allowed[0]
        raise Refusal(f"Invalid {name}: must be {words}, not {value}", param=name)
    return value
