"""Values and dotted names out of syntax nodes."""

from __future__ import annotations

import re

from tree_sitter import Node

from tallystick.audit.syntax import tables
from tallystick.audit.syntax.ir import NOTHING, Expr

DEEPEST = 40
LONGEST = 200  # letters of a name
CHOICES = frozenset(["ternary_expression", "conditional_expression", "conditional"])
DEFAULTED = frozenset(["assignment_pattern", "object_assignment_pattern"])
BELOW = 4
ASKING = ("Annotated.[]", "Provide.[]")  # `MeterDep = Annotated[Meter, Depends(get_meter)]`
LASTING = ("().singleton", "().scoped", "().transient")  # how long what a container makes is kept
SETTER = re.compile(r"^(?:set|put|add)(?=[A-Z])")


def text_of(node: Node | None) -> str:
    """The source text of a node."""
    return node.text.decode("utf-8", "replace") if node is not None and node.text is not None else ""


def named(node: Node | None) -> str:
    """A name as it is called: Ruby's `save!` and `paid?` without their mark."""
    return text_of(node).rstrip("!?")


def plain(node: Node) -> str:
    """The text of a literal without its quotes."""
    return text_of(node).strip("\"'`:").removeprefix('f"').removeprefix("f'")


def child_of(node: Node, index: int = 0) -> Node | None:
    """A named child, or nothing."""
    return node.named_child(index) if 0 <= index < node.named_child_count else None


def unwrapped(node: Node) -> Node:
    """What stands within brackets and types: the object of `{ … } satisfies Handler`."""
    inner = child_of(node) if node.type in tables.WRAPS else None
    return unwrapped(inner) if inner is not None else node


def chain(node: Node | None, depth: int = 0) -> str:
    """The dotted name of a callee or a value; `()` marks a call on the way."""
    if node is None or depth > DEEPEST:
        return "?"
    kind = node.type
    if kind in tables.NAMES:
        return text_of(node).lstrip("$@\\").replace("\\", ".")  # PHP: `\\Stripe\\Billing\\MeterEvent`
    if kind in tables.MEMBERS:
        left, right = tables.MEMBERS[kind]
        first = node.child_by_field_name(left) if left else child_of(node, 0)
        last = node.child_by_field_name(right) if right else child_of(node, node.named_child_count - 1)
        return f"{chain(first, depth + 1)}.{text_of(last).lstrip('$')}"
    if kind in tables.CALLS:
        return callee(node, depth + 1) + "()"
    if kind in ("subscript_expression", "subscript", "element_reference"):
        return _subscript(node, depth)
    if kind == "integer":
        return text_of(node)  # Ruby: `5.minutes`
    if kind in tables.WRAPS or kind in tables.AWAITS:
        return chain(child_of(node, 0), depth + 1)
    return "?"


def _subscript(node: Node, depth: int) -> str:
    index = child_of(node, 1)
    below = plain(index) if index is not None and index.type in tables.STRINGS else "[]"
    return f"{chain(child_of(node, 0), depth + 1)}.{below}"


def callee(node: Node, depth: int = 0) -> str:
    """The dotted name of what a call node calls."""
    name = node.child_by_field_name("name") or node.child_by_field_name("method")
    receiver = next(
        (
            found
            for field in ("object", "scope", "receiver")
            if (found := node.child_by_field_name(field)) is not None
        ),
        None,
    )
    if receiver is not None and name is not None:
        return f"{chain(receiver, depth)}.{named(name)}"
    if name is not None:
        return named(name)
    target = (
        node.child_by_field_name("function")
        or node.child_by_field_name("constructor")
        or node.child_by_field_name("type")
        or child_of(node, 0)
    )
    return chain(target, depth)


def is_bare_call(node: Node) -> bool:
    """Whether a Ruby word alone is a statement or a value that is kept: `report_usage`, `total = count_usage`."""
    return node.type == "identifier" and node.parent is not None and node.parent.type in tables.ALONE


