"""What frameworks make of a request: fields asked for by name, values that were checked, rows made of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tallystick.audit.program.receivers import RUBY
from tallystick.audit.syntax.ir import NOTHING, Binding, Expr, Function
from tallystick.audit.syntax.searches import finite

FIELD = re.compile(r"^[A-Za-z_][\w.\[\]-]*$")
NAMING = re.compile(r"(?:^|\.)(?:permit|expect|only|validate)$")  # says which fields it gives
CHECKED = frozenset(["validated_data", "cleaned_data"])  # by a serializer or a form, of what it was made with
TYPED = re.compile(
    r"(?:^|\\)\w*Request$"
)  # Laravel's own, and what is made of it: `StoreUsageRequest $request`
OWN = frozenset(  # of Laravel's request, and no fields of what was sent
    ["attributes", "cookies", "files", "headers", "query", "request", "route", "server", "session", "user"]
)
MADE = finite(  # a row, or an object: `Usage.objects.create`, `current_user.usages.create`; nothing of a provider
    r"^(?!.*(?i:client|openai|anthropic|replicate|stripe|\bapi))(?:(?:[A-Z]\w*\.)*[A-Z]\w*"
    r"(?:(?:\.objects)?\.a?(?:create|build|forceCreate))?|.*\w(?:s|_set)(?:\(\))?\.(?:create|build)"
    r"|(?:.*\.)?(?:prisma|db|tx)\.\w+\.create)$"
)
HELD = frozenset(["data", "defaults", "attributes", "values"])


def field(call: Expr) -> str:
    """What a call takes out of a request, with the name it asks for: `$request->input('tokens')`."""
    first = call.parts[0] if call.parts else NOTHING
    named = first.kind == "const" and FIELD.match(first.text) is not None
    return f"{call.text}.{first.text}" if named else call.text


def gives(call: Expr, path: str) -> bool:
    """Whether a field is among those that a call lets through, where it says so: `params.permit(:tokens)`."""
    said = set(_words(call.parts)) if NAMING.search(call.text) else set()
    head = path.partition(".")[0]
    return not head or "..." in said or not said or any(one.partition(".")[0] == head for one in said)


def _words(values: tuple[Expr, ...], depth: int = 0) -> Iterator[str]:
    """The fields named in a list or by the rules for them; `...` where not all of them are written out."""
    for one in values if depth < 4 else ():
        if one.kind == "const":
            yield one.text
        elif one.kind in ("object", "mix"):
            yield from one.keys
            yield from _words(one.parts, depth + 1)
        elif depth == 0 or one.kind == "name":
            yield "..."


def is_sent(binding: Binding, path: str) -> bool:
    """Whether `$request->tokens` is a field of what was sent: of a typed request, and not one of its own."""
    return (
        TYPED.search(binding.kind.strip("?")) is not None
        and FIELD.match(path) is not None
        and ("." not in path and path not in OWN)
    )


def is_attribute(path: str, call: Expr) -> bool:
    """Whether a call of Ruby's may be what a value has under a name: `usage.tokens`."""
    head = call.text.partition(".")[0]
    return path.endswith(RUBY) and not call.parts and head not in ("", call.text, "params", "request")


def answers(path: str, function: Function) -> Iterator[Expr]:
    """What a function gives back; of Ruby also what it calls last."""
    yield from function.returns
    for call in function.calls if path.endswith(RUBY) else ():
        if call.state == "returned":
            yield Expr("call", call.callee, call.args)


def written(path: str, call: Expr) -> Iterator[Expr]:
    """The columns or fields that a row or an object is made with; of a mapping only where Python spreads it."""
    spread = path.endswith(".py") and call.text.rpartition(".")[2][:1].isupper()
    for one in call.parts if MADE.search(call.text) else ():
        if one.kind == "object":
            pairs = [pair for pair in zip(one.keys, one.parts, strict=False) if pair[0] != "..."]
            yield Expr("object", "", tuple(part for _, part in pairs), tuple(name for name, _ in pairs))
            yield from (part for name, part in pairs if name in HELD and part.kind == "object")
        elif spread and one.kind == "mix" and not one.text and len(one.parts) == 1:  # `Scan(**request.json)`
            yield from one.parts
        elif path.endswith((*RUBY, ".php")) and one.kind in (
            "name",
            "call",
        ):  # what was let through, as it is
            yield one
