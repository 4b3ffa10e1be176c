"""What a value is: the client's, measured, a constant, from the session, stored, a verified event, unknown."""

from __future__ import annotations

import re

from tallystick.audit.program.program import Key, Program
from tallystick.audit.program.receivers import RUBY
from tallystick.audit.syntax.ir import Expr
from tallystick.audit.trails import lookups, requests, schemas

CLIENT, SESSION, STORED, MEASURED, CONST, EVENT, UNKNOWN, CHOSEN, KEYED = (
    "client", "session", "stored", "measured", "const", "event", "unknown", "chosen", "key",
)  # fmt: skip
Label = tuple[str, str]  # kind and what it is, or ("param", "index:path")
Labels = frozenset[Label]
DEEPEST = 14


EACH = {  # methods that call a function for one after the other, and which parameter gets it
    **dict.fromkeys(
        ("map", "forEach", "flatMap", "filter", "each", "find_each", "collect", "find", "some", "every"), 0
    ),
    **dict.fromkeys(("reduce", "inject", "reduceRight"), 1),
}
OURS = frozenset([SESSION, STORED, MEASURED, CONST])
ANSWERING = re.compile(
    r"(?i)(?:^|\.)(?:\w*fetch\w*|axios|got|ky)$|(?:^|\.)(?:axios|got|ky|http|queue|sqs|redis)\.\w+$"
)
CONSTRUCTORS = ("constructor", "__init__")
UPLOADED = re.compile(r"(?i)form|file|upload|blob")
PROVIDERS = re.compile(r"(?i)stripe|webhook|polar|paddle|lemon_?squeezy")  # in the name of a type
ADDRESSED = re.compile(r"(?i)(?:params|url|query|search)$")
KEPT = {CLIENT: CHOSEN, "param": KEYED, KEYED: KEYED, CHOSEN: CHOSEN}


