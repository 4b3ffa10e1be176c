"""Functions under construction while a tree is walked."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import msgspec
from tree_sitter import Node

from tallystick.audit.syntax import tables
from tallystick.audit.syntax.expressions import chain, child_of, expression, named, plain, text_of
from tallystick.audit.syntax.ir import Binding, Call, Expr, Function, Handler
from tallystick.audit.syntax.patterns import flags_of
from tallystick.audit.syntax.searches import finite

FILLING = finite(
    r"(?:^|\.)(?:(?:Should|Must)?Bind(?:JSON|Query|Uri|Form|XML|With)?|BodyParser|QueryParser|Decode|Unmarshal)$"
)
READING = re.compile(  # a helper of the tree's own, or of chi: `readJSON(w, r, &body)`
    r"(?i)(?:^|\.)(?:read|decode|parse|bind|unmarshal)(?:And[A-Za-z]{1,12})?(?:json|body|request|input|payload)\w*$|^render\.Bind$"
)
REQUESTED = re.compile(r"^(?:r|req|request)(?:\.Body)?$")
ASKED = finite(rb"\bDepends\(\s*([\w.]+)\s*(\()?")
KEPT_IN = frozenset(["subscript", "subscript_expression"])
KEPT_NAME = re.compile(r"^[\w$-]+[!?]?$")  # Ruby: `report!`
SERVED = finite(
    r"^\(\s*(?:\w+\s+(?:\*gin\.Context|echo\.Context|\*?fiber\.Ctx|\*fasthttp\.RequestCtx|\*?iris\.Context)"
    r"|\w+\s+http\.ResponseWriter\s*,\s*\w+\s+\*http\.Request"
    r"|\w+\s+context\.Context\s*,\s*\w+\s+\*?(?:connect\.Request\[[^\]]+\]|\w+\.\w+Request(?:Object)?)"
    r"|\w+\s+\*\w+\.\w+Request\s*,\s*\w+\s+(?:\w+\.\w+Server|\*connect\.ServerStream\[[^\]]+\]))\s*,?\s*\)$"
    r"|^\(\s*_?req(?:uest)?\b[^,()]*,\s*_?(?:res|response|reply)\b[^,()]*(?:,\s*_?next\b[^,()]*)?,?\s*\)$"
)
UNHEARD = re.compile(r"^(?:(?:globalThis|window|undici)\.)?fetch$")  # it answers a refusal, and raises none
PRIVATE = re.compile(rb"(?:(?:static|final|abstract)\s+)*(?:private|protected)\s")
RECEIVER = finite(r"\*?(\w+)(?:\[[^\]]*\])?\)$")


@dataclass
class Draft:
    """One function as it grows."""

    name: str
    owner: str = ""
    line: int = 1
    end_line: int = 1
    parent: int = -1
    exported: bool = False
    is_async: bool = False
    via: int = -1
    bindings: list[Binding] = field(default_factory=list)
    decorators: list[Expr] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    assigns: list[tuple[str, Expr]] = field(default_factory=list)
    returns: list[Expr] = field(default_factory=list)
    flags: tuple[str, ...] = ()
    answers: str = ""

    def finished(self) -> Function:
        """The value for the module."""
        return Function(
            self.name,
            self.owner,
            self.line,
            self.end_line,
            self.parent,
            self.exported,
            self.is_async,
            tuple(self.bindings),
            self.via,
            tuple(self.decorators),
            tuple(self.calls),
            tuple(self.assigns),
            tuple(self.returns),
            self.flags,
            self.answers,
        )


class Context(msgspec.Struct, frozen=True):
    """Where in the tree the walk stands."""

    function: int = 0
    owner: str = ""
    name: str = ""  # the name a function literal here would get
    state: str = "inner"
    handlers: tuple[Handler, ...] = ()
    via: int = -1
    exported: bool = False
    spawned: bool = False
    answered: Handler | None = None
    decorators: tuple[Expr, ...] = ()
    around: tuple[Handler, ...] = ()  # what a class says of errors in its `perform`


def started(node: Node, context: Context) -> Draft:
    """A draft for a function node."""
    name_node = node.child_by_field_name("name")
    name = named(name_node) if name_node is not None else context.name
    if node.type == "function_expression" and context.name not in ("", "default"):
        name = context.name  # `const report = function own() {}`: others know it by the name it is given to
    head = (node.text or b"")[:200]
    return Draft(
        assigns=_defaults(node),
        name=name if KEPT_NAME.match(name or "") else "",
        owner=context.owner or _receiver_type(node),
        line=node.start_point[0] + 1,
        end_line=node.end_point[0] + 1,
        parent=context.function,
        exported=context.exported,
        is_async=head.lstrip().startswith(b"async") or b" async " in head.partition(b"(")[0],
        via=context.via,
        bindings=_bindings(node),
        decorators=list(context.decorators),
        flags=(*flags_of(node.text or b""), *_served(node), *(("private",) if PRIVATE.match(head) else ())),
        answers=text_of(node.child_by_field_name("return_type")).lstrip(": ")[:80],
    )


def recorded(node: Node, name: str, values: tuple[Expr, ...], context: Context) -> Call:
    """A call where it stands, and what becomes of its answer and its error there."""
    start, end = node.start_point, node.end_point
    forgotten = context.state == "awaited" and UNHEARD.match(name) is not None
    answered = Handler(start[0] + 1, "log") if forgotten else context.answered
    return Call(
        name[:200], values, start[0] + 1, start[1] + 1, end[0] + 1, end[1] + 1,
        context.state, context.handlers, context.spawned, answered,
    )  # fmt: skip


def _served(node: Node) -> tuple[str, ...]:
    """Whether a function takes what servers give: a request and its answer, or in Go also a context alone."""
    said = text_of(node.child_by_field_name("parameters"))
    return ("served",) if SERVED.match(said) else ()


def _receiver_type(node: Node) -> str:
    """The type that a Go method belongs to: `func (r *Reporter) Report()`."""
    said = text_of(node.child_by_field_name("receiver")) if node.type == "method_declaration" else ""
    hit = RECEIVER.search(said)
    return hit[1] if hit else ""


def _bindings(node: Node) -> list[Binding]:
    inside = node.child_by_field_name("parameters")
    if inside is None:
        single = node.child_by_field_name("parameter")
        return [Binding(text_of(single), 0)] if single is not None else []
    found: list[Binding] = []
    index = 0
    for child in inside.named_children:
        if child.type in ("comment", "keyword_separator", "positional_separator"):
            continue
        target = (
            child.child_by_field_name("pattern")
            or child.child_by_field_name("name")
            or child.child_by_field_name("left")
            or child
        )
        if target.type in ("typed_parameter", "rest_pattern", "list_splat_pattern"):
            target = child_of(target, 0) or target
        if text_of(target) in ("self", "cls") and index == 0:
            continue
        kind = text_of(child.child_by_field_name("type")).lstrip(": ")[:80]
        found += [Binding(name, index, path, kind) for name, path in names_below(target, "")]
        index += 1
    return found


def _defaults(node: Node) -> list[tuple[str, Expr]]:
    """Default values of Python parameters: they tell injected values from the caller's."""
    inside = node.child_by_field_name("parameters")
    found = []
    for child in inside.named_children if inside is not None else []:
        name, value = child.child_by_field_name("name"), child.child_by_field_name("value")
        if (
            child.type in ("default_parameter", "typed_default_parameter")
            and name is not None
            and value is not None
        ):
            found.append((text_of(name), expression(value)))
        kind = child.child_by_field_name("type")
        if kind is not None and b"Depends(" in (kind.text or b""):
            target = name if name is not None else child_of(child, 0)
            asked = ASKED.search(kind.text or b"")
            meant = (Expr("call" if asked[2] else "name", asked[1].decode()),) if asked else ()
            found.append((text_of(target), Expr("call", "Depends", meant)))
    return found


