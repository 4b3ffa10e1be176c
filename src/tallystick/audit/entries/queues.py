"""Who puts jobs on a queue, joined to the workers by the name of queue, job, event or task."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

from tallystick.audit.entries.forms import Entry
from tallystick.audit.program import constants
from tallystick.audit.program.program import Edge, Key, Program
from tallystick.audit.syntax.ir import NOTHING, Binding, Call, Expr

CALLED = re.compile(r"(?:^|\.)(?:Queue|QueuePro|FlowProducer|getQueue|createQueue)$")
NAMING = frozenset(
    ["name", "id", "event", "queue", "queueName", "task", "trigger", "url", "topic", "topicName"]
)
SENT_TO = frozenset(["task", "httpRequest", "http_request"])  # of Google's tasks
WRAPS = ("data", "event", "payload", "body", "[]", "message", "params", "messages", "Records", "attrs")
DEEP = frozenset(["event", "[]", "message", "messages", "Records", "attrs"])
CARRIES = ("data", "payload", "body", "MessageBody")
DIRECT = re.compile(
    r"\.(?:delay|apply_async|dispatch|perform_later|perform_async|s|trigger|triggerAndWait|send|send_with_options|kiq"
    r"|defer|defer_async)$"
)
BOUND = {"workers": "a queue of the worker", "sqs": "a queue of SQS"}  # joined by the platform, not by a name
BINDING = re.compile(r"(?:^|\.)env\.\w+\.(?:send|sendBatch)$")
BOUND_AS = re.compile(r"(?i)(?:^|\.)env\.\w*queue\w*$")  # `const queue = env.USAGE_QUEUE`
TYPED = re.compile(r"Queue(?:<.*>)?$")
MESSAGE = re.compile(r"(?:^|\.)SendMessage(?:Batch)?Command$|(?i:sqs\w*\.send_?message(?:_?batch)?)$")
DISPATCHED = re.compile(r"^(\w+)\.dispatch\w*$")  # Laravel's jobs, by their class
HANDED = re.compile(r"(?:^|\.)dispatch(?:Now|Sync)?$|^Queue\.(?:push|later)$")  # `dispatch(new Report(…))`
AFTER = re.compile(
    r"(?:^|\.)dispatchAfterResponse$|\(\)\.afterResponse$"
)  # run by the same process: no queue has it
PATH = re.compile(r"(/[\w/-]+)$")
NAME = 200
PLAIN = re.compile(r"^(?=.{3})[\w.:/-]+(?: [\w.:/-]+){0,6}$")  # Agenda's names are words


@dataclass(frozen=True)
class Producer:
    """One call that puts a job on a queue, and what the worker will be called with."""

    caller: Key
    call: Call
    given: tuple[Expr, ...]
    relay: Edge | None = (
        None  # the call that says which queue, where the function with this one leaves that open
    )
    put_off: bool = False  # until the answer is out, and given to no queue


class Queues:
    """Producers by every name they may be joined on."""

    def __init__(self, program: Program) -> None:
        """Index the queues' variables, then the calls."""
        self.program = program
        self.produce = program.knowledge.setting("queue", "produce")
        self.variables = self._variables()
        self.by_name: dict[str, list[Producer]] = defaultdict(list)
        for path in sorted(program.modules):
            for index, function in enumerate(program.modules[path].functions):
                for call in function.calls:
                    if call.args and (self._produces(call.callee) or self._fills(path, call.callee)):
                        self._take((path, index), call)

    def _produces(self, callee: str) -> bool:
        return any(one.search(callee) for one in (self.produce, BINDING, MESSAGE, HANDED))

    def _fills(self, path: str, callee: str) -> bool:
        """Whether a call adds to what is known to be a queue: `this.usage.add(job)`."""
        receiver, _, method = callee.rpartition(".")
        known = self._of(path, receiver.rpartition(".")[2])
        return method in ("add", "addBulk", "send", "sendBatch") and bool(known)

    def _variables(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for path, module in self.program.modules.items():
            for function in module.functions:
                for name, value in function.assigns:
                    if value.kind == "call" and CALLED.search(value.text):
                        first = next((self._word(path, one) for one in value.parts[:1]), "")
                        if first:
                            found[name.rpartition(".")[2]].add(first)
                            found[f"{path}:{name.rpartition('.')[2]}"].add(first)
                    if value.kind == "name" and BOUND_AS.search(value.text):
                        found[f"{path}:{name}"].add(BOUND["workers"])
                for one in function.bindings:
                    if TYPED.match(one.kind):
                        found[f"{path}:{one.name}"].add(BOUND["workers"])
        self._through_getters(found)
        return found

    def _through_getters(self, found: dict[str, set[str]]) -> None:
        """A queue that a function gives: `const queue = usageQueue()`, `usageQueue().add(job)`."""
        given: dict[str, set[str]] = {}
        for path, module in self.program.modules.items():
            for function in module.functions:
                kept = [found.get(f"{path}:{one.text}") for one in function.returns if one.kind == "name"]
                queues = set[str]().union(*(one for one in kept if one))
                if function.name and len(queues) == 1:
                    given.setdefault(function.name, set()).update(queues)
        for path, module in self.program.modules.items() if given else ():
            for function in module.functions:
                for name, value in function.assigns:
                    getter = value.text.rpartition(".")[2] if value.kind == "call" else ""
                    if len(given.get(getter, ())) == 1:
                        found[f"{path}:{name.rpartition('.')[2]}"] |= given[getter]
        for name, queues in given.items():
            found[name] |= queues

    def _of(self, path: str, variable: str) -> set[str]:
        """The queue a variable is: of its own file, else the only one of that name."""
        own = self.variables.get(f"{path}:{variable}")
        anywhere = self.variables.get(variable, set())
        return own or (anywhere if len(anywhere) == 1 else set())

    def called(self, path: str, call: Call) -> set[str]:
        """The names a call puts a job on: its own words, and its queue's."""
        if BINDING.search(call.callee):
            return {BOUND["workers"]}
        if MESSAGE.search(call.callee):
            return {BOUND["sqs"]}
        said = [self._word(path, one) for one in self._naming(path, call)]
        receiver = call.callee.rpartition(".")[0].rpartition(".")[2].removesuffix("()")
        job = DISPATCHED.match(call.callee)
        handed = path.endswith(".php") and HANDED.search(call.callee)
        jobs = {one.text for one in call.args[:1] if one.kind == "call"} if handed else set()
        return (
            {one for one in said if PLAIN.match(one)} | self._of(path, receiver) | ({job[1]} if job else jobs)
        )

    def _word(self, path: str, value: Expr) -> str:
        return constants.word(self.program, path, value)

    def _naming(self, path: str, call: Call) -> list[Expr]:
        """What in a call says where a job goes: its first words, its settings, `getQueue(name)` before it."""
        found = [one for one in call.args[:2] if one.kind in ("const", "name")]
        found += [part for one in call.args[:1] for part in _settings(one)]
        head = call.callee.partition("()")[0]
        for function in self.program.modules[path].functions if head != call.callee else ():
            for one in function.calls:
                if one.callee == head and (one.line, one.column) == (call.line, call.column):
                    found += one.args[:1]
        return found

    def _take(self, caller: Key, call: Call) -> None:
        function = self.program.function(caller)
        chained = [one.callee for one in function.calls if one.line <= call.line <= one.end_line]
        put_off = any(AFTER.search(one) and one.startswith(call.callee) for one in chained)
        for name in self.called(caller[0], call):
            self.by_name[name].append(Producer(caller, call, (_job(call),), put_off=put_off))
        bindings = function.bindings
        given = {one.text for one in self._naming(caller[0], call) if one.kind == "name"}
        for bound in (one for one in bindings if one.name in given):
            for edge in self.program.callers.get(caller, ()):
                if edge.kind == "call":
                    name = self._word(edge.caller[0], _filling(edge.call, bound))
                    step = (Producer(caller, call, (_job(call),), edge),) if PLAIN.match(name) else ()
                    self.by_name[name].extend(step)

    def feeding(self, entry: Entry) -> list[Producer]:
        """The producers of a worker's jobs."""
        found: list[Producer] = []
        for name in sorted(self.names(entry)):
            found += [one for one in self.by_name.get(name, ()) if one not in found]
        return found

    def filling(self, entry: Entry) -> list[Producer]:
        """The producers of a worker's jobs, and those that put it off by its own name: `report.delay(n)`."""
        direct = [one for one in self.program.callers.get(entry.key, ()) if DIRECT.search(one.call.callee)]
        return [
            *self.feeding(entry),
            *(Producer(one.caller, one.call, called_with(one.call)) for one in direct),
        ]

    def names(self, entry: Entry) -> set[str]:
        """What a worker answers to."""
        if entry.framework in BOUND:
            return {BOUND[entry.framework]}
        address = entry.route.partition(" ")[2]
        if address.startswith("/"):
            return {address}  # a queue that calls by HTTP
        if entry.framework == "laravel":
            return {self.program.function(entry.key).owner}
        if not entry.by:
            return {entry.job} if entry.job else set()
        said = [*entry.given[:1], *(part for one in entry.given for part in _settings(one))]
        if entry.framework == "kafka":  # `consumer.subscribe({ topic })` stands beside `consumer.run(…)`
            subscribes = f"{entry.by.rpartition('.')[0]}.subscribe"
            calls = (call for one in self.program.modules[entry.said_in].functions for call in one.calls)
            said += [
                part
                for call in calls
                if call.callee == subscribes
                for one in call.args
                for part in _settings(one)
            ]
        names = {self._word(entry.said_in, one) for one in said}
        receiver = entry.by.rpartition(".")[0].rpartition(".")[2]
        return {one for one in names if PLAIN.match(one)} | self.variables.get(receiver, set())


def spelled(name: str) -> str:
    """A pattern for the files that may put jobs on this queue."""
    if name == BOUND["workers"]:
        return r"env\.\w+\.send(?:Batch)?\(|\benv\.\w*queue\b|:\s*Queue\b"
    if name == BOUND["sqs"]:
        return r"SendMessage(?:Batch)?Command|\.send_?message(?:_?batch)?\("
    if name.startswith("/"):
        return rf"publish\w*\([^;]{{0,300}}{re.escape(name)}[\"'`]"
    return rf"[\"'`]{re.escape(name)}[\"'`]"


def called_with(call: Call) -> tuple[Expr, ...]:
    """What a task put off by `.delay(a, b)` or `.apply_async(args=[...], kwargs={...})` is called with."""
    last = call.args[-1] if call.args else None
    if not call.callee.endswith((".apply_async", ".send_task")) or last is None or last.kind != "object":
        return call.args
    given = dict(zip(last.keys, last.parts, strict=False))
    listed = given["args"].parts if "args" in given else ()
    return (*listed, *((given["kwargs"],) if "kwargs" in given else ()))


def given_later(args: tuple[Expr, ...], name: str) -> tuple[Expr, ...]:
    """What `run_later(function, a, b)` will call the function with: the arguments after its name."""
    for index, arg in enumerate(args):
        if arg.kind == "name" and arg.text.rpartition(".")[2] == name:
            return args[index + 1 :]
    return ()


def _settings(value: Expr) -> list[Expr]:
    """Names among the settings of a worker or a job: `{ event: EVENTS.used }`, the path of an address."""
    if value.kind == "mix" and not value.text:
        return [one for part in value.parts[:3] for one in _settings(part)]
    found = []
    for name, part in zip(value.keys, value.parts, strict=False) if value.kind == "object" else ():
        end = PATH.search(part.text[-NAME:]) if name == "url" else None
        found += [Expr("const", end[1]) if end is not None else part] if name in NAMING else []
        found += part.parts if name == "topics" else ()
        found += _settings(part) if name in SENT_TO else []
    return found


def _filling(call: Call, bound: Binding) -> Expr:
    """What a call gives for a parameter, or for what is taken out of one."""
    value = call.args[bound.index] if bound.index < len(call.args) else NOTHING
    for step in bound.path.split(".") if bound.path else ():
        value = dict(zip(value.keys, value.parts, strict=False)).get(step, NOTHING)
    return value


def _job(call: Call) -> Expr:
    """The job as a worker sees it: the payload, and the payload under the names libraries give it."""
    payload = next((one for one in call.args[1:] if one.kind in ("object", "name", "call")), None)
    if payload is None:
        inside = call.args[0]
        fields = dict(zip(inside.keys, inside.parts, strict=False))
        payload = next((fields[name] for name in CARRIES if name in fields), inside)
    deep = Expr("object", "", (payload, payload, payload), ("data", "payload", "body"))
    held = tuple(deep if name in DEEP else payload for name in WRAPS)
    return Expr("object", "", (*held, payload), (*WRAPS, "..."))
