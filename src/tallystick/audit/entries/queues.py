"""Who puts jobs on a queue, joined to the workers by the name of queue, job, event or task."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

from tallystick.audit.entries.forms import Entry
from tallystick.audit.program.program import Key, Program
from tallystick.audit.syntax.ir import Call, Expr

CALLED = re.compile(r"(?:^|\.)(?:Queue|QueuePro|FlowProducer|getQueue|createQueue)$")
NAMING = frozenset(
    ["name", "id", "event", "queue", "queueName", "task", "trigger", "url", "topic", "topicName"]
)
WRAPS = ("data", "event", "payload", "body", "[]", "message", "params", "messages", "Records")
DEEP = frozenset(["event", "[]", "message", "messages", "Records"])
CARRIES = ("data", "payload", "body", "MessageBody")
DIRECT = re.compile(r"\.(?:delay|apply_async|dispatch|perform_later|perform_async|s|trigger|triggerAndWait)$")
BOUND = {"workers": "a queue of the worker", "sqs": "a queue of SQS"}  # joined by the platform, not by a name
BINDING = re.compile(r"(?:^|\.)env\.\w+\.(?:send|sendBatch)$")
BOUND_AS = re.compile(r"(?i)(?:^|\.)env\.\w*queue\w*$")  # `const queue = env.USAGE_QUEUE`
TYPED = re.compile(r"Queue(?:<.*>)?$")
MESSAGE = re.compile(r"(?:^|\.)SendMessage(?:Batch)?Command$|(?i:sqs)\w*\.sendMessage(?:Batch)?$")
PATH = re.compile(r"(/[\w/-]+)$")
PLAIN = re.compile(r"^(?=.{3})[\w.:/-]+(?: [\w.:/-]+){0,6}$")  # Agenda's names are words


@dataclass(frozen=True)
class Producer:
    """One call that puts a job on a queue, and what the worker will be called with."""

    caller: Key
    call: Call
    given: tuple[Expr, ...]


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
        return any(one.search(callee) for one in (self.produce, BINDING, MESSAGE))

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
                        first = next((one.text for one in value.parts[:1] if one.kind == "const"), "")
                        if first:
                            found[name.rpartition(".")[2]].add(first)
                            found[f"{path}:{name.rpartition('.')[2]}"].add(first)
                    if value.kind == "name" and BOUND_AS.search(value.text):
                        found[f"{path}:{name}"].add(BOUND["workers"])
                for one in function.bindings:
                    if TYPED.match(one.kind):
                        found[f"{path}:{one.name}"].add(BOUND["workers"])
        return found

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
        names = {one.text for one in call.args[:2] if one.kind == "const" and PLAIN.match(one.text)}
        names |= {text for one in call.args[:1] for text in _named(one)}
        receiver = call.callee.rpartition(".")[0].rpartition(".")[2].removesuffix("()")
        return names | self._of(path, receiver)

    def _take(self, caller: Key, call: Call) -> None:
        producer = Producer(caller, call, (_job(call),))
        for name in self.called(caller[0], call):
            self.by_name[name].append(producer)

    def feeding(self, entry: Entry) -> list[Producer]:
        """The producers of a worker's jobs."""
        found: list[Producer] = []
        for name in sorted(self.names(entry)):
            found += [one for one in self.by_name.get(name, ()) if one not in found]
        return found

    def names(self, entry: Entry) -> set[str]:
        """What a worker answers to."""
        function = self.program.function(entry.key)
        if entry.framework in BOUND:
            return {BOUND[entry.framework]}
        address = entry.route.partition(" ")[2]
        if address.startswith("/"):
            return {address}  # a queue that calls by HTTP
        if function.via < 0:
            return {entry.job} if entry.job else set()
        call = self.program.modules[entry.key[0]].functions[function.parent].calls[function.via]
        names = {one.text for one in call.args[:1] if one.kind == "const" and PLAIN.match(one.text)}
        receiver = call.callee.rpartition(".")[0].rpartition(".")[2]
        return (
            names | self.variables.get(receiver, set()) | {text for one in call.args for text in _named(one)}
        )


def spelled(name: str) -> str:
    """A pattern for the files that may put jobs on this queue."""
    if name == BOUND["workers"]:
        return r"env\.\w+\.send(?:Batch)?\(|\benv\.\w*queue\b|:\s*Queue\b"
    if name == BOUND["sqs"]:
        return r"SendMessage(?:Batch)?Command|\.sendMessage(?:Batch)?\("
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


def _named(value: Expr) -> set[str]:
    """Names among the settings of a worker or a job."""
    if value.kind == "mix":
        return {text for part in value.parts[:3] for text in _named(part)}
    if value.kind != "object":
        return set()
    pairs = [pair for pair in zip(value.keys, value.parts, strict=False) if pair[0] in NAMING]
    found = {part.text for _, part in pairs if part.kind == "const" and PLAIN.match(part.text)}
    ends = (PATH.search(part.text) for name, part in pairs if name == "url")
    return found | {end[1] for end in ends if end is not None}


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
