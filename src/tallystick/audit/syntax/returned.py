"""Errors that a call returns instead of raising them: Go's `err`, or a false answer; checked later, or dropped."""

from __future__ import annotations

import re
from functools import lru_cache

from tree_sitter import Node

from tallystick.audit.syntax import tables
from tallystick.audit.syntax.expressions import text_of
from tallystick.audit.syntax.ir import Handler
from tallystick.audit.syntax.patterns import catch_kind

HANDED_ON = re.compile(
    rb"\breturn\b[^\n]*[eE]rr|\bpanic\(|\.Fatal|http\.Status[A-Z]|http\.Error\(|AbortWith|\(\s*[45]\d\d\s*,"
)


STATEMENTS = frozenset(["lexical_declaration", "variable_declaration", "expression_statement"])
ANSWER = re.compile(
    r"(?P<not>!)?\s*(?P<name>[\w$]+)(?:\??\.(?P<field>\w+))?"
    r"(?:\s*(?P<equal>[=!]==?)\s*(?P<value>true|false|null|undefined))?$"
)
FAILURE = re.compile(r"(?i)err|fail|reason$")


def _holder(node: Node) -> Node | None:
    """The function around a node, or the file."""
    holder = node.parent
    while holder is not None and holder.parent is not None and holder.type not in tables.FUNCTIONS:
        holder = holder.parent
    return holder


def is_heeded(node: Node, names: list[str]) -> bool:
    """Whether an answer kept under these names is asked for later in its function, or handed on."""
    holder = _holder(node)
    text = (holder.text or b"")[node.end_byte - holder.start_byte :] if holder is not None else b""
    return any(_asked(name).search(text) for name in names)


@lru_cache(1024)
def _asked(name: str) -> re.Pattern[bytes]:
    word = rb"(?<![\w.])" + re.escape(name.encode()) + rb"\b"
    return re.compile(
        rb"\b(?:if|elif|while|switch|assert\w*|return|throw|raise|yield|await|in|of)\b[^\n;]*" + word
        + rb"|" + word + rb"\.(?:forEach|filter|map|some|every|find\w*|reduce)\("
        + rb"|!\s*" + word + rb"|" + word + rb"[\w.?\[\]]*\s*(?:\?[^.:]|&&|\|\||[=!]==?|[<>])"
    )  # fmt: skip


def refused(node: Node, names: list[str]) -> Handler | None:
    """What is done where an answer kept under these names says that it failed: `if (!result.ok) { … }`."""
    statement = node
    while statement.parent is not None and statement.type not in STATEMENTS:
        statement = statement.parent
    after = statement.next_named_sibling
    while after is not None:
        said = _condition(after) if after.type == "if_statement" else ""
        if any(re.search(rf"(?<![\w.]){re.escape(name)}\b", said) for name in names):
            branch = _failing(after, said.strip("() "), names)
            return Handler(branch.start_point[0] + 1, catch_kind(branch.text or b"")) if branch else None
        after = after.next_named_sibling
    return None


def _failing(check: Node, said: str, names: list[str]) -> Node | None:
    """The branch that a failed answer takes; none where the condition says more than that."""
    hit = ANSWER.match(said)
    if hit is None or hit["name"] not in names:
        return None
    failed = (FAILURE.search(hit["field"] or hit["name"]) is not None) == (hit["not"] is None)
    value = hit["value"]
    if value is not None and (value in ("false", "null", "undefined")) == (hit["equal"][0] == "="):
        failed = not failed
    return check.child_by_field_name("consequence" if failed else "alternative")


def checked(node: Node, left: Node) -> tuple[Handler, ...]:
    """What becomes of the error of the call on the right of an assignment; empty when that is not seen here."""
    name = text_of(left).rpartition(",")[2].strip()
    if name == "_":
        return (Handler(node.start_point[0] + 1, "log"),)
    check = _check(node)
    if not name.lower().endswith("err") or check is None or f"{name} != nil" not in _condition(check):
        return ()
    body = check.child_by_field_name("consequence")
    said = (body.text or b"") if body is not None else b""
    kind = "rethrow" if HANDED_ON.search(said) or _kept(said, name, check) else catch_kind(said)
    return (Handler(check.start_point[0] + 1, kind),)


def _kept(said: bytes, name: str, check: Node) -> bool:
    """Whether the error is put into a variable that the function returns further down."""
    hit = re.search(rb"(\w+)\s*=\s*[^\n]*\b" + name.encode() + rb"\b", said)
    after = check.next_named_sibling
    while hit is not None and after is not None:
        if re.search(rb"\breturn\b[^\n]*\b" + hit[1] + rb"\b", after.text or b""):
            return True
        after = after.next_named_sibling
    return False


def _check(node: Node) -> Node | None:
    """`if err := f(); err != nil`, or the `if` that follows `err := f()`."""
    for one in (node.parent, node.next_named_sibling):
        if one is not None and one.type == "if_statement":
            return one
    return None


def _condition(check: Node) -> str:
    return text_of(check.child_by_field_name("condition"))
