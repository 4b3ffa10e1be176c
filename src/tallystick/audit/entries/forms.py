"""One way in, and the forms by which a framework's models tell it: a file, a call it is given to, a decorator."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

from tallystick.audit.entries import crontabs, schedules
from tallystick.audit.entries.addresses import path_route
from tallystick.audit.models.knowledge import Route, compiled
from tallystick.audit.program import constants
from tallystick.audit.program.program import Key, Program
from tallystick.audit.syntax.ir import NOTHING, Call, Expr, Function, Module

CALLBACK = re.compile(r"^after_(?:create|update|save|destroy|commit|touch)\w*$")
BILLS = re.compile(r"(?i)usage|bill|meter|overage|invoic|stripe|consum")
NAMED = frozenset(["convex", "mastra", "strawberry", "trpc"])  # what has no address is called by its name
VISIBILITY = frozenset(["private", "protected", "public"])
JOB = re.compile(r"^\*?(asynq\.Task|river\.Job|work\.Job|events\.SQSEvent)\b")
TYPED = re.compile(
    r"[:\s]*(?:\w+\.)?(?:Fastify(?:Instance|App)\w*|Express|Hono|OpenAPIHono|I?Router|Application|Elysia)\b"
)
RECORDS = re.compile(r"^\w+\.Records\b")
ROUTER = re.compile(  # what makes a router, whatever it is called
    r"(?:^|\.)(?:\w*Router|express|OpenAPIHono|Hono|Elysia|Koa|[fF]astify|polka|restana|createApp)$"
)
Pattern = re.Pattern[str] | None
Row = tuple[Route, Pattern, Pattern, Pattern, Pattern, Pattern]


@dataclass
class Entry:
    """One way in."""

    key: Key
    kind: str  # http, action, worker, schedule, script
    framework: str
    route: str
    line: int
    seconds: int | None = None  # for schedules: how often
    note: str = ""
    where: tuple[str, int] = ("", 0)  # where the schedule is written
    task: str = ""  # the name a worker was given
    handler: Key = ("", 0)  # the route's own function, when this is a wrapper or a middleware before it
    flags: set[str] = field(default_factory=set)
    job: str = ""  # the name a table of handlers knows it by
    by: str = ""  # the call that it is given to, and what else that is given
    given: tuple[Expr, ...] = ()
    said_in: str = ""

    @property
    def path(self) -> str:
        """The file the route stands in."""
        return self.handler[0] or self.key[0]


class Forms:
    """The models of routes, tried on the functions of one program."""

    def __init__(self, program: Program) -> None:
        """Sort the models by what they look at."""
        self.program = program
        self.routers: dict[str, set[str]] = {}
        rows = [_row(row) for row in program.knowledge.routes]
        self.by_file = [row for row in rows if any(row[1:4]) and not row[4] and not row[5]]
        self.by_via = [row for row in rows if row[4]]
        self.by_decorator = [row for row in rows if row[5]]

    @cached_property
    def made(self) -> list[tuple[str, Call]]:
        """Where schedules are made while the program runs; where customers say how often, each run is work."""
        return [
            (path, call)
            for path, module in sorted(self.program.modules.items())
            for function in module.functions
            for call in function.calls
            if call.callee == "schedules.create"
        ]

    def match(self, module: Module, index: int, function: Function) -> Entry | None:
        if index == 0:
            return None
        key = (module.path, index)
        if "use server" in function.flags or (
            module.directive == "server" and function.exported and function.parent <= 0
        ):
            return Entry(key, "action", "next-action", f"server action {function.name}", function.line)
        job = _given_job(module, function)
        if job:
            return Entry(key, "worker", job, function.name or "job", function.line)
        if _served(function):
            return Entry(key, "http", "adonis", f"{function.name} {module.path}", function.line)
        return (
            self._by_decorator(module, key, function)
            or self._by_via(module, key, function)
            or self._by_file(module, key, function)
            or _called_back(module, key, function)
        )

    def _by_file(self, module: Module, key: Key, function: Function) -> Entry | None:
        if function.parent > 0:
            return None
        for row, file, names, owner, *_ in self.by_file:
            if row.languages and module.language not in row.languages:
                continue
            if file is not None and not file.search(module.path):
                continue
            said = ["default"] if _in_default(row, function) else _exported_as(module, function)
            name = next((one for one in said if names is None or names.search(one)), None)
            if name is None:
                continue
            if owner is not None and not owner.search(_owner_as(module, function)):
                continue
            if (
                file is not None
                and row.framework not in ("rails", "laravel", "symfony", "django")
                and not (function.exported or name != function.name)
            ):
                continue
            if row.framework == "laravel" and "private" in function.flags:
                continue
            if row.framework == "rails" and row.kind == "http" and _is_helper(module, function):
                continue
            if row.framework == "lambda" and (not function.exported or function.via >= 0 or function.owner):
                continue
            if row.framework == "lambda" and reads_records(module, key[1]):
                return Entry(key, "worker", "sqs", f"queue {module.path}", function.line)
            return Entry(
                key, row.kind, row.framework, path_route(row.framework, module.path, name), function.line
            )
        return None

    def _by_via(self, module: Module, key: Key, function: Function) -> Entry | None:
        if function.via < 0:
            return None
        call = module.functions[function.parent].calls[function.via]
        entry = self.via(module, key, call.callee, call.args, call.line)
        outer = self.enclosing(module, function) if entry is None else None
        return self.via(module, key, *outer) if outer is not None else entry

    def enclosing(self, module: Module, holder: Function) -> tuple[str, tuple[Expr, ...], int] | None:
        """The call that takes the wrapper call as an argument: `app.post("/x", wrap(async …))`."""
        call = module.functions[holder.parent].calls[holder.via]
        for other in module.functions[holder.parent].calls[: holder.via]:
            inside = other.line <= call.line <= call.end_line <= other.end_line and other is not call
            if inside and any(arg.kind == "call" and arg.text == call.callee for arg in other.args):
                return other.callee, other.args, other.line
        return None

    def via(self, module: Module, key: Key, callee: str, args: tuple[Expr, ...], line: int) -> Entry | None:
        """The way in that a function is when it is given to this call."""
        head, _, rest = callee.partition(".")
        called = f"router.{rest}" if head in self._routers(module) else callee  # whatever its name is here
        for row, file, names, _, via, _ in self.by_via:
            if via is None or not via.search(called) or (file is not None and not file.search(module.path)):
                continue
            if names is not None and not names.search(self.program.function(key).name):
                continue
            if row.languages and module.language not in row.languages:
                continue
            first = next((one.text for one in args[:1] if one.kind in ("const", "mix")), "")
            first = first or (self._routes_on(module, callee, line) if ".route()." in callee else "")
            routed = row.framework not in ("express", "go") or _routed(callee, args, first)
            if not routed or (row.framework == "convex" and "convex/" not in module.path):
                continue
            if row.framework == "mastra" and self.program.function(key).parent > 0:
                continue  # made in a request, it is part of that
            verb = callee.rpartition(".")[2].upper()
            by_file = path_route("nitro", module.path, callee) if row.framework == "nitro" else callee
            if row.framework in NAMED:
                by_file = f"{callee} {self.program.function(key).name}".strip()
            route = f"{verb} {first}" if first else by_file
            kind = "schedule" if row.framework == "trigger.dev" and "schedules" in callee else row.kind
            if row.framework == "inngest" and any("cron" in str(one) for one in args):
                kind = "schedule"
            entry = Entry(key, kind, row.framework, route, self.program.function(key).line or line)
            entry.by, entry.given, entry.said_in = callee, args, module.path
            if kind == "schedule":
                spelled = self.program.spelled(key, args)
                entry.seconds = schedules.gap(callee, spelled) or self._opened(module, callee, line)
                entry.where = (module.path, line)
                if entry.seconds is None and row.framework == "trigger.dev":
                    self._made(module, entry, callee, args)
            return entry
        return None

    def _routers(self, module: Module) -> set[str]:
        """The names of a file for what it makes as a router, or is given as one."""
        if module.path not in self.routers:
            found = {
                name
                for one in module.functions
                for name, value in one.assigns
                if value.kind == "call" and ROUTER.search(value.text.partition("()")[0])
            }
            found |= {one.name for each in module.functions for one in each.bindings if TYPED.match(one.kind)}
            self.routers[module.path] = found if module.language in ("typescript", "tsx") else set()
        return self.routers[module.path]

    def _routes_on(self, module: Module, callee: str, line: int) -> str:
        """`app.route("/x").post(handler)`: the address stands in the first call of the chain."""
        head = callee.partition("()")[0]
        calls = (call for one in module.functions for call in one.calls if call.callee == head)
        return next((call.args[0].text for call in calls if call.line == line and call.args), "")

    def _made(self, module: Module, entry: Entry, callee: str, args: tuple[Expr, ...]) -> None:
        """A task of which schedules are made while the program runs: `schedules.create({ task: bill.id, cron })`."""
        given = [name for name, one in module.functions[0].assigns if (one.text, one.parts) == (callee, args)]
        names = {one.text for one in _fields(args, "id") if one.kind == "const"} | {
            f"{one}.id" for one in given
        }
        clocks = [
            (seconds, path, call.line)
            for path, call in self.made
            if names & {one.text for one in _fields(call.args, "task")}
            for cron in _fields(call.args, "cron")
            if cron.kind == "const" and (seconds := schedules.seconds_of(cron.text))
        ]
        if clocks and any(BILLS.search(one) for one in names):  # the same for every customer
            entry.seconds, path, line = min(clocks)
            entry.where = (path, line)
        elif self.made:
            entry.kind = "worker"

    def _opened(self, module: Module, callee: str, line: int) -> int | None:
        """`schedule("every 5 minutes").onRun(f)`: how often stands in the first call of the chain."""
        head = callee.partition("()")[0]
        for function in module.functions if head != callee else ():
            for call in function.calls:
                if call.callee == head and call.line == line and call.args:
                    return schedules.gap(callee, call.args)
        return None

    def _by_decorator(self, module: Module, key: Key, function: Function) -> Entry | None:
        for one in function.decorators:
            if module.language == "python" and crontabs.says_when(one):
                seconds = schedules.gap(one.text, one.parts)
                where = (module.path, function.line)
                return Entry(key, "schedule", "script", one.text, function.line, seconds, where=where)
        for one in function.decorators:
            for row, _, names, _, _, decorator in self.by_decorator:
                if decorator is None or not decorator.search(one.text):
                    continue
                if row.languages and module.language not in row.languages:
                    continue
                if names is not None and not names.search(function.name):
                    continue
                first = next((constants.word(self.program, module.path, arg) for arg in one.parts[:1]), "")
                first = first or (function.name if row.framework in NAMED else "")
                if row.framework == "fastapi" and one.kind != "call":
                    continue
                verb = one.text.rpartition(".")[2].upper()
                route = (
                    f"{function.owner}.{function.name}"
                    if one.kind == "name" and " " in verb
                    else f"{verb} {first}".strip()
                )
                entry = Entry(key, row.kind, row.framework, route, function.line)
                if row.kind == "worker":
                    entry.task = _given(one, "name")
                    entry.job = first or constants.word(self.program, module.path, _works_on(function))
                if row.kind == "schedule":
                    entry.seconds = schedules.gap(one.text, one.parts)
                    entry.where = (module.path, function.line)
                return entry
        return None


def _is_helper(module: Module, function: Function) -> bool:
    """Whether a method of a controller stands below `private` and another calls it: no action of its own."""
    marks = [
        one for one in module.functions[0].calls if one.callee in VISIBILITY and one.line < function.line
    ]
    last = max(marks, key=lambda one: one.line, default=None)
    if last is None or last.callee == "public" or last.args:
        return False
    return any(one.callee == function.name for each in module.functions for one in each.calls)


def _works_on(function: Function) -> Expr:
    """The queue that the class of a method works on."""
    named = [one.parts[0] for one in function.decorators if one.kind == "call" and one.parts]
    return named[0] if len(named) == 1 else NOTHING


def _called_back(module: Module, key: Key, function: Function) -> Entry | None:
    """`after_create_commit :report_usage`: what Ruby's models run when a row is written."""
    if module.language != "ruby" or not function.name:
        return None
    for call in module.functions[0].calls:
        named = any(one.kind == "const" and one.text == function.name for one in call.args)
        if named and CALLBACK.match(call.callee):
            return Entry(key, "worker", "rails", f"{call.callee} {function.owner}".strip(), function.line)
    return None


