"""Makes every text safe to show: no control characters, no direction marks, no broken encodings."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import msgspec

MULTILINE = frozenset({"remediation"})
Value = TypeVar("Value")


def visible(text: str, *, lines: bool = False) -> str:
    """The text with everything that does not print as itself written as an escape; line ends only if asked."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _plain(char) or (lines and char == "\n") else _escaped(char) for char in text)


def _plain(char: str) -> bool:
    return char.isprintable()


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as the file system gave it
        return f"\\x{code - 0xDC00:02x}"
    if char in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[char]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def clean(value: Value) -> Value:
    """The same value with every text in it made visible; enumerations and numbers stay as they are."""
    return cast(Value, _clean(value, False))


def _clean(value: Any, lines: bool) -> Any:
    if type(value) is str:
        return visible(value, lines=lines)
    if isinstance(value, msgspec.Struct):
        fields = {name: _clean(getattr(value, name), name in MULTILINE) for name in value.__struct_fields__}
        return type(value)(**fields)
    if isinstance(value, tuple):
        return tuple(_clean(one, False) for one in value)
    if isinstance(value, dict):
        return {_clean(key, False): _clean(one, False) for key, one in value.items()}
    return value
