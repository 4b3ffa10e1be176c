"""Stripe's error answers."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """An error answer: status, type, message, and where Stripe gives them code and parameter."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str = "",
        param: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.code = code
        self.param = param

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body."""
        error = {"type": self.kind, "message": str(self)}
        if self.code:
            error["code"] = self.code
        if self.param:
            error["param"] = self.param
        return {"error": error}


def missing(kind: str, identity: str) -> Refusal:
    """The answer for an object that is not there."""
    return Refusal(f"No such {kind}: '{identity}'", status=404, code="resource_missing", param="id")


def required(params: dict[str, Any], *names: str) -> None:
    """Refuse a request that lacks a parameter."""
    for name in names:
        if params.get(name) in (None, ""):
            raise Refusal(f"Missing required param: {name}.", code="parameter_missing", param=name)


def whole(params: dict[str, Any], name: str) -> int:
    """A parameter as an integer; Stripe's 400 when it is not one."""
    text = str(params[name])
    if not text.isascii() or not text.lstrip("-").isdigit():
        raise Refusal(f"Invalid integer: {text}", param=name)
    return int(text)
