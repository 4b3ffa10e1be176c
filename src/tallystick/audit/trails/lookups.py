"""By what a row is looked up: the columns that are compared, and whose rows are looked through at all."""

from __future__ import annotations

import re

from tallystick.audit.program.program import Key, Program
from tallystick.audit.program.receivers import RUBY
from tallystick.audit.syntax.ir import Expr

IDENTITY = re.compile(
    r"(?:^id|Id|ID|_id|^pk|^uuid|^email|^slug|^username|^customer|^account|^user|^org\w*|^team|^workspace)$"
)
NARROWING = re.compile(  # by what is compared, and by nothing that is not seen
    r"^(?:query|newQuery|objects|select\w*|prefetch_related|with|includes|where|filter|all|active|lock\w*|a?get|a?first\w*|find\w*|take|last|sole|orWhere|whereKey)$"
)
COMPARED = frozenset(["eq", "and", "or"])
EQUAL = 2  # a column and a value


def conditions(value: Expr, depth: int = 0) -> list[tuple[str, Expr]]:
    """The conditions of a look-up, by column."""
    found: list[tuple[str, Expr]] = []
    for number, part in enumerate(value.parts):
        field = value.keys[number] if number < len(value.keys) else ""
        if part.kind == "call" and part.text in COMPARED and depth < 4:
            found += _compared(part, depth + 1)
        elif part.kind == "object" and depth < 4:
            found += conditions(part, depth + 1)
        elif part.kind in ("name", "call", "member"):
            found.append((field, part))
    return found


def _compared(value: Expr, depth: int) -> list[tuple[str, Expr]]:
    """What Drizzle's `and(eq(orders.customerId, id), …)` compares, by column."""
    if value.text != "eq":
        return conditions(value, depth)
    column = value.parts[0].text.rpartition(".")[2] if len(value.parts) == EQUAL else ""
    return [(column, one) for one in value.parts[1:] if one.kind in ("name", "call", "member")]


def chained(program: Program, key: Key, value: Expr) -> list[tuple[str, Expr]]:
    """What the earlier calls of a chain were given: `from("t").select().eq("id", id).single()`."""
    calls = program.function(key).calls if "()" in value.text else ()
    whole = [one for one in calls if one.callee == value.text]
    if len(whole) != 1:
        return []
    inner = [
        one
        for one in calls
        if value.text.startswith(f"{one.callee}().") and whole[0].line <= one.line <= whole[0].end_line
    ]
    given = [one.args for one in inner]
    compared = [each for args in given for each in conditions(Expr("mix", "", args)) if each[0]]
    return compared or [("", one) for args in given for one in args if one.kind in ("name", "call", "member")]


def within(program: Program, key: Key, whole: str, inner: str) -> Expr | None:
    """The call that a chain begins with, where there is one such chain: `Org.find(id)` of `Org.find(id).customer`."""
    if f"{inner}()." not in whole:
        return None
    calls = program.function(key).calls
    around = [one for one in calls if one.callee == whole]
    found = [
        one
        for one in calls
        if one.callee == inner and around and around[0].line <= one.line <= around[0].end_line
    ]
    same = len({one.args for one in found}) == 1 and len(around) == 1
    return Expr("call", inner, found[0].args) if same else None


def is_of_all(path: str, call: Expr) -> bool:
    """Whether any row of a table can be found, and not only what belongs to somebody: `Org.find`, `user.orgs.find`."""
    steps = call.text.replace("()", "").split(".")
    if path.endswith(".py"):
        if steps[-1].endswith("get_object_or_404"):
            return bool(call.parts) and call.parts[0].kind == "name" and call.parts[0].text[:1].isupper()
        if "objects" not in steps:
            return True
    elif not path.endswith((*RUBY, ".php")):
        return True
    return steps[0][:1].isupper() and all(one[:1].isupper() or NARROWING.match(one) for one in steps)