def arguments(node: Node) -> list[Node]:
    """The argument nodes of a call."""
    inside = node.child_by_field_name("arguments")
    if inside is None:
        inside = next(
            (child for child in node.named_children if child.type in ("arguments", "argument_list")), None
        )
    if inside is None:
        return []
    if inside.type == "template_string":
        return [inside]
    return [child for child in inside.named_children if child.type != "comment"]


def arguments_of(node: Node, depth: int = 0) -> tuple[Expr, ...]:
    """The argument values; keyword arguments are gathered into one object at the end."""
    plain_ones, keys, values = [], [], []
    for one in arguments(node):
        key = one.child_by_field_name("name") or one.child_by_field_name("key")
        if one.type in ("keyword_argument", "pair") or (one.type == "argument" and key is not None):
            keys.append(plain(key) if key is not None else "")
            last = child_of(one, one.named_child_count - 1)  # PHP: `quantity: $n`
            values.append(expression(one.child_by_field_name("value") or last, depth + 1))
        else:
            plain_ones.append(expression(one, depth + 1))
    if keys:
        plain_ones.append(Expr("object", "", tuple(values), tuple(keys)))
    return tuple(plain_ones)


def given_otherwise(node: Node) -> list[Node]:
    """What the parameters of a function are where its caller gives nothing: `deps = defaults()`."""
    inside = node.child_by_field_name("parameters")
    found = []
    for one in inside.named_children if inside is not None else []:
        value = one.child_by_field_name("value") or one.child_by_field_name("right")
        found += [value] if value is not None else []
    return found


def served_otherwise(node: Node) -> list[tuple[str, Expr]]:
    """Parameters that a function calls, with what they are by default: `meter = defaultMeter`."""
    inside, body = node.child_by_field_name("parameters"), text_of(node.child_by_field_name("body"))
    found = []
    for one in _defaulted(inside) if inside is not None else []:
        name = text_of(one.child_by_field_name("pattern") or one.child_by_field_name("left"))
        value = expression(one.child_by_field_name("value") or one.child_by_field_name("right"))
        called = name.isidentifier() and re.search(rf"\b{name}(?:\.\w{{1,99}})?\(", body)
        if called and value.kind in ("name", "call"):
            found.append((name, value))
    return found


def _defaulted(node: Node, depth: int = 0) -> list[Node]:
    """The parameters, and members of their patterns, that have a value of their own."""
    own = [one for one in node.named_children if one.child_by_field_name("value") or one.type in DEFAULTED]
    below = [each for one in node.named_children if depth < BELOW for each in _defaulted(one, depth + 1)]
    return [*own, *below]


def expression(node: Node | None, depth: int = 0) -> Expr:
    """The value a node stands for."""
    if node is None or depth > DEEPEST:
        return NOTHING
    kind = node.type
    if kind in tables.NAMES:
        return Expr("name", chain(node)[:LONGEST])
    if kind in tables.STRINGS and not _interpolated(node):
        return Expr("const", plain(node))
    if kind in tables.CONSTANTS:
        return Expr("const", text_of(node))
    if kind in tables.CALLS:
        name = callee(node)[:LONGEST]
        if name.endswith(LASTING) and (inner := _receiver(node)) is not None:
            return expression(inner, depth + 1)
        return (
            _built(node, depth)
            or _looked_up(node, depth)
            or Expr("call", name, arguments_of(node, depth + 1))
        )
    if kind == "unary_expression" and text_of(node).startswith("&"):
        return expression(child_of(node, 0), depth + 1)
    if kind in tables.MEMBERS or kind in ("subscript_expression", "subscript", "element_reference"):
        return _member(node, depth)
    if kind in tables.OBJECTS:
        return _object(node, depth)
    if kind in tables.FUNCTIONS:
        return Expr("func", str(node.start_point[0] + 1))
    if kind in tables.WRAPS or kind in tables.AWAITS:
        cast = node.child_by_field_name("value") if kind == "cast_expression" else None  # after its type
        return expression(cast or child_of(node, 0), depth + 1)
    if kind == "template_string":
        text = text_of(node).strip("`")
        return Expr("mix", text[:600], tuple(expression(c, depth + 1) for c in node.named_children))
    given = node.named_children[:40]
    if kind in CHOICES:  # what decides between two values is neither of them
        asked = node.child_by_field_name("condition") or child_of(node, 1)
        given = [child for child in given if child != asked]
    return Expr("mix", "", tuple(expression(child, depth + 1) for child in given))


