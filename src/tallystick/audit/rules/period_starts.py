"""The first moment of the billing period that runs, as programs say it, and queries for what is not before it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from tallystick.audit.syntax.ir import Call, Expr, Function
from tallystick.audit.syntax.searches import finite

OPENED = re.compile(  # by name, or by a call of that name
    r"(?i)(?:start|begin(?:ning)?|first)(?:_?day)?_?of_?(?:the_?|this_?|current_?)?(?:month|billing_?period|billing_?cycle)"
    r"|(?:^|[._])(?:get_?|calendar_?|current_?|this_?|billing_?)*(?:month|cycle)_?(?:start|begin)|with_?day_?of_?month"
    r"|current_?(?:billing_?|usage_?)?period_?start|\bcurrent_?(?:billing_?)?cycle_?start"
)
RUNNING = re.compile(r"(?i)current_?(?:billing_?|usage_?)?period|this_?(?:month|period)")
FIRST_OF = re.compile(r"(?i)^(?:\w*start\w*|since|from|begin\w*)$")
BACK = re.compile(
    r"(?i)prev(?!ent|iew)|(?:^|[._])last|earlier|sub(?:tract)?_?(?:days?|hours?|months?|minutes?|weeks?|seconds?)"
    r"|\.sub(?:tract)?$|minus|\bago\b|timedelta|duration|relativedelta|(?:^|\.)add(?:_?date)?$|^(?:seconds|minutes|hours|days|weeks)$"
)
MADE_OF = frozenset(["Date", "UTC", "datetime", "date", "of", "DateTime", "utc", "local"])
WRITTEN = re.compile(r"^(?:Y-m-01|%Y-%m-01|yyyy-MM-01|YYYY-MM-01)")
SINCE = finite(  # by a name: `>= start`, `.gte("at", start)`, `start..now`
    rb"(?:\bgte?\b|__gte?|>=|(?<=[\"'])>(?=[\"']))[\"'\]]*\s*[:=(,]?\s*\$?(\w+)\b"
    rb"|\bgte?\(\s*[\"']?[\w.]+[\"']?\s*,\s*(\w+)|(?i:between)\(\s*(?:[\"'][\w.]+[\"']\s*,\s*)?\[?\s*\$?(\w+)|\b(\w+)\s*\.{2,3}\s*\w"
)
NOT_BEFORE = re.compile(r"(?i)^(?:where_?)?(?:gte?|ge|since)$")
UNDER = re.compile(r"(?:^|__|\$|_)gte?$")
MARK = re.compile(r"\$\d+|\?|%s|[:@]\w+")
BOUND = re.compile(r">=?\s*(\$\d{1,3}|\?|%s|[:@]\w{1,80})")
DEEPEST = 4
AGAIN = 2  # names that stand for names


def is_start(value: Expr, function: Function, depth: int = 0) -> bool:
    """Whether a value is the first moment of the period that runs, and of none before it."""
    if value.kind not in ("name", "mix", "call") or depth > DEEPEST:
        return False
    if any(BACK.search(word) for word in words(value, function)):
        return False
    if value.kind == "name":
        return OPENED.search(value.text) is not None or _named_start(value.text, function, depth)
    if value.kind == "mix":  # `sub.current_period_start * 1000`
        return any(one.kind == "name" and is_start(one, function, depth + 1) for one in value.parts)
    return not value.text.startswith("?") and _called_start(value, function, depth)


def _called_start(value: Expr, function: Function, depth: int) -> bool:
    last = value.text.rpartition(".")[2]
    parts = value.parts
    if OPENED.search(value.text):
        return not any(one.kind == "mix" for one in parts)  # `monthStart(now - lag)`
    if last in MADE_OF and len(parts) > 2:
        month = any("onth" in word for word in _texts(parts[1]))
        return month and parts[1].kind != "mix" and parts[2] == Expr("const", "1")
    if last in MADE_OF and len(parts) == 1 and parts[0].kind == "call":
        return is_start(parts[0], function, depth + 1)
    if last in ("date", "format", "strftime"):
        return len(parts) == 1 and WRITTEN.match(parts[0].text) is not None
    if last == "startOf" and parts:
        return parts[0].text == "month"
    if last in ("atDay", "withDayOfMonth"):
        return parts[:1] == (Expr("const", "1"),)
    given = next((one for one in parts if one.kind == "object"), Expr("object"))
    first = dict(zip(given.keys, given.parts, strict=False)).get("day")
    return last in ("replace", "change") and first == Expr("const", "1") and "month" not in given.keys


def _named_start(name: str, function: Function, depth: int) -> bool:
    """Whether a name was given the start of the period, or the start of what is called the current period."""
    for given, value in function.assigns:
        if given == name and is_start(value, function, depth + 1):
            return True
        if given == name and FIRST_OF.match(name) and any(map(RUNNING.search, _texts(value))):
            return True
    return False


def words(value: Expr, function: Function, depth: int = 0) -> list[str]:
    """The words that a value is made of, and those that its names were given."""
    found = _texts(value)
    if depth < AGAIN:
        given = dict(function.assigns)
        for name in [one for one in found if one in given]:
            found += words(given[name], function, depth + 1)
    return found


def _texts(value: Expr, depth: int = 0) -> list[str]:
    inner = [word for part in value.parts for word in _texts(part, depth + 1)] if depth < DEEPEST else []
    return [value.text, *value.keys, *inner]


def lower_bounds(function: Function) -> Iterator[int]:
    """The lines of a function that ask for what is not before the start of the period."""

    def opens(value: Expr) -> bool:
        return is_start(value, function)

    for call in function.calls:
        if asks_from(call, opens):
            yield call.line


def asks_from(call: Call, is_meant: Callable[[Expr], bool]) -> bool:
    """Whether a call asks for what is not before such a value: `gte("at", start)`, `where("at", ">=", start)`."""
    if NOT_BEFORE.match(call.callee.rpartition(".")[2]):
        return any(map(is_meant, call.args[-1:]))
    for number, value in enumerate(call.args):
        if value.kind == "const" and value.text.strip() in (">=", ">"):
            return any(map(is_meant, call.args[number + 1 : number + 2]))
        if value.kind == "const" and BOUND.search(value.text):
            return _in_words(call, number, is_meant)
    return any(_under(value, is_meant) for value in call.args)


def _under(value: Expr, is_meant: Callable[[Expr], bool], depth: int = 0) -> bool:
    """Whether such a value stands under a key that means a lower bound: `{ at: { gte: start } }`, `at__gte=start`."""
    for number, part in enumerate(value.parts if value.kind in ("object", "mix") else ()):
        if number < len(value.keys) and UNDER.search(value.keys[number]) and is_meant(part):
            return True
        if depth < DEEPEST and _under(part, is_meant, depth + 1):
            return True
    return False


def _in_words(call: Call, number: int, is_meant: Callable[[Expr], bool]) -> bool:
    """Whether a query in words has such a value in the place of its lower bound: `at >= $2`."""
    text = call.args[number].text
    hit = BOUND.search(text)
    assert hit is not None
    given = [*call.args[number + 1 :]]
    given = [*given[0].parts] if len(given) == 1 and given[0].kind in ("mix", "object") else given
    if hit[1][0] in ":@":
        return any(map(is_meant, given))
    place = int(hit[1][1:]) if hit[1][0] == "$" else len(MARK.findall(text[: hit.end()]))
    return any(map(is_meant, given[place - 1 : place]))


def roots(value: Expr) -> set[str]:
    """The names and calls that a value is made of, each with what it is a part of: `used.total` is of `used`."""
    found = {one for part in value.parts for one in roots(part)}
    pieces = value.text.split(".")
    return found | {".".join(pieces[: number + 1]) for number in range(len(pieces)) if value.kind != "const"}
