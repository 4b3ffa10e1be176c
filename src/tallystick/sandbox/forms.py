"""Stripe's encodings: bracketed forms in, JSON with exact numbers out; times as v1 and v2 write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from tallystick.sandbox.refusal import Refusal
from tallystick.sandbox.world import Object

_PART = re.compile(r"[^\[\]]+")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})\Z"
)


def parse_form(text: str) -> Object:
    """Stripe's bracketed form encoding as nested dictionaries; `items[0][price]=x` keeps "0" as a key."""
    params: Object = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        *path, last = _PART.findall(name) or [name]
        at = params
        for part in path:
            at = at.setdefault(part, {})
            if not isinstance(at, dict):
                raise Refusal(f"Invalid parameter: {name} is given as a value and as a map.", param=name)
        at[last] = value
    return params


def parse_json(body: bytes) -> Object:
    """A v2 body; Stripe's 400 for anything but a JSON object."""
    try:
        params = msgspec.json.decode(body or b"{}")
    except msgspec.DecodeError as error:
        raise Refusal(f"Invalid JSON: {error}", code="invalid_fields") from None
    if not isinstance(params, dict):
        raise Refusal("The body must be a JSON object.", code="invalid_fields")
    return params


def encode(answer: Any) -> bytes:
    """JSON with exact numbers: a Decimal is written as the digits it has; names with _ stay inside."""
    return msgspec.json.encode(_public(answer))


def _public(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {name: _public(value) for name, value in answer.items() if not name.startswith("_")}
    if isinstance(answer, list):
        return [_public(value) for value in answer]
    return msgspec.Raw(f"{answer:f}".encode()) if isinstance(answer, Decimal) else answer


def as_list(given: Any) -> list[Any]:
    """A list parameter: `a[0]=x&a[1]=y`, `a[]=x`, JSON, or one value."""
    if isinstance(given, dict):
        keys = sorted(given, key=lambda key: int(key) if key.isdigit() else 0)
        return [given[key] for key in keys]
    if given is None or given == "":
        return []
    return list(given) if isinstance(given, list | tuple) else [given]


def maps(params: Object, name: str) -> list[Object]:
    """A list parameter whose entries are maps."""
    found = as_list(params.get(name))
    if not found or not all(isinstance(each, dict) for each in found):
        raise Refusal(f"Invalid array: {name} is a list of maps.", param=name)
    return found


def plain(value: Any) -> Any:
    """A form value as what it says: true, false, a whole number, or the text."""
    words: dict[str, Any] = {"true": True, "false": False}
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() else words.get(value, value)
    return value


def rfc3339(second: int) -> str:
    """A second as v2 writes it."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def from_rfc3339(text: Any, name: str) -> int:
    """The second of a v2 time, which has a zone; Stripe's 400 when it is not one."""
    refusal = Refusal(f"Invalid timestamp: {text}", code="invalid_fields", param=name)
    if not isinstance(text, str) or not _MOMENT.match(text):
        raise refusal
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        raise refusal from None