def names_below(node: Node, path: str, depth: int = 0) -> list[tuple[str, str]]:
    """The local names a pattern introduces, each with the path it reads."""
    if depth > 6:
        return []
    if node.type in tables.NAMES:
        return [(text_of(node).lstrip("$"), path)]
    if node.type == "object_pattern":
        found = []
        for child in node.named_children:
            found += _property(child, path, depth)
        return found
    if node.type in (
        "array_pattern",
        "pattern_list",
        "tuple_pattern",
        "expression_list",
        "left_assignment_list",
    ):
        return [
            one for child in node.named_children for one in names_below(child, _join(path, "[]"), depth + 1)
        ]
    if node.type in ("assignment_pattern", "object_assignment_pattern"):
        left = node.child_by_field_name("left") or child_of(node, 0)
        return names_below(left, path, depth + 1) if left is not None else []
    return []


def _property(child: Node, path: str, depth: int) -> list[tuple[str, str]]:
    if child.type == "shorthand_property_identifier_pattern":
        return [(text_of(child), _join(path, text_of(child)))]
    if child.type == "object_assignment_pattern":
        left = child.child_by_field_name("left") or child_of(child, 0)
        return [(text_of(left), _join(path, text_of(left)))]
    if child.type == "pair_pattern":
        key, value = child.child_by_field_name("key"), child.child_by_field_name("value")
        if key is not None and value is not None:
            return names_below(value, _join(path, plain(key)), depth + 1)
    if child.type == "rest_pattern" and child_of(child, 0) is not None:
        return [(text_of(child_of(child, 0)), path)]
    return []


