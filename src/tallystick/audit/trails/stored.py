"""Rows in the application's own database: who writes them, who reads them to send them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tallystick.audit.program.constants import word
from tallystick.audit.program.program import Key, Program
from tallystick.audit.syntax.ir import Call, Expr, Function

WRITES = re.compile(
    r"^(?:create(?:Many\w*)?|upsert|insert(?:One|Many|GetId)?|add|add_all|merge|save|persist|put|values|bulk_create"
    r"|acreate|get_or_create|update_or_create|updateOrCreate|firstOrCreate|findOneAndUpdate)$"
)
READS = re.compile(
    r"^(?:find(?:Many|All|First|One|Unique|_each)?|select|from|query|where|a?filter|all|get|aggregate|groupBy|scan"
    r"|collection|lrange|collect|take|paginate|each|pluck)$"
)
USAGE = re.compile(
    r"(?i)usage|meter|event|metric|consum|outbox|ledger|tally|billable|charge|credit|token|overage|counter|report"
)
METERING = re.compile(r"(?i)usage|meter|consum|outbox|ledger|billable|overage|tally")
QUANTITY = re.compile(
    r"(?:^|[_a-z])(?:quantity|qty|amount|units?|tokens?|credits?|bytes|seconds|minutes|duration|count|usage|calls"
    r"|requests|pages|characters|words)$|^(?:value|n|size|total|used)$"
    r"|(?:Quantity|Amount|Units?|Tokens|Credits|Bytes|Seconds|Minutes|Count|Usage|Calls|Pages|Characters)$"
)
SPENT = re.compile(r"(?i)(?:used|consumed|spent|total_?cost)$")
ALLOWED = re.compile(
    r"(?i)included|allocat|allowance|quota|limit|last_?\w*reset|reset_?at"
)  # what nobody used yet
CUSTOMER = re.compile(
    r"(?i)^(?:stripe_?)?(?:customer|org(?:ani[sz]ation)?|user|account|tenant|team|workspace|subscription)"
    r"(?:_?item)?_?id$|^(?:customer|external_?customer_?id)$"
)
SQL_WRITE = re.compile(
    r"(?is)\binsert\s+(?:or\s+\w+\s+)?into\s+[\"`]?(?:\w+\.)?[\"`]?(\w+)[\"`]?\s*\(([^)]*)\)\s*values"
)
SQL_READ = re.compile(r"(?is)\bselect\b.*?\bfrom\s+[\"`]?(?:\w+\.)?[\"`]?(\w+)")
SUFFIX = re.compile(r"(?i)_?(?:collection(?:_?name)?|table(?:_?name)?|model|repository|repo|entity|schema)$")
NAMES = frozenset(["objects", "query", "collection", "_default_manager", "model"])
KEPT_BY_KEY = re.compile(  # in Redis and its like: `redis.hincrby("usage:" + org, …)`, `redis.keys("usage:*")`
    r"(?i)^(?:scan(?:_?iter|_?stream)?|keys|h?m?get|hgetall|get_?del|get_?set|smembers|[lz]range|[hsz]scan|(?P<writes>[hz]?incr(?:_?by(?:_?float)?)?))$"
)
KEYS_DEEP = 3
KEYED = "key:"  # no table of this name
ELSEWHERE = re.compile(r"(?i)pipe|multi|batch|\btx\b|statsd|metrics?\b|prom")  # sent together, or only shown
PLAIN = re.compile(r"(?i)^m?get$")  # also of a dictionary, of a client of HTTP
SEGMENT = re.compile(r"[A-Za-z]\w*")
JOINS = re.compile(r"[jJ]oin$")
MADE = re.compile(r"^(?:build|make|to|new|prepare|create)(?:[A-Z_]\w*)$")  # a row of named values
CALLABLE = re.compile(r"^[A-Z]\w+$")


@dataclass(frozen=True)
class Row:
    """One write or read of a table."""

    key: Key
    call: Call
    table: str
    writes: bool
    payload: Expr | None = None

    def column(self, pattern: re.Pattern[str]) -> tuple[Expr, ...]:
        """The values written to columns of such names."""
        if self.payload is None:
            return ()
        pairs = zip(self.payload.keys, self.payload.parts, strict=False)
        return tuple(_stepped(part) for name, part in pairs if pattern.search(name))


def normal(name: str) -> str:
    """One spelling for `UsageEvent`, `usage_events`, `USAGE_EVENTS_COLLECTION`."""
    bare = SUFFIX.sub("", name.rpartition(".")[2])
    return re.sub(r"[^a-z0-9]", "", bare.lower()).removesuffix("s")


def rows(program: Program, keys: Iterable[Key] | None = None) -> Iterator[Row]:
    """All rows written and read by these functions, or by all."""
    for key in keys if keys is not None else _every(program):
        function = program.function(key)
        for call in function.calls:
            found = _sql(key, call, function) or _changed(key, call, function)
            found = found or _keyed(program, key, call, function)
            found = found or _chain(key, call, function) or _made(key, call, function)
            if found is not None and len(found.table) > 3:
                yield found


def _every(program: Program) -> Iterator[Key]:
    for path in sorted(program.modules):
        for index in range(len(program.modules[path].functions)):
            yield path, index


def _sql(key: Key, call: Call, function: Function) -> Row | None:
    """Raw SQL: the columns of an INSERT take the parameters in order."""
    text, rest, inside = _statement(call)
    if "from" not in text.lower() and "into" not in text.lower():
        return None
    hit = SQL_WRITE.search(text)
    if hit:
        columns = tuple(one.strip(' "`\n\t') for one in hit[2].split(","))
        given = rest[0] if rest else None
        if given is not None and given.kind == "object":
            return Row(key, call, normal(hit[1]), True, given)
        listed = given is not None and given.kind == "mix" and len(rest) == 1
        parts = given.parts if given is not None and listed else rest or _bound(call, function) or inside
        return Row(key, call, normal(hit[1]), True, Expr("object", "", parts, columns[: len(parts)]))
    hit = SQL_READ.search(text)
    return Row(key, call, normal(hit[1]), False) if hit else None


def _statement(call: Call) -> tuple[str, tuple[Expr, ...], tuple[Expr, ...]]:
    """The SQL of a call, after a context and what is filled; the parameters behind it, and those written into it."""
    for number, one in enumerate(call.args[:3]):
        inner = one.parts[0] if one.kind == "call" and one.text.endswith("text") and one.parts else one
        if inner.kind in ("const", "mix") and " " in inner.text:
            return inner.text, call.args[number + 1 :], inner.parts
    return "", (), ()


def _bound(call: Call, function: Function) -> tuple[Expr, ...]:
    """The parameters that `prepare(sql).bind(a, b)` and `prepare(sql).run(a, b)` give later."""
    later = (f"{call.callee}().bind", f"{call.callee}().run")
    chained = (one for one in function.calls if one.callee in later and one.line == call.line and one.args)
    return next((one.args for one in chained), ())


def _keyed(program: Program, key: Key, call: Call, function: Function) -> Row | None:
    """A number kept under a key that speaks of usage: the first such word of the key stands for a table."""
    owner, _, method = call.callee.rpartition(".")
    hit = KEPT_BY_KEY.match(method)
    if hit is None or not owner or ELSEWHERE.search(f"{owner} {_value(function, Expr('name', owner)).text}"):
        return None
    keys = (_leading(program, key[0], function, one) for one in call.args)
    fitting = (one for one in keys if one[:1] != "/" and (":" in one or not PLAIN.match(method)))
    words = (word for one in fitting for word in SEGMENT.findall(one) if METERING.search(word))
    table = normal(next(words, ""))
    added = Expr("object", "", call.args[-1:], ("quantity",))
    return Row(key, call, KEYED + table, hit["writes"] is not None, added) if table else None


def is_counter(call: Call) -> bool:
    """Whether a call raises a number that is kept under a key: it is there once, for whoever takes it first."""
    hit = KEPT_BY_KEY.match(call.callee.rpartition(".")[2])
    return hit is not None and hit["writes"] is not None


def _leading(program: Program, path: str, function: Function, value: Expr, depth: int = 0) -> str:
    """What a key begins with: `usage:` of `usage:${org}`, of `"usage:" + org`, of `${PREFIX}:${org}`."""
    given = _value(function, value)
    if given.kind == "name" or (depth and value.kind == "name" and given.kind not in ("const", "mix")):
        return word(program, path, value)
    value = given
    text = re.split(r"[$%{*]", value.text)[0] if value.kind in ("const", "mix") else ""
    if text or depth > KEYS_DEEP:
        return text
    found = (_leading(program, path, function, one, depth + 1) for one in value.parts)
    return next((one for one in found if one), "")


def _chain(key: Key, call: Call, function: Function) -> Row | None:
    """`prisma.usageEvent.create`, `db.insert(t).values`, `supabase.from("t").insert`, `Model.objects.create`."""
    if call.callee.endswith((".add", ".add_all", ".merge")):
        return None
    parts = call.callee.split(".")
    writes = WRITES.match(parts[-1]) is not None
    if not writes and not READS.match(parts[-1]):
        return None
    head, mark, _ = call.callee.partition("()")
    if mark:
        table = _named(function, call, head)
        return Row(key, call, normal(table), writes, _payload(call, function)) if table else None
    if len(parts) == 1 or parts[-1] in ("from", "query", "select", "collection"):
        table = _first(call) if len(parts) == 1 or not writes else ""
        return Row(key, call, normal(table), False) if table and not writes else None
    owners = [one for one in parts[:-1] if one not in NAMES and one not in ("this", "self")]
    return Row(key, call, normal(owners[-1]), writes, _payload(call, function)) if owners else None


def _named(function: Function, call: Call, head: str) -> str:
    """The table given to the first call of a chain."""
    found = []
    for other in function.calls:
        opens = other.callee == head or (other.callee.startswith(head + "()") and other is not call)
        if opens and call.line <= other.line <= other.end_line <= call.end_line and _first(other):
            found.append(other)
    joined = [one for one in found if not JOINS.search(one.callee)]
    return _first((joined or found)[0]) if found else ""


def _first(call: Call) -> str:
    value = call.args[0] if call.args else None
    if value is not None and value.kind in ("const", "name") and re.match(r"^[\w.]+$", value.text):
        return value.text
    return ""


def _made(key: Key, call: Call, function: Function) -> Row | None:
    """`session.add(UsageEvent(...))`, `new UsageEvent({...}).save()`, `session.query(UsageEvent)`."""
    method = call.callee.rpartition(".")[2]
    if method not in ("add", "add_all", "merge", "persist", "save", "insert"):
        return None
    for one in call.args:
        value = _value(function, one)
        if value.kind == "call" and CALLABLE.match(value.text) and value.parts:
            inner = next((part for part in value.parts if part.kind == "object"), None)
            return Row(key, call, normal(value.text), True, inner)
    return None


def _changed(key: Key, call: Call, function: Function) -> Row | None:
    """`period = Period.find(id)`, `period.calls += n`, `period.save`: what was set on a row that was read."""
    name, _, method = call.callee.rpartition(".")
    if method != "save" or not name:
        return None
    read = next((one.text for given, one in function.assigns if given == name and one.kind == "call"), "")
    head, _, reading = read.partition(".")
    if not CALLABLE.match(head) or not READS.match(reading.partition("()")[0].partition("_by")[0]):
        return None
    pairs = [(re.split(r"\.|->", given), value) for given, value in function.assigns]
    told = [(steps[1], value) for steps, value in pairs if len(steps) == 2 and steps[0] == name]
    payload = Expr("object", "", tuple(value for _, value in told), tuple(column for column, _ in told))
    return Row(key, call, normal(head), True, payload) if told else None


def is_opening(values: tuple[Expr, ...]) -> bool:
    """Whether a row only opens its counters: most of what it holds is nought."""
    noughts = [one for one in values if one.kind == "const" and one.text in ("0", "0.0")]
    return 2 * len(noughts) > len(values)


def _value(function: Function, value: Expr) -> Expr:
    if value.kind != "name":
        return value
    return next((given for name, given in function.assigns if name == value.text), value)


def _payload(call: Call, function: Function) -> Expr | None:
    """The object of columns among the arguments: under `data`, `create`, `$set`, in a list, or itself."""
    merged: list[tuple[str, Expr]] = []
    for one in (_value(function, given) for given in call.args):
        value = one.parts[0] if one.kind == "mix" and one.parts and one.parts[0].kind == "object" else one
        if value.kind == "call" and MADE.search(value.text) and len(value.parts) == 1:
            value = value.parts[0]
        if value.kind == "object":
            merged += _flat(value)
    return Expr("object", "", tuple(part for _, part in merged), tuple(name for name, _ in merged))


def _flat(value: Expr, depth: int = 0) -> list[tuple[str, Expr]]:
    found: list[tuple[str, Expr]] = []
    for name, part in zip(value.keys, value.parts, strict=False):
        wraps = name in (
            "data",
            "create",
            "defaults",
            "values",
            "$set",
            "$setOnInsert",
            "$inc",
            "update",
            "metadata",
        )
        inner = (
            part.parts[0] if part.kind == "mix" and part.parts and part.parts[0].kind == "object" else part
        )
        if wraps and inner.kind == "object" and depth < 3:
            found += _flat(inner, depth + 1)
        else:
            found.append((name, part))
    return found


def _stepped(value: Expr) -> Expr:
    """`{ increment: n }` adds n."""
    if value.kind == "object" and value.keys in (("increment",), ("$inc",)):
        return value.parts[0]
    return value
