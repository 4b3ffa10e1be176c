"""The lowered part of the tree as one program: functions, and who calls whom."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from tallystick.audit.models.knowledge import Knowledge
from tallystick.audit.program import buses, receivers, saves, temporal
from tallystick.audit.program.classes import Classes, does_nothing
from tallystick.audit.program.contents import Contents
from tallystick.audit.program.exports import Exports
from tallystick.audit.program.injected import aliased, injections, wrapped
from tallystick.audit.program.instances import Instances
from tallystick.audit.program.resolve import Resolver
from tallystick.audit.syntax.ir import Call, Expr, Function, Import, Module

COMMON = frozenset([
    "add", "all", "call", "catch", "close", "connect", "count", "create", "delete", "edit", "emit", "end",
    "error", "execute", "fetch", "filter", "find", "findMany", "findOne", "findUnique", "first", "forEach",
    "from", "get", "handle", "has", "index", "init", "insert", "join", "json", "keys", "list", "load",
    "log", "map", "match", "new", "next", "on", "one", "open", "parse", "patch", "post", "process", "push",
    "put", "query", "read", "record", "reduce", "remove", "render", "replace", "request", "retrieve", "run",
    "save", "search", "select", "send", "set", "show", "slice", "sort", "start", "stop", "test", "then",
    "toString", "update", "use", "values", "write"
])  # fmt: skip
Key = tuple[str, int]
SENDS = frozenset(["send", "send_robust", "asend", "send_async"])
NAMED = (".php", ".rb", ".rake", ".go", ".java")


def signals(decorator: Expr) -> list[str]:
    """The signals that a decorator subscribes a function to, by their variables."""
    last = decorator.text.rpartition(".")[2]
    if last in ("connect", "connect_via"):
        return [decorator.text.rpartition(".")[0].rpartition(".")[2]]
    if last == "receiver" and decorator.kind == "call":
        named = [one.text.rpartition(".")[2] for one in decorator.parts[:1] if one.kind == "name"]
        return [*named, *saves.senders(decorator)]
    first = decorator.parts[0] if decorator.kind == "call" and decorator.parts else None
    if first is not None and first.kind == "const" and receivers.LISTENS.search(last):
        return [f"'{first.text}'"]
    if first is not None and last == receivers.HEARS:
        return [f"'{first.text}'"]
    return []


@dataclass(frozen=True)
class Edge:
    """One call from a function to another."""

    caller: Key
    call: Call
    kind: str = "call"  # call, queue, remote, pass


class Program:
    """Lookup of functions by module and name, and the call graph over them."""

    def __init__(self, modules: Iterable[Module], resolver: Resolver, knowledge: Knowledge) -> None:
        """Index, then connect."""
        self.modules = {module.path: module for module in modules}
        self.resolver = resolver
        self.knowledge = knowledge
        self.local: dict[str, dict[str, list[int]]] = {}
        self.by_name: dict[str, list[Key]] = defaultdict(list)
        self.owners: dict[str, dict[Key, tuple[str, str]]] = {}
        self.lines: dict[tuple[str, int], int] = {}
        for module in self.modules.values():
            names: dict[str, list[int]] = defaultdict(list)
            for index, function in enumerate(module.functions):
                if function.name:
                    names[function.name].append(index)
                    self.by_name[function.name].append((module.path, index))
                self.lines.setdefault((module.path, function.line), index)
            self.local[module.path] = names
        self.contents = Contents(self.modules)
        self.imports = {path: self._imports(module) for path, module in self.modules.items()}
        self.callers: dict[Key, list[Edge]] = defaultdict(list)
        self.callees: dict[Key, list[tuple[Key, Call]]] = defaultdict(list)
        self.exports = Exports(self)
        self.remote = knowledge.setting("remote", "callee")
        self.remote_call = knowledge.setting("remote", "call")
        self.meant: dict[tuple[Key, str], list[Key]] = {}
        self.injected: dict[str, list[Key]] = defaultdict(list)
        self.classes, self.instances = Classes(self), Instances(self)
        for path in self.modules:
            for name, key in injections(self, path, COMMON):
                self.injected[name].append(key)
        self.instances.learn()
        self.meant.clear()  # what was found while not all of that was known
        self.listeners = self._listening()
        for path in self.modules:
            self._connect(path)
        self._connect_given()

    def _imports(self, module: Module) -> dict[str, Import]:
        return {one.local: one for one in module.imports if one.local}

    @cached_property
    def includes(self) -> list[tuple[str, Call]]:
        """The calls that put a router of Python on another: `app.include_router(v1.router)`."""
        return [
            (path, call)
            for path, module in self.modules.items()
            for function in (module.functions if path.endswith(".py") else ())
            for call in function.calls
            if call.callee.endswith(".include_router") and call.args
        ]

    def function(self, key: Key) -> Function:
        """The function of a key."""
        return self.modules[key[0]].functions[key[1]]

    def _connect(self, path: str) -> None:
        for index, function in enumerate(self.modules[path].functions):
            for call in function.calls:
                targets = self.targets((path, index), call.callee)
                for target in (*targets, *buses.beside(self, (path, index), call, targets)):
                    self._edge(Edge((path, index), call), target)
                if self._distant(call.callee):
                    self._remote((path, index), call)
                self._passed((path, index), call)
                for target in self._heard(path, call):
                    self._edge(Edge((path, index), call), target)
                for target, told in (
                    *receivers.told(self, path, call),
                    *buses.asked(self, path, call),
                    *temporal.asked(self, path, call),
                    *saves.heard(self, (path, index), call),
                ):
                    self._edge(Edge((path, index), told), target)

    def _connect_given(self) -> None:
        """Calls on what a function was given by its callers, which are known now."""
        open_ones = {asked for asked, found in self.meant.items() if not found and "." in asked[1]}
        for asked in open_ones:
            del self.meant[asked]
        self.instances.linked = True
        self.instances.found.clear()
        for caller, callee in sorted(open_ones):
            for target in self.instances.methods(caller, callee):
                for call in self.function(caller).calls:
                    if call.callee == callee:
                        self._edge(Edge(caller, call), target)

    def _listening(self) -> dict[str, list[Key]]:
        """Functions by the signal they listen to: `@used.connect`, `@receiver(used)`, `@OnEvent("used")`."""
        found: dict[str, list[Key]] = defaultdict(list)
        for path, module in self.modules.items():
            for index, function in enumerate(module.functions):
                heard = [
                    one for one in function.decorators if path.endswith(".py") or one.text == receivers.HEARS
                ]
                said = [*(signal for one in heard for signal in signals(one))]
                said += [signal for one in function.decorators for signal in buses.subscribed(one)]
                for signal in dict.fromkeys(said):
                    found[signal].append((path, index))
            for signal, key in (
                *receivers.heard(self, path),
                *saves.connected(self, path),
                *buses.kept(self, path),
            ):
                found[signal].append(key)
        return found

    def _heard(self, path: str, call: Call) -> list[Key]:
        """Who listens to what a call sends: `used.send(sender, customer=…)`."""
        signal, _, method = call.callee.rpartition(".")
        return (
            self.listeners.get(signal.rpartition(".")[2], [])
            if method in SENDS and path.endswith(".py")
            else []
        )

    def _distant(self, callee: str) -> bool:
        return bool(
            self.remote.search(callee) or self.remote_call.search(callee) or callee.startswith("crons.")
        )

    def _edge(self, edge: Edge, target: Key) -> None:
        self.callers[target].append(edge)
        self.callees[edge.caller].append((target, edge.call))

    def _remote(self, caller: Key, call: Call) -> None:
        """`internal.file.name` handed to a platform scheduler or runner."""
        kind = "remote" if self.remote.search(call.callee) else "call"
        kind = "pass" if call.callee.startswith("crons.") else kind
        for one in call.args:
            for target in self.referred(one):
                self._edge(Edge(caller, call, kind), target)

    def referred(self, value: Expr) -> list[Key]:
        """The functions of a platform that a reference means: `internal.file.name`."""
        parts = value.text.split(".") if value.kind == "name" else []
        if len(parts) < 2 or not re.match(r"(?:internal|api)", parts[0]):
            return []
        ending = "/".join(parts[1:-1])
        named = [key for key in self.by_name.get(parts[-1], ()) if "convex/" in key[0]]
        fitting = [key for key in named if key[0].rpartition(".")[0].endswith(ending)]
        return fitting if ending or len(fitting) == 1 else []

    def answering(self, caller: Key, value: Expr) -> list[Key]:
        """The functions whose answer a call has: by its name, or by a reference, `runMutation(internal.file.name)`."""
        found = self.targets(caller, value.text)
        if found or not self.remote_call.search(value.text):
            return found
        return [target for one in value.parts[:1] for target in self.referred(one)]

    def _passed(self, caller: Key, call: Call) -> None:
        """A function handed on by its name."""
        handed = [part for one in call.args if one.kind == "object" for part in one.parts]
        for one in (*call.args, *handed):
            own = one.text.removeprefix("this.")
            if (
                one.kind == "name"
                and re.match(r"^[\w.]+$", own)
                and ("." not in own or self._of_module(caller, own))
            ):
                for target in self.targets(caller, one.text):
                    self._edge(Edge(caller, call, "pass"), target)

    def _of_module(self, caller: Key, dotted: str) -> bool:
        """Whether `billing.report` is a function of a module that is imported as a whole."""
        return bool(self.exports.whole(caller[0], dotted.partition(".")[0])) and dotted.count(".") == 1

    def targets(self, caller: Key, callee: str) -> list[Key]:
        """The functions a dotted callee may mean; asked for again wherever values are followed."""
        asked = (caller, callee)
        if asked not in self.meant:
            self.meant[asked] = []  # what stands for itself, in a circle, stands for nothing
            self.meant[asked] = self._targets(caller, callee)
        return self.meant[asked]

    def _targets(self, caller: Key, callee: str) -> list[Key]:
        path = caller[0]
        parts = receivers.steps(path, callee)
        head, last = parts[0], parts[-1]
        if len(parts) == 1:
            return (
                receivers.own(self, caller, head)
                or self._bare(path, head)
                or [key for one in aliased(self, caller, head) for key in self._bare(path, one)]
                or receivers.picked(self, caller, head)
                or self.instances.called(caller, head)
            )
        if head in ("this", "self", "cls", "static", "super") and len(parts) == 2:
            return self._own(caller, head, last) or self._method(path, last) or self._unique(last)
        surely = receivers.tabled(self, caller, callee) or self.instances.methods(caller, callee)
        if surely:
            return surely
        if callee.startswith(f"{head}().") and len(parts) == 2:
            product = receivers.produced(self, caller, head, last)
            if product:
                return product
        found = self.imports[path].get(head)
        if found is not None:
            taken = self.exports.through(path, found, parts[1:])
            if callee.startswith(f"{head}()."):  # what it gives is called: `report(n).catch(note)`
                taken = [one for one in taken if self.function(one).name == last]
            return taken or receivers.shelved(self, path, found, parts)
        dotted = self.imports[path].get(".".join(parts[:-1]))
        if dotted is not None:
            return self.exports.through(path, dotted, parts[-1:])
        owned = [
            (path, index)
            for index in self.local[path].get(last, ())
            if self.modules[path].functions[index].owner == head
        ]
        return (
            owned
            or self._named(path, parts[-2], last)
            or receivers.held(self, caller, parts)
            or receivers.fellow(self, caller, parts)
            or receivers.supplied(self, caller, parts)
            or (not receivers.foreign(self, caller, head) and self._by_name_alone(caller, parts))
            or []
        )

    def _by_name_alone(self, caller: Key, parts: list[str]) -> list[Key]:
        return self._unique(parts[-1], but=caller if len(parts) > 2 else None) or self._given(parts[-1])

    def _given(self, name: str) -> list[Key]:
        """The one function that anybody is given under this name."""
        found = list(dict.fromkeys(self.injected.get(name, ())))
        return found if len(found) == 1 else []

    def _named(self, path: str, owner: str, name: str) -> list[Key]:
        """`Billing.bill` of another file, where the language finds classes and packages by their names alone."""
        endings = receivers.RUBY if path.endswith(receivers.RUBY) else path[path.rfind(".") :]
        if not path.endswith(NAMED):
            return []
        found = [key for key in self.by_name.get(name, ()) if key[0].endswith(endings)]
        if path.endswith(".go"):
            found = [key for key in found if posixpath.basename(posixpath.dirname(key[0])) == owner]
            return found if len(found) == 1 else []
        found = [key for key in found if self.function(key).owner == owner]
        return found if len({one[0] for one in found}) == 1 else []  # one class, whatever it overloads

    def _bare(self, path: str, name: str) -> list[Key]:
        functions = self.modules[path].functions
        own = [one for one in self.local[path].get(name, ()) if not functions[one].owner]
        found = self.imports[path].get(name)
        if own and (
            found is None or functions[own[0]].via < 0
        ):  # what only a key is called by hides no import
            return [(path, own[0])]
        if found is not None:
            return self.exports.through(path, found, [])
        folder = posixpath.dirname(path)
        same = [key for key in self.by_name.get(name, ()) if posixpath.dirname(key[0]) == folder]
        same = [key for key in same if path.endswith(".go") and not self.function(key).owner]
        if len(same) == 1:
            return same  # a package is a folder
        if path.endswith(NAMED) or "server/" in path or "convex/" in path:
            return self._unique(name, bare=True) or self._at_hand(name)
        return wrapped(self, path, name)

    def at_the_top(self, path: str, name: str) -> list[Key]:
        """The function that a file defines, or takes from another, by a name of its own."""
        own = [
            (path, one)
            for one in self.local[path].get(name, ())
            if not self.modules[path].functions[one].owner
        ]
        found = self.imports[path].get(name)
        return own[:1] or (self.exports.through(path, found, []) if found is not None else [])

    def _at_hand(self, name: str) -> list[Key]:
        """What Nitro gives to every file without an import: what the utils of its server export."""
        found = [key for key in self.by_name.get(name, ()) if "server/utils/" in key[0]]
        found = [key for key in found if self.function(key).exported]
        return found if len(found) == 1 else []

    def _own(self, caller: Key, head: str, name: str) -> list[Key]:
        """What a method of a class means by `this.name`: its own, the inherited, or what the classes below it do."""
        around = self.classes.around(caller)
        if around is None:
            return []
        above = self.classes.inherited(around, name) if head == "super" else None
        return [above] if above is not None else [] if head == "super" else self.classes.meant(around, name)

    def _method(self, path: str, name: str) -> list[Key]:
        return [(path, one) for one in self.local[path].get(name, ())][:1]

    def _unique(self, name: str, bare: bool = False, but: Key | None = None) -> list[Key]:
        """The one method of a name; what one of that name asks of a field, `a.billing.Report`, is not itself."""
        if name in COMMON or len(name) < 5:
            return []
        found = [key for key in self.by_name.get(name, ()) if bare or self.function(key).owner]
        found = [key for key in found if key != but]
        found = [key for key in found if self.function(key).parent <= 0]
        if len(found) > 1:  # the one that does it, beside those that stand in for it
            found = [key for key in found if not receivers.stands_in(self.function(key).owner)]
            found = [key for key in found if not does_nothing(self.function(key))]
        return found if len(found) == 1 else []

    def is_named(self, key: Key) -> bool:
        """Whether a module names what a wrapper makes of a function: `export const bill = checked(async () => …)`."""
        function = self.function(key)
        around = self.function((key[0], 0)).calls
        return function.parent == 0 and function.via >= 0 and around[function.via].state == "assigned"

    def spelled(self, key: Key, args: tuple[Expr, ...]) -> tuple[Expr, ...]:
        """`setInterval(report, EVERY)`: with the values that the function or its file gives such names."""
        functions = self.modules[key[0]].functions
        given = {name: value for one in (functions[0], functions[key[1]]) for name, value in one.assigns}
        return tuple(given.get(one.text, one) if one.kind == "name" else one for one in args)

    def literal(self, path: str, value: Expr) -> Key | None:
        """The function a literal stands for."""
        index = self.lines.get((path, int(value.text))) if value.kind == "func" else None
        return (path, index) if index is not None else None