def _join(path: str, step: str) -> str:
    return f"{path}.{step}" if path else step


def assigned(left: Node, right: Node | None) -> list[tuple[str, Expr]]:
    """What an assignment gives to which name."""
    lists = right is not None and left.type == right.type == "expression_list"
    if (
        right is not None and lists and left.named_child_count == right.named_child_count
    ):  # Go: `a, b := x, y`
        pairs = zip(left.named_children, right.named_children, strict=True)
        return [pair for one, given in pairs for pair in assigned(one, given)]
    value = expression(right)
    if left.type in tables.MEMBERS:
        return [(text_of(left).lstrip("$"), value)]
    if left.type in KEPT_IN and value.kind == "call" and value.text[:1].isupper():
        return [(chain(left), value)]  # `app.extensions["meter"] = Meter()`
    return [(name, Expr("member", path, (value,)) if path else value) for name, path in names_below(left, "")]


def rounds(node: Node) -> list[tuple[str, Expr]]:
    """What each round of a loop is given: one of what it goes over."""
    if node.type == "foreach_statement":  # PHP: `foreach ($rows as $key => $row)`
        right, left = child_of(node, 0), child_of(node, 1)
    else:
        taken, given = tables.LOOPS[node.type]
        left, right = node.child_by_field_name(taken), node.child_by_field_name(given)
    if left is None or right is None:
        return []
    value = expression(right)
    if left.type in ("expression_list", "pair", "pattern_list") and left.named_child_count == 2:
        last = child_of(left, 1)  # after the index or the key
        return [(name, value) for name, _ in names_below(last, "")] if last is not None else []
    return [(name, Expr("member", path, (value,)) if path else value) for name, path in names_below(left, "")]


def filled(node: Node, name: str, values: tuple[Expr, ...]) -> list[tuple[str, Expr]]:
    """What a Go call writes through a pointer: `c.BindJSON(&body)`, `json.NewDecoder(r.Body).Decode(&body)`."""
    inside = node.child_by_field_name("arguments")
    last = inside.named_children[-1] if inside is not None and inside.named_children else None
    target = text_of(last)
    if last is None or not (target.startswith("&") or last.type == "identifier"):
        return []
    target = target.removeprefix("&")
    if not FILLING.search(name) or name == "render.Bind":
        asked = [one.text for one in values[:-1] if READING.search(name) and REQUESTED.match(one.text)]
        return [(target, Expr("name", f"{one.removesuffix('.Body')}.Body")) for one in asked[:1]]
    if "Bind" in name or name.endswith("Parser"):
        return [(target, Expr("call", name))]
    made = node.child_by_field_name("function")
    reader = made.child_by_field_name("operand") if made is not None else None
    given = expression(reader).parts if reader is not None and name.endswith("Decode") else values[:-1]
    return [(target, Expr("mix", "", given))]
