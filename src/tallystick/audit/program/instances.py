"""Whose method a call means where many classes have one of that name: told by what was made, and how it came here."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from tallystick.audit.program.classes import Class
from tallystick.audit.program.contents import FIELDS
from tallystick.audit.program.givers import Givers
from tallystick.audit.program.handed import handed_on
from tallystick.audit.program.receivers import (
    CONSTRUCTORS,
    INJECTS,
    MADE,
    TYPE,
    around,
    foreign,
    stands_in,
    steps,
)
from tallystick.audit.syntax.ir import NOTHING, Binding, Call, Expr

if TYPE_CHECKING:
    from tallystick.audit.program.program import Key, Program

Classes = frozenset[Class]
NONE: Classes = frozenset()
DEEPEST = 10  # names behind names
BELOW = 4  # objects within objects
ASKS = re.compile(r"(?i)^(?:get|resolve|make|inject|use|require|lookup|provide|depends|security)")
ITSELF = re.compile(r"^(?:(?:get_?)?(?:shared_?|default_?)?[iI]nstance|shared|current|create|build)$")
WAITED_FOR = re.compile(r"^(?:Promise|Awaitable|Coroutine)\s*[<\[]")
LOADS = frozenset(["import_string", "import_class", "load_class", "locate"])
MOST = 50  # callers of one function that are asked what they give
ROWS = re.compile(
    r"(?i)prisma|^(?:db|tx|trx|database|orm|knex|models?|drizzle|conn|mongo\w{0,9}|supabase|redis|stripe)$"
)
SERVERS = re.compile(r"(?i)app$|fastify|server$")
OWN = ("this", "self", "cls", "static")


class Instances:
    """What names, fields and words of a container stand for."""

    def __init__(self, program: Program) -> None:
        """Nothing is known by its word yet."""
        self.program = program
        self.linked = False  # whether it is known who calls whom
        self.asking: set[tuple[Key, str]] = set()
        self.left_out = 0  # questions that were answered by nothing: in a circle, or too deep
        self.givers = Givers(program, lambda path, name: name in program.contents.given((path, 0)))
        self.found: dict[tuple[Key, str], Classes] = {}
        self.meanwhile: dict[tuple[Key, str], Classes] = {}  # answers that hold for the question at hand
        self.words: dict[str, set[Classes]] = defaultdict(set)

    def learn(self) -> None:
        """Gather under which words instances are handed on: `{ meter: new Meter() }`, `c.set("meter", meter)`."""
        found: dict[str, set[Classes]] = defaultdict(set)
        for path, module in self.program.modules.items():
            for index, function in enumerate(module.functions):
                for word, value in handed_on(function, index):
                    made = self.of((path, index), value)
                    if made:
                        found[word].add(made)
                if function.owner and not function.bindings and function.name not in CONSTRUCTORS:
                    made = self._answers((path, index))  # `get meter() { … }`
                    if made:
                        found[function.name].add(made)
        self.words = found
        self.found.clear()

    def methods(self, caller: Key, callee: str) -> list[Key]:
        """The methods that a call through a variable, a field or a container may mean."""
        holder, _, last = callee.rpartition(".")
        if not holder or not any(
            self.program.function(one).owner for one in self.program.by_name.get(last, ())
        ):
            return []
        groups: set[Classes] = {made} if (made := self._held(caller, holder)) else set()
        if not groups and self._by_word(caller, holder):
            groups = self.words.get(steps(caller[0], holder)[-1], set())
        found = {one: self._of_classes(one, last) for one in groups}
        found = {one: keys for one, keys in found.items() if keys}
        if len(found) > 1:
            found = {one: keys for one, keys in found.items() if not all(stands_in(name) for _, name in one)}
        return next(iter(found.values())) if len(found) == 1 else []

    def _by_word(self, caller: Key, holder: str) -> bool:
        """Whether only the word tells what is meant: not where the name was given something, or is a package's."""
        head = holder.partition(".")[0].removesuffix("()")
        taken = self.program.imports[caller[0]].get(head)
        if taken is not None:
            beside = self.program.resolver.resolve(caller[0], taken.source)
            return bool(beside) and ("." in holder or "()" in holder)
        if ROWS.search(head) or (foreign(self.program, caller, head) and not SERVERS.search(head)):
            return False  # `prisma.usage.create(…)` writes a row
        return "." in holder or not any(
            head in self.program.contents.given(one) for one in around(self.program, caller)
        )

    def _of_classes(self, classes: Classes, method: str) -> list[Key]:
        return list(
            dict.fromkeys(key for one in sorted(classes) for key in self.program.classes.meant(one, method))
        )

    def _held(self, caller: Key, holder: str) -> Classes:
        """What stands before the last dot of a callee: a name, or a call that gives it."""
        if not holder.endswith("()"):
            return self.of(caller, Expr("name", holder)) if "()" not in holder else NONE
        asked = [one for one in self.program.function(caller).calls if one.callee == holder[:-2]]
        made = {self.of(caller, Expr("call", one.callee, one.args)) for one in asked} - {NONE}
        return next(iter(made)) if len(made) == 1 else NONE

    def of(self, caller: Key, value: Expr) -> Classes:
        """The classes that a value may be one of."""
        if value.kind == "name":
            return self._of_name(caller, value.text)
        if value.kind == "call":
            return self._of_call(caller, value)
        if value.kind == "func":
            literal = self.program.literal(caller[0], value)
            return self._answers(literal) if literal is not None else NONE
        if value.kind == "mix" and not value.text:
            return NONE.union(*(self.of(caller, one) for one in value.parts))
        if value.kind == "member" and value.text != "[]":
            return self._known(value.text)
        return NONE

    def _known(self, word: str) -> Classes:
        """What goes by a word, where that is one thing."""
        groups = self.words.get(word.rpartition(".")[2], ())
        return next(iter(groups)) if len(groups) == 1 else NONE

    def _once(self, asked: tuple[Key, str], ask: Callable[[], Classes]) -> Classes:
        """An answer that is asked for no second time while it is looked for, and kept where nothing was left out."""
        known = self.found.get(asked, self.meanwhile.get(asked))
        if known is not None:
            return known
        if asked in self.asking or len(self.asking) > DEEPEST:
            self.left_out += 1
            return NONE
        before = self.left_out
        self.asking.add(asked)
        found = ask()
        self.asking.discard(asked)
        if not self.asking or self.left_out == before:
            self.found[asked] = found
        else:
            self.meanwhile[asked] = found  # what it lacks, those that asked for it gather themselves
        if not self.asking:
            self.meanwhile.clear()
        return found

    def _of_call(self, caller: Key, value: Expr) -> Classes:
        """`new Meter()`, `Meter.getInstance()`, `createMeter()`, `container.resolve(Meter)`."""
        asked = (caller, f"{value.text}({','.join(one.text for one in value.parts)})")
        return self._once(asked, lambda: self._made(caller, value))

    def _made(self, caller: Key, value: Expr) -> Classes:
        path, classes = caller[0], self.program.classes
        holder, _, last = value.text.rpartition(".")
        own = classes.around(caller) if value.text == "cls" else classes.named(path, value.text)
        if own is not None and own in classes.declared:
            return frozenset([own])
        if value.text.endswith("()"):  # `import_string(settings.BACKEND)()`
            return self._held(caller, value.text)
        if last in LOADS and value.parts:
            return self._loaded(value.parts[0])
        whose = classes.named(path, holder) if holder else None
        for target in self.program.targets(caller, value.text):
            made = self._answers(target)
            if made:
                return made
        if whose is not None and whose in classes.declared and ITSELF.match(last):
            return frozenset([whose])
        handed = [self._meant(caller, one) for one in value.parts if one.kind in ("name", "func")]
        if last in INJECTS:
            handed += [self.of(caller, one) for one in value.parts if one.kind == "call"]
        if any(handed):
            return NONE.union(*handed)
        first = value.parts[0] if value.parts else None
        said = first is not None and first.kind in ("const", "name")
        typed = all(one.callee != value.text for one in self.program.function(caller).calls)
        if first is not None and said and (ASKS.match(last) or ASKS.match(holder) or typed):
            return self._known(
                first.text
            )  # `@Inject(METER) private readonly meter: Meter` has its word as well
        return NONE if value.parts or not holder else self._known(last)

    def _loaded(self, value: Expr) -> Classes:
        """The class of a dotted text, or of a setting that holds one: `import_string(settings.BILLING_BACKEND)`."""
        said = value.text
        if value.kind == "name":
            given = re.compile(
                rf"(?m)^\s*{re.escape(said.rpartition('.')[2])}\s*=\s*[\"']([\w.]+)[\"']".encode()
            )
            files = self.program.resolver.files.items()
            hits = [hit for path, data in files if path.endswith(".py") and (hit := given.search(data))]
            said = hits[0][1].decode() if len(hits) == 1 else ""
        place, _, name = said.rpartition(".")
        path = self.program.resolver.resolve("settings.py", place) if place else ""
        one = self.program.classes.named(path, name) if path in self.program.modules else None
        return frozenset([one]) if one is not None else NONE

    def _meant(self, caller: Key, value: Expr) -> Classes:
        """A class that is named, and not one of it; or what a literal makes."""
        if value.kind == "func":
            return self.of(caller, value)
        one = self.program.classes.named(caller[0], value.text)
        if one is not None and one in self.program.classes.declared:
            return frozenset([one])
        return NONE.union(*(self._answers(key) for key in self.program.targets(caller, value.text)))

    def _answers(self, key: Key) -> Classes:
        """What a function gives back."""
        returned = self.program.function(key).returns
        return self._once(
            (key, "="), lambda: NONE.union(*(self.of(key, one) for one in returned)) or self._declared(key)
        )

    def _declared(self, key: Key) -> Classes:
        """The class that is written for what a function gives back, such as a registry's: `-> PaymentProvider`."""
        hit = TYPE.match(WAITED_FOR.sub("", self.program.function(key).answers))
        one = self.program.classes.named(key[0], hit[1]) if hit is not None else None
        return frozenset([one]) if one is not None and one in self.program.classes.declared else NONE

    def _of_name(self, caller: Key, name: str) -> Classes:
        head, _, rest = name.partition(".")
        return self._once(
            (caller, name), lambda: self._dotted(caller, head, rest) if rest else self._plain(caller, name)
        )

    def _plain(self, caller: Key, name: str) -> Classes:
        """What a name without a dot is: given here or around, a parameter, or what another file exports."""
        holder = caller
        while True:
            given = self.program.contents.given(holder).get(name)
            if given:
                return NONE.union(*(self.of(holder, one) for one in given))
            for one in self.program.function(holder).bindings:
                if one.name == name:
                    return self._bound(holder, one)
            if holder[1] <= 0:
                break
            holder = (holder[0], self.program.function(holder).parent)
        one_class = self.program.classes.named(caller[0], name)
        if one_class is not None:
            return frozenset([one_class])
        taken = self.program.imports[caller[0]].get(name)
        if taken is None or taken.name == "*":
            return NONE
        return self._exported(self.program.resolver.resolve(caller[0], taken.source), taken.name)

    def _exported(self, path: str, name: str) -> Classes:
        """What the name that a file exports stands for, through those that only hand it on."""
        given = self.givers.of(path, name)
        return NONE if given is None else self._of_name((given[0], 0), given[1])

    def _dotted(self, caller: Key, head: str, rest: str) -> Classes:
        """`this.meter`, `all.meter`, `services.meter`."""
        path = caller[0]
        whole = self._module(path, head)
        if whole and "." not in rest:
            return self._exported(whole, rest)
        if "." in rest:
            return NONE
        holder = self.program.classes.around(caller) if head in OWN else None
        made = (
            frozenset([holder]) if holder is not None else NONE if head in OWN else self._plain(caller, head)
        )
        return NONE.union(*(self._field(one, rest) for one in made))

    def _module(self, path: str, head: str) -> str:
        taken = self.program.imports[path].get(head)
        if taken is None:
            return ""
        if path.endswith(".py"):
            joined = f"{taken.source}{'' if taken.source.endswith('.') else '.'}{taken.name}"
            return self.program.resolver.resolve(path, joined if taken.name != "*" else taken.source)
        return self.program.resolver.resolve(path, taken.source) if taken.name == "*" else ""

    def _field(self, one: Class, name: str, depth: int = 0) -> Classes:
        """What a class, or one above it, keeps in a field."""
        path = one[0]
        for index, function in enumerate(self.program.modules[path].functions):
            if index and function.owner != one[1]:
                continue
            given = self.program.contents.given((path, index))
            values = [value for word in FIELDS for value in given.get(f"{word}{name}", ())]
            values += given.get(name, ()) if not index else ()
            found = NONE.union(*(self.of((path, index), value) for value in values))
            if found:
                return found
        bases = self.program.classes.bases.get(one, ()) if depth < BELOW else ()
        return NONE.union(*(self._field(base, name, depth + 1) for base in bases))

    def _bound(self, holder: Key, bound: Binding) -> Classes:
        """What a parameter is: by its callers, its type, or its word where it is taken out of what all are given."""
        made = self._by_callers(holder, bound)
        if made or bound.path:
            return made or self._known(bound.path)
        hit = TYPE.match(bound.kind) if bound.kind else None
        typed = self._of_name((holder[0], 0), hit[1]) if hit is not None else NONE
        early = not self.linked and any(self.program.classes.is_shared(one) for one in typed)
        return NONE if early else typed  # a caller says which of those below it is

    def _by_callers(self, holder: Key, bound: Binding) -> Classes:
        """What the callers of a function give it, and for a constructor whoever makes one."""
        if not self.linked:
            return NONE
        function = self.program.function(holder)
        calls = [
            (edge.caller, edge.call) for edge in self.program.callers.get(holder, ()) if edge.kind == "call"
        ]
        if function.name in CONSTRUCTORS:
            calls += self.constructions.get((holder[0], function.owner), ())
        given = [(caller, _argument(call, bound)) for caller, call in calls[:MOST]]
        return NONE.union(*(self.of(caller, one) for caller, one in given))

    @cached_property
    def constructions(self) -> dict[Class, list[tuple[Key, Call]]]:
        """Where the program makes an instance of each of its classes."""
        found: dict[Class, list[tuple[Key, Call]]] = defaultdict(list)
        for path, module in self.program.modules.items():
            for index, function in enumerate(module.functions):
                for call in function.calls:
                    made = MADE.match(call.callee.rpartition(".")[2])
                    one = self.program.classes.named(path, call.callee) if made else None
                    if one is not None:
                        found[one].append(((path, index), call))
        return found

    def called(self, caller: Key, name: str) -> list[Key]:
        """What `report(n)` runs where `report` is an object that can be called."""
        if "__call__" not in self.program.by_name or self.program.classes.named(caller[0], name) is not None:
            return []
        return self._of_classes(self.of(caller, Expr("name", name)), "__call__")


def _argument(call: Call, bound: Binding) -> Expr:
    """What a call gives for a parameter: by its place, or by its name."""
    pairs = [pair for one in call.args for pair in zip(one.keys, one.parts, strict=False)]
    by_name = dict(pairs).get(bound.path or bound.name)
    if by_name is not None:
        return by_name
    return call.args[bound.index] if bound.index < len(call.args) and not bound.path else NOTHING