def _receiver(node: Node) -> Node | None:
    """What the method of a call is called on."""
    target = node.child_by_field_name("function")
    return target.child_by_field_name("object") if target is not None else None


def annotated(node: Node) -> Expr:
    """A decorator's value; a Java annotation is a call by its name: `@Scheduled(cron = "…")`."""
    given = node.child_by_field_name("arguments")
    if node.type != "annotation" or given is None:
        return expression(child_of(node, 0))
    plain_ones = [child for child in given.named_children if child.type != "element_value_pair"]
    pairs = [child for child in given.named_children if child.type == "element_value_pair"]
    keys = tuple(text_of(one.child_by_field_name("key")) for one in pairs)
    values = tuple(expression(one.child_by_field_name("value")) for one in pairs)
    named = (Expr("object", "", values, keys),) if pairs else ()
    return Expr("call", text_of(node.child_by_field_name("name")), (*map(expression, plain_ones), *named))


def _built(node: Node, depth: int) -> Expr | None:
    """What `X.builder().setA(v).putB("k", w).build()` makes: an object of what was set."""
    keys: list[str] = []
    values: list[Expr] = []
    if node.type != "method_invocation" or text_of(node.child_by_field_name("name")) != "build":
        return None
    step = node.child_by_field_name("object")
    while step is not None and step.type == "method_invocation":
        given = arguments_of(step, depth + 1)
        name = SETTER.sub("", text_of(step.child_by_field_name("name")))
        if given:
            keys.append(name)
            pair = len(given) == 2 and given[0].kind == "const"
            values.append(Expr("object", "", given[1:], (given[0].text,)) if pair else given[0])
        step = step.child_by_field_name("object")
    return Expr("object", "", tuple(values), tuple(keys)) if keys else None


def _looked_up(node: Node, depth: int) -> Expr | None:
    """`{"paid": f}.get(kind)` is a value of the table, as `{"paid": f}[kind]` is."""
    target = node.child_by_field_name("function")
    holder = target.child_by_field_name("object") if target is not None else None
    if holder is None or holder.type != "dictionary" or not text_of(target).endswith(".get"):
        return None
    return Expr("member", "[]", (expression(holder, depth + 1),))


def _interpolated(node: Node) -> bool:
    return any(
        "interpolation" in child.type or child.type == "variable_name" for child in node.named_children
    )


def _member(node: Node, depth: int) -> Expr:
    name = chain(node)[:LONGEST]
    if name.endswith(ASKING):
        return Expr(
            "call",
            name.removesuffix(".[]"),
            tuple(expression(one, depth + 1) for one in node.named_children[1:]),
        )
    if "()" not in name and "?" not in name:
        return Expr("name", name)
    inner = node.child_by_field_name("object") or child_of(node, 0)
    return Expr("member", name.rpartition(".")[2], (expression(inner, depth + 1),))


def _object(node: Node, depth: int) -> Expr:
    keys: list[str] = []
    values: list[Expr] = []
    body = node.child_by_field_name("body") or node
    for child in body.named_children:
        if child.type in tables.PAIRS:
            key = child.child_by_field_name("key") or child_of(child, 0)
            value = child.child_by_field_name("value") or child_of(child, child.named_child_count - 1)
            keys.append(text_of(key).strip("\"'`:[]"))
            values.append(expression(value, depth + 1))
        elif child.type in ("shorthand_property_identifier", "identifier"):
            keys.append(text_of(child))
            values.append(Expr("name", text_of(child)))
        elif child.type in ("spread_element", "dictionary_splat", "variadic_unpacking"):
            keys.append("...")
            values.append(expression(child_of(child, 0), depth + 1))
        elif child.type == "method_definition":
            keys.append(text_of(child.child_by_field_name("name")))
            values.append(Expr("func", str(child.start_point[0] + 1)))
    return Expr("object", "", tuple(values), tuple(keys))
