"""What a class of TypeScript says of itself: what it extends, and the types that its fields are given by."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tree_sitter import Node

from tallystick.audit.syntax.expressions import annotated, expression, text_of
from tallystick.audit.syntax.ir import Expr
from tallystick.audit.syntax.searches import finite

BASE = re.compile(r"\bextends\s+(?:[\w$]+\.)*([\w$]+)")
SHARED = frozenset(
    [
        "Processor",
        "UseGuards",
        "UseInterceptors",
        "Controller",
        "CommandHandler",
        "QueryHandler",
        "EventsHandler",
    ]
)  # what a class says of all its methods
EXTENDED = finite(r"\bextends\s+([\w$.(),\s]+?)(?:\bimplements\b|[<{]|$)")
IMPLEMENTED = finite(r"\bimplements\s+([\w\s$.,<>]+)")
ARGUMENTS = finite(r"<[^<>]*>")
KEPT = re.compile(r"(?:^|[\s)])(?:public|private|protected|readonly)\s")
PARAMETERS = frozenset(["required_parameter", "optional_parameter"])


def inherited(node: Node, decorators: Iterable[Expr]) -> tuple[Expr, ...]:
    """What every method of a class has from it: `extends WorkerHost`, `@Processor("usage")`."""
    heritage = next((one for one in node.named_children if one.type == "class_heritage"), None)
    base = BASE.search(text_of(heritage))
    own = (Expr("name", f"extends {base[1]}"),) if base else ()
    return (*own, *(one for one in decorators if one.text in SHARED))


def above(node: Node) -> tuple[str, ...]:
    """The names of what a class extends and implements, and of the mixins around its base."""
    python = node.child_by_field_name("superclasses")
    if python is not None:
        return tuple(text_of(one) for one in python.named_children if one.type in ("identifier", "attribute"))
    heritage = next((one for one in node.named_children if one.type == "class_heritage"), None)
    said = text_of(heritage)
    base = EXTENDED.search(said)
    listed = IMPLEMENTED.search(ARGUMENTS.sub("", said))
    extended = re.findall(r"[\w$.]+", base[1]) if base else []
    asked = (one.strip() for one in listed[1].split(",")) if listed else ()
    return (*extended, *(one for one in asked if one))


def given(node: Node) -> list[tuple[str, Expr]]:
    """The fields that a constructor takes by their types: `constructor(private readonly meter: Meter)`."""
    inside = node.child_by_field_name("parameters")
    if inside is None or text_of(node.child_by_field_name("name")) != "constructor":
        return []
    body = text_of(node.child_by_field_name("body"))
    found = []
    for one in inside.named_children:
        name = text_of(one.child_by_field_name("pattern"))
        head = text_of(one).partition(":")[0]
        if one.type in PARAMETERS and (
            KEPT.search(head) or re.search(rf"\bthis\.{re.escape(name)}\s*=\s*{re.escape(name)}\b", body)
        ):
            found += typed(one, name)
    return found


def typed(node: Node, name: str) -> list[tuple[str, Expr]]:
    """A field with the class it is of, and what it is asked for by: `@InjectQueue("usage") queue: Queue`."""
    said = node.child_by_field_name("type")
    kind = said.named_children[0] if said is not None and said.named_children else None
    if kind is None or kind.type != "type_identifier":
        return []
    asked = [annotated(one) for one in node.named_children if one.type == "decorator"]
    return [
        (f"this.{name}", Expr("call", text_of(kind), tuple(part for one in asked for part in one.parts[:1])))
    ]


def enumerated(node: Node) -> tuple[str, Expr]:
    """`enum Queue { Usage = "usage" }` as the object that it is."""
    body = node.child_by_field_name("body")
    pairs = [
        (text_of(one.child_by_field_name("name")), expression(value))
        for one in (body.named_children if body is not None else ())
        if (value := one.child_by_field_name("value")) is not None
    ]
    name = text_of(node.child_by_field_name("name"))
    return name, Expr("object", "", tuple(value for _, value in pairs), tuple(key for key, _ in pairs))
