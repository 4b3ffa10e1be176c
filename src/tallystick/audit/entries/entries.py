"""Where requests and jobs enter the program."""

from __future__ import annotations

from dataclasses import replace

from tallystick.audit.entries import schedules, timers
from tallystick.audit.entries.addresses import path_route
from tallystick.audit.entries.forms import Entry, Forms
from tallystick.audit.entries.views import viewed
from tallystick.audit.program import dependencies, procedures
from tallystick.audit.program.program import Key, Program
from tallystick.audit.program.registries import registered
from tallystick.audit.syntax.ir import Call, Expr, Module

HANDLING = frozenset(
    ["handler", "start", "worker", "view_func", "endpoint", "onRequest", "preHandler", "preValidation", "onSend",
     "onResponse", "beforeHandle", "afterHandle", "afterResponse"]
)  # fmt: skip
ASKED_FOR = frozenset(["nest-event", "temporal"])  # no way in where who asks for it is in the tree
BEFORE = {"fastapi": dependencies.before, "trpc": procedures.before}


class Entries:
    """All entries of a program, by function."""

    def __init__(self, program: Program) -> None:
        """Match every function against every route model."""
        self.program = program
        self.found: dict[Key, Entry] = {}
        self.shared: dict[Key, list[Entry]] = {}  # further routes through the same wrapper
        self.forms = Forms(program)
        self.clocks = timers.clocks(program)
        for module in program.modules.values():
            for index, function in enumerate(module.functions):
                entry = self.forms.match(module, index, function)
                if entry is not None and not (
                    entry.framework in ASKED_FOR and program.callers.get(entry.key)
                ):
                    self.found[entry.key] = entry
            self._handed(module)
            self._timed(module)
            self._aliased(module)
            self._called_by_key(module)
        for key, job in registered(program):
            self.found.setdefault(key, _kept(key, job, program.function(key).line))
        for key, route, line in viewed(program):
            self.found.setdefault(key, Entry(key, "http", "django", route, line))
        self._urls()
        self._wrapped()
        for entry in [one for one in self.found.values() if one.framework in BEFORE and not one.handler[0]]:
            for key in BEFORE[entry.framework](program, entry.key):
                self._also(key, replace(entry, key=key, handler=entry.key))

    def _aliased(self, module: Module) -> None:
        """`export const POST = handler`, `export default withAuth(handler)`: the handler stands elsewhere."""
        rows = [row for row in self.forms.by_file if row[1] and row[2] and row[1].search(module.path)]
        if not rows or module.directive == "client":
            return
        given = [(name, value) for name, value in module.functions[0].assigns]
        given += [(one.local, Expr("name", one.name)) for one in module.reexports if not one.source]
        for row, _, names, *_ in rows:
            for name, value in given:
                if names is None or not names.fullmatch(name):
                    continue
                for said in _within(value):
                    for key in (
                        self.program.targets((module.path, 0), said.text) if said.kind == "name" else ()
                    ):
                        line = self.program.function(key).line
                        self.found.setdefault(
                            key,
                            Entry(
                                key,
                                row.kind,
                                row.framework,
                                path_route(row.framework, module.path, name),
                                line,
                            ),
                        )

    def _called_by_key(self, module: Module) -> None:
        """`export default { fetch: app.fetch, scheduled: drain }`: what a platform calls by its key."""
        rows = [row for row in self.forms.by_file if row[0].framework == "workers"]
        given = [value for name, value in module.functions[0].assigns if name == "default"]
        for value in (part for one in given for part in (one, *one.parts) if part.kind == "object"):
            for name, part in zip(value.keys, value.parts, strict=False):
                literal = self.program.literal(module.path, part)
                named = self.program.targets((module.path, 0), part.text) if part.kind == "name" else []
                for row in (row for row, _, names, *_ in rows if names is not None and names.search(name)):
                    for key in [literal] if literal is not None else named:
                        route, line = path_route(row.framework, key[0], name), self.program.function(key).line
                        self.found.setdefault(key, Entry(key, row.kind, row.framework, route, line))

    def _handed(self, module: Module) -> None:
        """Named handlers: `app.post("/x", guard, handler)`, `new Worker("q", job)`, `path("x", view)`."""
        for index, function in enumerate(module.functions):
            for call in function.calls:
                names = [one.text for one in call.args if one.kind == "name"]
                nested = [
                    part.text
                    for one in call.args
                    if one.kind == "call"
                    for part in one.parts
                    if part.kind == "name"
                ]
                nested += [
                    each.text for one in call.args if one.kind == "object"
                    for key, part in zip(one.keys, one.parts, strict=False) if key in HANDLING
                    for each in (part, *(part.parts if part.kind == "mix" else ())) if each.kind == "name"
                ]  # fmt: skip
                nested += [one.text.removesuffix(".bind") for one in call.args if one.text.endswith(".bind")]
                self._factories(module, (module.path, index), call)
                if names or nested:
                    self._named(
                        module, (module.path, index), call.callee, call.args, (*names, *nested), call.line
                    )

    def _timed(self, module: Module) -> None:
        """`every("usage", report, 60_000)`: what a clock of the tree's own is given is given to a timer."""
        for index, function in enumerate(module.functions) if self.clocks else ():
            for call in function.calls:
                for target in self.program.targets((module.path, index), call.callee):
                    self._started(module, (module.path, index), self.clocks.get(target), call)

    def _started(self, module: Module, caller: Key, clock: timers.Clock | None, call: Call) -> None:
        given = timers.started(clock, call) if clock is not None else ()
        for key in self._meant(caller, given[0]) if given else ():
            entry = self.forms.via(module, key, "setInterval", given, call.line)
            if entry is not None and (entry.seconds or key not in self.found):
                self.found[key] = entry

    def _meant(self, caller: Key, value: Expr) -> list[Key]:
        """The functions that a value stands for, by its name or as a literal."""
        if value.kind == "name":
            return self.program.targets(caller, value.text)
        literal = self.program.literal(caller[0], value)
        return [literal] if literal is not None else []

    def _named(
        self,
        module: Module,
        caller: Key,
        callee: str,
        args: tuple[Expr, ...],
        names: tuple[str, ...],
        line: int,
    ) -> None:
        django = callee in ("path", "re_path", "url")
        for name in names:
            view = name.removesuffix(".as_view")
            for target in self.program.targets(caller, view):
                if django:
                    entry: Entry | None = Entry(target, "http", "django", args[0].text if args else "", line)
                else:
                    entry = self.forms.via(module, target, callee, args, line)
                if entry is not None:
                    self.found.setdefault(target, entry)

    def _factories(self, module: Module, caller: Key, call: Call) -> None:
        """`app.post("/x", meter("calls"), handler)`: what the factory returns runs for the route."""
        for one in call.args:
            if one.kind != "call" or ("." in one.text and module.language != "go"):
                continue
            for target in self.program.targets(caller, one.text):
                self._answered(module, target, call)
                for inner in sorted(self.program.contents.below(target)):
                    entry = self.forms.via(module, inner, call.callee, call.args, call.line)
                    if entry is not None and len(self.program.function(inner).bindings) > 1:
                        entry.handler = self._last(caller, call) or entry.handler
                        self._also(inner, entry)

    def _answered(self, module: Module, factory: Key, call: Call) -> None:
        """`new Worker("usage", createProcessor())`: a function that the factory gives by its name."""
        for value in self.program.function(factory).returns:
            for target in self.program.targets(factory, value.text) if value.kind == "name" else ():
                entry = self.forms.via(module, target, call.callee, call.args, call.line)
                if entry is not None and entry.kind == "worker":
                    self.found.setdefault(target, entry)

    def _last(self, caller: Key, call: Call) -> Key | None:
        """The handler at the end of a routing call."""
        return next(iter(self._meant(caller, call.args[-1])), None)

    def _also(self, key: Key, entry: Entry) -> None:
        if key in self.found and self.found[key].handler[0]:
            self.shared.setdefault(key, []).append(entry)
        else:
            self.found.setdefault(key, entry)

    def _wrapped(self) -> None:
        """`POST = withMeter(handler)`, `@metered("calls")`: the wrapper's inside runs for the route."""
        for key, entry in sorted(self.found.items()):
            if entry.kind not in ("http", "action") or entry.handler[0]:
                continue
            for name in self._wrappers(key):
                for target in self.program.targets((key[0], 0), name):
                    self._around(key, entry, target)

    def _wrappers(self, key: Key) -> set[str]:
        function = self.program.function(key)
        names = {one.text for one in function.decorators}
        if function.via >= 0:
            module = self.program.modules[key[0]]
            names.add(module.functions[function.parent].calls[function.via].callee)
            outer = self.forms.enclosing(module, function)
            names |= {outer[0]} if outer is not None else set()
        return names

    def _around(self, handler: Key, entry: Entry, wrapper: Key) -> None:
        inside = sorted(self.program.contents.below(wrapper))
        known = {one.name for key in (wrapper, *inside) for one in self.program.function(key).bindings}
        for key in inside:
            if any(call.callee.partition(".")[0] in known - {"res", "next", "req"} and "." not in call.callee
                   for call in self.program.function(key).calls):  # fmt: skip
                line = self.program.function(handler).line
                self._also(key, Entry(key, entry.kind, entry.framework, entry.route, line, handler=handler))

    def _urls(self) -> None:
        """Routes that are never an entry by themselves: client modules."""
        for key in list(self.found):
            if self.program.modules[key[0]].directive == "client":
                del self.found[key]


def _kept(key: Key, job: str, line: int) -> Entry:
    """What a table of handlers keeps under a name: a queue's job, or, under `0 * * * *`, what runs by the clock."""
    seconds = schedules.seconds_of(job) if schedules.CRON.match(job) else None
    if seconds is None:
        return Entry(key, "worker", "registry", f"job {job}", line, job=job)
    return Entry(key, "schedule", "registry", f"job {job}", line, seconds)


def _within(value: Expr) -> tuple[Expr, ...]:
    """A value, what it is made from, and what an object among that holds: `withMethods({ GET: list })`."""
    if value.kind != "call":
        return (value,)
    return (
        value,
        *value.parts,
        *(one for part in value.parts if part.kind == "object" for one in part.parts),
    )