def _given_job(module: Module, function: Function) -> str:
    """The library whose job a Go function takes: `func HandleUsage(ctx context.Context, task *asynq.Task) error`."""
    kinds = (JOB.match(one.kind) for one in function.bindings if module.language == "go")
    return next((hit[1].partition(".")[0] for hit in kinds if hit is not None), "")


def _served(function: Function) -> bool:
    """Whether a method takes what Adonis gives to its controllers."""
    return any(one.kind.startswith("HttpContext") for one in function.bindings)


def _given(value: Expr, name: str) -> str:
    """A constant given by keyword."""
    pairs = [pair for one in value.parts for pair in zip(one.keys, one.parts, strict=False)]
    return next((part.text for key, part in pairs if key == name and part.kind == "const"), "")


def reads_records(module: Module, index: int) -> bool:
    """Whether a handler goes over the messages of a queue."""
    functions = [one for at, one in enumerate(module.functions) if index in (at, one.parent)]
    values = [value.text for one in functions for _, value in one.assigns]
    names = [*values, *(call.callee for one in functions for call in one.calls)]
    return any(RECORDS.search(name) for name in names)


def _routed(callee: str, args: tuple[Expr, ...], first: str) -> bool:
    method = callee.rpartition(".")[2].lower()
    if (method in ("use", "all", "handle") and len(args) == 1) or ".route()." in callee:
        return True
    if args and (
        (args[0].kind == "object" and "openapi" in method) or (args[0].kind == "name" and method == "openapi")
    ):
        return True
    return (
        bool(args) and args[0].kind in ("const", "mix") and (first.startswith(("/", "*", ":")) or not first)
    )