class Labelling:
    """Evaluates expressions in their function, lazily."""

    def __init__(self, program: Program) -> None:
        """Take the label patterns."""
        self.program = program
        self.rules = program.knowledge.labels
        self.memo: dict[tuple[Key, Expr, str], Labels] = {}

    def of(self, key: Key, value: Expr, path: str = "", depth: int = 0) -> Labels:
        """The labels of a value (or of what lies at `path` below it)."""
        memo = (key, value, path)
        if memo in self.memo:
            return self.memo[memo]
        if depth > DEEPEST:
            return frozenset([(UNKNOWN, "")])
        self.memo[memo] = frozenset()
        self.memo[memo] = result = self._of(key, value, path, depth)
        return result

    def _of(self, key: Key, value: Expr, path: str, depth: int) -> Labels:
        if value.kind == "const":
            return frozenset([(CONST, value.text)])
        if value.kind == "name":
            return self._name(key, value.text, path, depth)
        if value.kind == "member":
            return self._member(key, value, path, depth)
        if value.kind == "object":
            return self._object(key, value, path, depth)
        if value.kind == "call":
            return self._call(key, value, path, depth)
        found: set[Label] = set()
        for part in value.parts:
            found |= self.of(key, part, path, depth + 1)
        return frozenset(found) or frozenset([(CONST, value.text)])

    def _known(self, key: Key, column: int, text: str) -> str:
        language = self.program.modules[key[0]].language
        for row, names, calls in self.rules:
            pattern = (names, calls)[column]
            spoken = not row.languages or language in row.languages
            if spoken and pattern is not None and pattern.search(text):
                return row.kind
        return ""

    def _name(self, key: Key, text: str, path: str, depth: int) -> Labels:
        full = f"{text}.{path}" if path else text
        kind = self._known(key, 0, full)
        if kind == CLIENT and (
            self._answered(key, text, depth) or not self._asked_for(key, text) or self._delivered(key, text)
        ):
            kind = EVENT if self._delivered(key, text) else ""
        if kind == MEASURED and "." not in full:  # a plain `count` is what it was given, where that is known
            found = self._bound(key, full, depth)
            return frozenset((MEASURED, full) if one[0] == UNKNOWN else one for one in found)
        if kind == MEASURED and not self._body_field(key, full, depth):
            return frozenset([(MEASURED, full)])
        if kind and kind != MEASURED:
            return frozenset([(kind, full)])
        return self._bound(key, full, depth)

    def _bound(self, key: Key, full: str, depth: int) -> Labels:
        """What a name was given, here or in the functions around."""
        root, _, below = full.partition(".")
        holder: Key | None = key
        while holder is not None:
            function = self.program.function(holder)
            found = self._assigned(holder, root, below, depth)
            if found:
                return found
            for one in function.bindings:
                if one.name == root:
                    inside = ".".join(part for part in (one.path, below) if part)
                    each = self._each(holder, one.index)
                    if each is not None:
                        return self.of((holder[0], function.parent), each, inside, depth + 1)
                    mark = f"{holder[0]}#{holder[1]}:{one.index}:{inside}"
                    return frozenset([("param", mark)])
            holder = (holder[0], function.parent) if function.parent >= 0 else None
        method = self._returned(key, Expr("call", root), below, depth + 1) if key[0].endswith(RUBY) else None
        return method or frozenset([(UNKNOWN, full)])

    def _answered(self, key: Key, text: str, depth: int) -> bool:
        """Whether what is called like a request is somebody's answer or a row: `const r = await fetch(…)`."""
        root, dot, _ = text.partition(".")
        holder: Key | None = key if dot and depth < DEEPEST - 2 else None
        while holder is not None:
            function = self.program.function(holder)
            given = self.program.contents.given(holder).get(root)
            if given:
                labels = {kind for value in given for kind, _ in self.of(holder, value, "", depth + 1)}
                asked = any(value.kind == "call" and ANSWERING.search(value.text) for value in given)
                return bool(labels) and labels <= ({*OURS, UNKNOWN} if asked else OURS)
            if any(one.name == root for one in function.bindings):
                return False
            holder = (holder[0], function.parent) if function.parent >= 0 else None
        return False

    def _asked_for(self, key: Key, text: str) -> bool:
        """Whether `params` is what the address of a request says, and not a function's own value of that name."""
        if text.partition(".")[0] != "params":
            return True
        if key[0].endswith((".go", ".java", ".py", ".php")):
            return False
        holder: Key | None = key
        while holder is not None:
            function = self.program.function(holder)
            given = self.program.contents.given(holder).get("params")
            if given:
                return any(ADDRESSED.search(name) for value in given for name in _names(value))
            bound = next((one for one in function.bindings if one.name == "params"), None)
            if bound is not None:
                return bool(bound.path)  # `{ params }` is taken from the request, `params` is handed over
            holder = (holder[0], function.parent) if function.parent >= 0 else None
        return True

    def _delivered(self, key: Key, text: str) -> bool:
        """Whether `event` is a payment provider's, and no request: `async function won(event: Stripe.Event)`."""
        root = text.partition(".")[0]
        holder: Key | None = key if root == "event" else None
        while holder is not None:
            function = self.program.function(holder)
            bound = next((one for one in function.bindings if one.name == root), None)
            if bound is not None:
                return PROVIDERS.search(bound.kind) is not None
            holder = (holder[0], function.parent) if function.parent >= 0 else None
        return False

    def _each(self, holder: Key, index: int) -> Expr | None:
        """What `rows.map((row) => …)` goes over, for the parameter that is one of it."""
        function = self.program.function(holder)
        if function.via < 0:
            return None
        call = self.program.modules[holder[0]].functions[function.parent].calls[function.via]
        receiver, _, method = call.callee.rpartition(".")
        return Expr("name", receiver) if receiver and EACH.get(method) == index else None

    def _body_field(self, key: Key, full: str, depth: int) -> bool:
        """Whether `x.size` reads a plain field of the client's body: `body.size` is the client's word."""
        root, _, below = full.partition(".")
        if "length" in below or "." in below:
            return False
        if not below:
            return self._taken_out(key, root, depth)
        if any(requests.MADE.search(one.text) for one in self.program.contents.given(key).get(root, ())):
            return {kind for kind, _ in self._bound(key, full, depth)} == {
                CLIENT
            }  # a row that was made of it
        base = self.of(key, Expr("name", root), "", depth + 1)
        return any(kind == CLIENT and "form" not in text.lower() for kind, text in base) or any(
            kind == "param" for kind, _ in base
        )

    def _taken_out(self, key: Key, name: str, depth: int) -> bool:
        """Whether a name like `duration` comes out of the client's body: `const { duration } = await req.json()`."""
        holder: Key | None = key
        while holder is not None:
            given = self.program.contents.given(holder).get(name)
            if given:
                said = " ".join(word for value in given for word in (value.text, *_names(value)))
                labels = {kind for value in given for kind, _ in self.of(holder, value, "", depth + 1)}
                return labels == {CLIENT} and UPLOADED.search(said) is None
            outer = self.program.function(holder).parent
            holder = (holder[0], outer) if outer >= 0 else None
        return False

    def _assigned(self, holder: Key, root: str, below: str, depth: int) -> Labels:
        found: set[Label] = set()
        head, _, rest = below.partition(".")
        given = self.program.contents.given(holder)
        for value in given.get(root, ()):
            found |= self.of(holder, value, below, depth + 1)
        for value in given.get(f"{root}.{head}", ()) if below else ():
            found |= self.of(holder, value, rest, depth + 1)
        return frozenset(found)

    def _member(self, key: Key, value: Expr, path: str, depth: int) -> Labels:
        full = f"{value.text}.{path}" if path else value.text
        if value.text in ("length", "byteLength"):
            return frozenset([(MEASURED, full)])
        inner = value.parts[0] if value.parts else Expr("mix")
        return self.of(key, inner, full, depth + 1)

    def _object(self, key: Key, value: Expr, path: str, depth: int) -> Labels:
        head, _, rest = path.partition(".")
        found: set[Label] = set()
        own = [number for number, name in enumerate(value.keys) if path and _spelled(name) == _spelled(head)]
        for number, (name, part) in enumerate(zip(value.keys, value.parts, strict=False)):
            if name == "...":
                overruled = own and (number < own[-1] or schemas.lacks(self.program, key, part, head))
                found |= frozenset() if overruled else self.of(key, part, path, depth + 1)
            elif not path or number in own:
                found |= self.of(key, part, rest if path else "", depth + 1)
        return frozenset(found)

    def _call(self, key: Key, value: Expr, path: str, depth: int) -> Labels:
        full = f"{value.text}.{path}" if path else value.text
        kind = self._known(key, 1, value.text)
        if kind == CLIENT and (
            self._answered(key, value.text, depth) or not self._asked_for(key, value.text)
        ):
            kind = ""
        if kind == CLIENT:
            given = requests.gives(value, path)
            return frozenset([(CLIENT, path or requests.field(value)) if given else (UNKNOWN, full)])
        if kind in (SESSION, EVENT):
            return frozenset([(kind, full)])
        inside = self._returned(key, value, path, depth) or self._made(key, value, path, depth)
        if inside:
            return inside
        if kind == "through" and self._looks_up(key, value, depth):
            kind = "stored"
        if kind == "through":
            return self._arguments(key, value, path, depth) or frozenset([(UNKNOWN, full)])
        if kind == "measured":
            return frozenset([(MEASURED, full)])
        if not kind:
            below = self._attribute(key, value, path, depth) if requests.is_attribute(key[0], value) else None
            return below or frozenset([(UNKNOWN, full)])
        return frozenset([(kind, full)]) | self._asked(key, value, depth)

    def _attribute(self, key: Key, value: Expr, path: str, depth: int) -> Labels:
        """What a value of Ruby's has under a name: `usage.tokens`, `Org.find(id).customer`."""
        owner, _, name = value.text.rpartition(".")
        below = f"{name}.{path}" if path else name
        if not owner.endswith("()"):
            return self._name(key, owner, below, depth + 1)
        inner = lookups.within(self.program, key, value.text, owner.removesuffix("()"))
        return self.of(key, inner, below, depth + 1) if inner is not None else frozenset()

    def _made(self, key: Key, value: Expr, path: str, depth: int) -> Labels:
        """A field of an object or a column of a row that is made here, or of what was checked here."""
        head, _, rest = path.partition(".")
        if head in requests.CHECKED and depth < DEEPEST - 2:
            return self._arguments(key, Expr("call", "", _given(value)), rest, depth + 1)
        found = self._constructed(key, value, path, depth)
        if found or not path or depth > DEEPEST - 4:
            return found
        return frozenset().union(
            *(self.of(key, one, path, depth + 1) for one in requests.written(key[0], value))
        )

    def _looks_up(self, key: Key, value: Expr, depth: int) -> bool:
        """Whether a `get` is asked for a row, and not for a field of what the client sent: `jobs.get(job_id)`."""
        owner, _, method = value.text.rpartition(".")
        if method != "get" or not owner or not value.parts or value.parts[0].kind == "const":
            return False
        return not any(
            kind in (CLIENT, "param") for kind, _ in self.of(key, Expr("name", owner), "", depth + 1)
        )

    def _asked(self, key: Key, value: Expr, depth: int) -> Labels:
        """Whose row a look-up finds: one that the client names, unless the session has a say in it."""
        found: set[Label] = set()
        if not lookups.is_of_all(key[0], value):
            return frozenset()
        for name, part in (*lookups.conditions(value), *lookups.chained(self.program, key, value)):
            labels = self.of(key, part, "", depth + 1)
            if any(kind in (SESSION, EVENT) for kind, _ in labels):
                return frozenset()
            for kind, text in labels:
                asked = name or text.rpartition(":")[2].rpartition(".")[2]
                if kind in (CLIENT, "param") and lookups.IDENTITY.search(asked):
                    found.add((CHOSEN if kind == CLIENT else KEYED, text))
        return frozenset(found)

    def _arguments(self, key: Key, value: Expr, path: str, depth: int) -> Labels:
        found: set[Label] = set()
        for part in value.parts:
            found |= self.of(key, part, path.removeprefix("data."), depth + 1)
        receiver, _, method = value.text.rpartition(".")
        root = receiver.partition(".")[0]
        inner = lookups.within(self.program, key, value.text, receiver.removesuffix("()"))
        whole = inner is not None and not {method, inner.text.rpartition(".")[2]} & EACH.keys()
        if inner is not None and whole and self._known(key, 1, inner.text) == "through":
            found |= self.of(key, inner, path, depth + 1)
        if root and root[:1].islower() and "()" not in receiver and root not in ("z", "schema", "json"):
            found |= {one for one in self._name(key, receiver, path, depth + 1) if one[0] != UNKNOWN}
        return frozenset(found)

    def _returned(self, key: Key, value: Expr, path: str, depth: int) -> Labels:
        """What a function of the tree gives back, in terms of these arguments."""
        if depth > 8:
            return frozenset()
        targets = self.program.answering(key, value)
        if not targets:
            return frozenset()
        found: set[Label] = set()
        for one in requests.answers(targets[0][0], self.program.function(targets[0])):
            found |= self.of(targets[0], one, path, depth + 3)
        return self.substitute(frozenset(found), targets[0], key, value.parts, depth + 3)

    def _constructed(self, key: Key, value: Expr, path: str, depth: int) -> Labels:
        """A field of an object made here, in terms of what its constructor was given."""
        made = value.text.rpartition(".")[2]
        if not path or not made[:1].isupper() or depth > 8:
            return frozenset()
        named = [one for name in CONSTRUCTORS for one in self.program.by_name.get(name, ())]
        found = [one for one in named if self.program.function(one).owner == made]
        if len(found) != 1:
            return frozenset()
        kept = self._assigned(found[0], "this", path, depth + 1) | self._assigned(
            found[0], "self", path, depth + 1
        )
        if any(one.name == path.partition(".")[0] for one in self.program.function(found[0]).bindings):
            kept = kept or self._bound(found[0], path, depth + 1)  # `constructor(readonly tokens: number)`
        return self.substitute(kept, found[0], key, value.parts, depth + 1)

    def substitute(
        self, labels: Labels, callee: Key, caller: Key, args: tuple[Expr, ...], depth: int = 0
    ) -> Labels:
        """Labels in terms of the caller: parameters give way to the arguments."""
        found: set[Label] = set()
        for kind, text in sorted(labels):
            place, _, rest = text.partition(":")
            if kind not in ("param", KEYED) or place != f"{callee[0]}#{callee[1]}":
                found.add((kind, text))
                continue
            index, _, path = rest.partition(":")
            value = self._argument(callee, args, int(index))
            if kind == KEYED:
                given = self.of(caller, value, path, depth + 1) if value is not None else frozenset()
                found |= {(KEPT[one], name) for one, name in given if one in KEPT}
                continue
            found |= self.of(caller, value, path, depth + 1) if value is not None else {(UNKNOWN, text)}
        return frozenset(found)

    def _argument(self, callee: Key, args: tuple[Expr, ...], index: int) -> Expr | None:
        names = [one.name for one in self.program.function(callee).bindings if one.index == index]
        last = args[-1] if args and args[-1].kind == "object" else None
        if last is not None and callee[0].endswith(".py") and names and names[0] in last.keys:
            return last.parts[last.keys.index(names[0])]
        return args[index] if index < len(args) else None


def _names(value: Expr, depth: int = 0) -> list[str]:
    """The names and members that a value is made of."""
    own = [value.text] if value.kind in ("name", "member") else []
    return own + ([name for part in value.parts for name in _names(part, depth + 1)] if depth < 6 else [])


def _spelled(key: str) -> str:
    """A key without the spelling of its language: `StripeCustomerId`, `stripe_customer_id`."""
    return key.replace("_", "").lower()


def _given(value: Expr) -> tuple[Expr, ...]:
    """What a call is given, by place and by name."""
    return tuple(part for one in value.parts for part in (one.parts if one.kind == "object" else (one,)))


def written_out(labels: Labels) -> bool:
    """Whether all that a value can be is written out in the program."""
    return bool(labels) and all(kind == CONST and text for kind, text in labels)