def _in_default(row: Route, function: Function) -> bool:
    """`export default withMethods({ GET: route({ fn: async () => … }) })`: a literal within what a page exports."""
    return row.framework == "next-pages" and function.via >= 0 and function.exported


def _exported_as(module: Module, function: Function) -> list[str]:
    """A function's own name, and the names `export { handler as POST }` gives it."""
    if not function.name or function.owner:
        return [function.name]
    also = [one.local for one in module.reexports if not one.source and one.name == function.name]
    return [function.name, *also]


def _owner_as(module: Module, function: Function) -> str:
    """What a function belongs to, as its file exports it: `const worker = { scheduled() … }; export default worker`"""
    default = any(
        one.local == "default" and not one.source and one.name == function.owner for one in module.reexports
    )
    return "default" if default and function.owner else function.owner


def _row(row: Route) -> Row:
    def pattern(text: str) -> Pattern:
        return compiled(text) if text else None

    return (
        row, pattern(row.file), pattern(row.names), pattern(row.owner), pattern(row.via), pattern(row.decorator),
    )  # fmt: skip


def _fields(args: tuple[Expr, ...], name: str) -> list[Expr]:
    """What objects among arguments have under a key."""
    return [part for one in args for key, part in zip(one.keys, one.parts, strict=False) if key == name]
