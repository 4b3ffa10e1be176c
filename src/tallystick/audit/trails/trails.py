"""From a reporting call up to the requests and jobs that cause it."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, replace

from msgspec import structs

from tallystick.audit.entries import schedules
from tallystick.audit.entries.entries import Entries
from tallystick.audit.entries.forms import Entry
from tallystick.audit.entries.queues import Producer, Queues, given_later
from tallystick.audit.program.program import Key, Program
from tallystick.audit.syntax.dropped import ONCE
from tallystick.audit.syntax.ir import Call, Expr, Handler
from tallystick.audit.syntax.returned import TOLD
from tallystick.audit.trails import answers, retries
from tallystick.audit.trails.labels import CLIENT, Labelling, Labels, written_out
from tallystick.audit.trails.sites import Site

SCHEDULER = re.compile(
    r"(?i)^crons?\.|cron|schedule|setInterval|repeat|add_job|(?:^|\.)(?:every|Interval)$|^(?:hourly|daily)$"
    r"|every\(\)\S*\.do$"
)
WRAPPER = re.compile(r"(?:^|\.)(?:with|lock|run|guard|verify|require|ensure)(?:[A-Z]|_)\w*$")
STARTUP = re.compile(
    r"on_event startup|(?:^|\.)(?:on_startup|before_serving|before_first_request|worker_ready|worker_process_init"
    r"|after_server_start|main_process_start)(?:\.connect)?\b|listener (?:after|before)_server_start"
)
ANSWERS = re.compile(
    r"(?:^|\.)\w*[fF]etch\w*$|^createUsageRecord$|(?i:graphql)\w*$|\.(?:query|request|mutate)$|\.from\(\)\.|\.rpc$|(?i:autumn)\w*(?:\(\))?\.(?:balances\.)?track$"
)
DELIVERED = re.compile(r"(?i)web-?hooks?\b")  # whoever calls here calls again only when told of a failure
FATES = {
    "respond": "surfaced", "record": "recorded", "accept": "signal", "signal": "signal", "log": "swallowed",
    ONCE: "swallowed",
}  # fmt: skip
AT_ONCE = frozenset(["awaited", "used", "returned"])
HOOKS = re.compile(r"^(?:onSuccess|onComplete|onFailure|cleanup)$")  # the platform drops what they throw
LOADED = re.compile(r"(?:Controller|Resolver)$")
LONGEST, MOST = 14, 400
FAR = f"more than {LONGEST} calls above a usage report: the rest is not followed"
MANY = f"more than {MOST} steps up from one usage report: the rest is not followed"


@dataclass(frozen=True)
class Trail:
    """One way from an entry to a reporting call, and what happens to the call on it."""

    site: Site
    hops: tuple[tuple[Key, Call], ...]
    quantity: Labels
    customer: Labels
    entry: Entry | None = None
    top: Key = ("", 0)
    error: str = "open"  # open, surfaced, recorded, signal, swallowed
    handler: tuple[str, int] = ("", 0)
    floating: tuple[str, int] = ("", 0)
    deferred: tuple[str, int, str] = ("", 0, "")
    remote: bool = False
    retried: bool = False  # a durable step tried it again before its error came here
    queued: Call | None = None  # what put the job on its queue: what becomes of an error is told of that
    flags: frozenset[str] = frozenset()
    client: bool = False
    seen: frozenset[Key] = frozenset()


class Climb:
    """Walks callers upwards from one site."""

    def __init__(
        self, program: Program, entries: Entries, labelling: Labelling, queues: Queues, quiet: bool = False
    ) -> None:
        """Take what the walk asks; a quiet kit answers a refusal, and raises none."""
        self.quiet = quiet
        self.program = program
        self.entries = entries
        self.labelling = labelling
        self.defer = program.knowledge.setting("defer", "callee")
        self.iterate = program.knowledge.setting("iterate", "callee")
        self.queues = queues
        self.met: set[tuple[object, ...]] = set()  # on the ways of one site
        self.lost: set[tuple[str, str]] = set()

    def trails(self, site: Site) -> list[Trail]:
        """All trails of a site, each function once per fate."""
        start = self._requested(Trail(site, (), site.quantity, site.customer))
        first = self._through(start, site.key, site.call, True)
        stack = deque([first])
        self.met = {_fate(first)}
        done: list[Trail] = []
        for _ in range(MOST):
            if not stack:
                return done
            trail = stack.popleft()
            for one in self._further(trail, done):
                if self._is_new(one, trail):
                    self.met.add(_fate(one))
                    stack.append(one)
        self.lost |= {(site.key[0], MANY)} if stack else set()
        return done

    def _is_new(self, trail: Trail, below: Trail) -> bool:
        """Whether a step leads to a function that was not met with this fate, and in no circle."""
        return trail.top not in below.seen and _fate(trail) not in self.met

    def _requested(self, trail: Trail) -> Trail:
        """What becomes of errors within a function of the tree that sends the request for the report."""
        sent = (
            None
            if trail.site.stored
            else answers.request_within(self.program, trail.site.key, trail.site.call)
        )
        return self._settled(trail, *sent) if sent is not None else trail

    def _through(self, trail: Trail, key: Key, call: Call, is_sink: bool, is_async: bool = True) -> Trail:
        """The trail after passing through one call in `key`."""
        function = self.program.function(key)
        trail = replace(
            trail,
            top=key,
            hops=(*trail.hops, (key, call)),
            flags=trail.flags | set(function.flags),
            client=trail.client or self.program.modules[key[0]].directive == "client",
            seen=trail.seen | {trail.top},
        )
        below = trail.hops[-2][0] if len(trail.hops) > 1 else None
        trail = self._settled(trail, key, answers.sent(self.program, key, call) if is_sink else call)
        answered = call.answered or (answers.unheard(call) if self.quiet else None)
        if is_sink and answered is not None and ANSWERS.search(call.callee):
            trail = self._told(trail, key, answered)
        if is_sink and trail.site.stored and answers.unasked(self.program, key, call):
            trail = replace(trail, error="swallowed", handler=(key[0], call.line))
        if trail.error == "open" and answers.unchecked(self.program, key, call, below):
            trail = replace(trail, error="swallowed", handler=(key[0], call.line))
        script = self.program.modules[key[0]].language in ("typescript", "tsx", "go")
        script = script or call.callee.endswith("_async")  # a coroutine by its name
        if key[1] == 0:
            is_async = False  # a program's last line: the process lives until it is done
        if (call.state == "void" or (call.state == "floating" and (script or not is_sink))) and is_async:
            spared = trail.site.sink.durable and is_sink and not trail.site.stored
            if not spared and (script or is_async) and not trail.floating[1]:
                trail = replace(trail, floating=(key[0], call.line))
        if call.spawned and not trail.deferred[1]:
            trail = replace(trail, deferred=(key[0], call.line, "in the background"))
        return trail

    def _settled(self, trail: Trail, key: Key, call: Call) -> Trail:
        """What becomes of the error at this call."""
        if trail.error == "signal":
            if call.state in answers.LEFT or answers.unasked_for(self.program, key, call):
                return replace(trail, error="swallowed")
            if call.answered is None:
                heard = call.state in ("used", "assigned") and not answers.given_back(self.program, key, call)
                return replace(trail, error="surfaced" if heard else "signal")
            trail = self._caught(replace(trail, error="open"), key, call.answered)
        for handler in reversed(call.handlers):
            if trail.error != "open":
                break
            trail = self._caught(trail, key, handler)
        return trail

    def _told(self, trail: Trail, key: Key, answered: Handler) -> Trail:
        """What becomes of a refusal that is answered, not raised: `const { error } = await db.from("x").insert(…)`."""
        if trail.error not in ("open", "surfaced"):
            return trail
        told = self._caught(replace(trail, error="open"), key, answered)
        return told if told.error in ("swallowed", "recorded", "signal") else trail

    def _caught(self, trail: Trail, key: Key, handler: Handler) -> Trail:
        kind = handler.kind.removeprefix(TOLD)
        fate = FATES.get(kind)
        if fate is None:
            return trail
        entry = self.entries.found.get(key)
        if fate == "signal" and entry is not None and entry.kind in ("http", "action"):
            delivered = DELIVERED.search(f"{entry.route} {entry.key[0]}") is not None
            fate = "swallowed" if delivered and kind == "accept" else "surfaced"
        return replace(trail, error=fate, handler=(key[0], handler.line))

    def _further(self, trail: Trail, done: list[Trail]) -> list[Trail]:
        """The next steps up; finished trails go to `done`."""
        key = trail.top
        entry = self.entries.found.get(key)
        if entry is not None:
            done += [self._ended(trail, one) for one in (entry, *self.entries.shared.get(key, ()))]
            fed = entry.kind == "worker" or (entry.kind == "http" and self.queues.feeding(entry))
            return self._fed(trail, entry) if fed else []
        if key[1] == 0 or self._is_program(key):
            if not written_out(trail.customer):  # else a demonstration, in which nobody buys
                done.append(replace(trail, entry=Entry(key, "script", "script", key[0], 1)))
            return []
        function = self.program.function(key)
        if len(trail.hops) > LONGEST:
            self.lost |= (
                {(trail.site.key[0], FAR)} if self.program.callers.get(key) or function.parent > 0 else set()
            )
            return []
        if "served" in function.flags and not self._known(key):
            done.append(
                self._ended(trail, Entry(key, "http", "go", function.name or "handler", function.line))
            )
            return []
        up = self._outward(trail, key, done)
        called = self._called(trail, key, done)
        if called and (function.via < 0 or self.program.is_named(key)):
            up = []  # those that call it by its name are known
        if not up and not called and not self._scheduled_already(done, trail):
            done.append(self._ended(trail, self._loaded(key)) if LOADED.search(function.owner) else trail)
        return up + called

    def _loaded(self, key: Key) -> Entry:
        """What a framework finds by its folder and calls by name: the methods of a controller."""
        function = self.program.function(key)
        return Entry(key, "http", "controller", f"{function.owner}.{function.name}", function.line)

    def _is_program(self, key: Key) -> bool:
        """Whether a function is where a program starts: `main` of Go and Java, what a server runs at its start."""
        function = self.program.function(key)
        if key[0].endswith((".go", ".java")):
            return function.name in ("main", "init") and function.parent <= 0
        return any(
            STARTUP.search(f"{one.text} {' '.join(part.text for part in one.parts[:1])}")
            for one in function.decorators
        ) or (function.name == "ready" and key[0].endswith("apps.py"))

    def _known(self, key: Key) -> bool:
        """Whether something in the tree calls a function that a server could call as well."""
        return bool(self.program.function(key).name) and any(
            edge.kind == "call" for edge in self.program.callers.get(key, ())
        )

    @staticmethod
    def _scheduled_already(done: list[Trail], trail: Trail) -> bool:
        return any(
            one.entry is not None and one.entry.kind == "schedule" and one.top == trail.top for one in done
        )

    def _fed(self, trail: Trail, entry: Entry) -> list[Trail]:
        """Above a worker: whoever puts its jobs on the queue. What the queue takes it keeps, so all begins anew."""
        begun = replace(
            trail, error="open", retried=False, handler=("", 0), floating=("", 0), deferred=("", 0, ""),
            quantity=self._jobs(trail.quantity, entry.key), customer=self._jobs(trail.customer, entry.key),
        )  # fmt: skip
        return [self._put(begun, entry.key, one) for one in self.queues.filling(entry)]

    def _put(self, trail: Trail, worker: Key, job: Producer) -> Trail:
        """The trail at the call that puts a job on a queue, and at the one that says which, where that is another."""
        trail = self._substituted(trail, worker, job.caller, job.given)
        late = (job.caller[0], job.call.line, "after the response")
        trail = replace(trail, deferred=late) if job.put_off else replace(trail, queued=job.call)
        trail = self._through(trail, job.caller, job.call, False, self._is_script(job.caller))
        if job.relay is None:
            return trail
        above, call = job.relay.caller, job.relay.call
        trail = self._substituted(replace(trail, queued=call), job.caller, above, call.args)
        return self._through(trail, above, call, False, self.program.function(job.caller).is_async)

    def _jobs(self, labels: Labels, worker: Key) -> Labels:
        """What a worker reads from its job is whatever was put there: not a client's word by its name."""
        found = set()
        for kind, text in labels:
            root, _, below = text.partition(".")
            bound = next((one for one in self.program.function(worker).bindings if one.name == root), None)
            if kind == CLIENT and bound is not None:
                path = ".".join(part for part in (bound.path, below) if part)
                found.add(("param", f"{worker[0]}#{worker[1]}:{bound.index}:{path}"))
            elif kind != CLIENT:
                found.add((kind, text))
        return frozenset(found)

    def _ended(self, trail: Trail, entry: Entry) -> Trail:
        hook = self.program.function(entry.key).name
        if trail.error == "open" and entry.framework == "trigger.dev" and HOOKS.match(hook):
            return replace(trail, error="swallowed", handler=(entry.path, entry.line), entry=entry)
        if trail.error == "signal":
            served = entry.kind in ("http", "action")
            trail = replace(trail, error="surfaced" if served else "swallowed")
        return replace(trail, entry=entry)

    def _outward(self, trail: Trail, key: Key, done: list[Trail]) -> list[Trail]:
        """A literal lives in the function around it, below the call it is given to."""
        function = self.program.function(key)
        outer = (key[0], function.parent)
        if function.via < 0:
            return [replace(trail, top=outer, seen=trail.seen | {key})] if function.parent > 0 else []
        call = self.program.function(outer).calls[function.via]
        trail = self._run(trail, outer, call, key)
        caught = tuple(one for one in call.handlers if not one.kind.startswith(TOLD))
        call = structs.replace(call, handlers=caught)
        promised = call.callee.endswith(".then") and self._promises(trail, key)
        return self._handed(trail, outer, call, done, function.is_async or promised)

    def _run(self, trail: Trail, outer: Key, call: Call, given: Key) -> Trail:
        """What a function of the tree does with the errors of one it is given: `safely(() => report(n))`."""
        wrappers = self.program.targets(outer, call.callee)
        if len(wrappers) != 1 or trail.error != "open":
            return trail
        name = self.program.function(given).name
        literals = [number for number, one in enumerate(call.args) if one.kind == "func"]
        named = [number for number, one in enumerate(call.args) if one.kind == "name" and one.text == name]
        fitting = [one for one in literals if self.program.literal(outer[0], call.args[one]) == given]
        place = next(iter(named or fitting or literals), None)
        wrapper = wrappers[0]
        bindings, words = self.program.function(wrapper).bindings, answers.words_for(call, name)
        known = {one.name for one in bindings if one.index == place or one.name in words}
        functions = self.program.modules[wrapper[0]].functions
        for index, function in enumerate(functions):
            if index != wrapper[1] and function.parent != wrapper[1]:
                continue
            for one in function.calls:
                if one.callee in known and one.handlers:
                    return self._settled(trail, (wrapper[0], index), one)
        return trail

    def _promises(self, trail: Trail, key: Key) -> bool:
        """Whether a function gives the promise of what it calls, though it is not declared to wait: `() => send()`."""
        last, sent = trail.hops[-1]
        return self._is_script(key) and last == key and sent.state == "returned"

    def _is_script(self, key: Key) -> bool:
        return self.program.modules[key[0]].language in ("typescript", "tsx")

    def _handed(self, trail: Trail, outer: Key, call: Call, done: list[Trail], is_async: bool) -> list[Trail]:
        """A function given to a call: by the clock, put off, or run in place."""
        at_once = len(call.args) == 1 and call.state in AT_ONCE  # `await limiter.schedule(report)`
        ticks = schedules.of_task(call, self.program.modules[outer[0]])
        if ticks or (SCHEDULER.search(call.callee) and not WRAPPER.search(call.callee) and not at_once):
            seconds = ticks or schedules.gap(call.callee, self.program.spelled(outer, call.args))
            seconds = seconds or self._chained(outer, call)
            entry = Entry(outer, "schedule", "script", call.callee, call.line, seconds)
            entry.where = (outer[0], call.line)
            done.append(self._ended(trail, entry))
            return []
        waited = call.state == "used" and outer[0].endswith(
            ".py"
        )  # `await loop.run_in_executor(None, report)`
        if self.defer.search(call.callee) and not waited and not trail.deferred[1]:
            trail = replace(trail, deferred=(outer[0], call.line, call.callee.rpartition(".")[2]))
        dropped = call.state in ("floating", "void") and call.callee.endswith(".map")
        if trail.error == "open" and retries.tries_again(self.program, outer, call):
            trail = replace(trail, retried=True)
        loop = (dropped or bool(self.iterate.search(call.callee))) and is_async
        waits = loop or call.state != "floating" or call.callee.endswith(".then")
        further = self._through(trail, outer, call, False, is_async and waits)
        if loop and not further.floating[1]:
            further = replace(further, floating=(outer[0], call.line))
        return [further]

    def _chained(self, outer: Key, call: Call) -> int | None:
        """`schedule.call(f).everyFiveMinutes()`: how often stands behind the call."""
        calls = self.program.function(outer).calls
        chained = [
            one for one in calls if one.callee.startswith(f"{call.callee}().") and one.line == call.line
        ]
        return next((found for one in chained if (found := schedules.of_call(one))), None)

    def _called(self, trail: Trail, key: Key, done: list[Trail]) -> list[Trail]:
        found = []
        function = self.program.function(key)
        edges = self.program.callers.get(key, ())
        self.lost |= {(trail.site.key[0], MANY)} if len(edges) > MOST else set()
        for edge in edges[:MOST]:
            args = edge.call.args
            if edge.kind == "pass" and edge.caller == key and edge.call.callee == "setTimeout":
                continue  # a clock, and no report put off: the function sets it for itself
            if edge.kind == "remote" and edge.caller == key:
                continue  # what failed is put off by itself, to be tried again
            if edge.kind == "pass":
                later = given_later(args, function.name)
                moved = self._substituted(trail, key, edge.caller, later) if later else trail
                moved = self._run(moved, edge.caller, edge.call, key)
                found += self._handed(moved, edge.caller, edge.call, done, function.is_async)
                continue
            moved = replace(trail, remote=trail.remote or edge.kind == "remote")
            queued = re.search(r"\.(?:delay|apply_async|dispatch)$", edge.call.callee) is not None
            waits = function.is_async or self._promises(trail, key)
            asynchronous = waits and not queued and edge.kind == "call"
            moved = self._through(moved, edge.caller, edge.call, False, asynchronous)
            new = self._is_new(moved, trail)  # what is not will be left; its labels are not asked for
            found.append(self._substituted(moved, key, edge.caller, args) if new else moved)
        return found

    def _substituted(self, trail: Trail, callee: Key, caller: Key, args: tuple[Expr, ...]) -> Trail:
        """The trail with its labels in terms of the caller."""
        return replace(
            trail,
            quantity=self.labelling.substitute(trail.quantity, callee, caller, args),
            customer=self.labelling.substitute(trail.customer, callee, caller, args),
        )


def _fate(trail: Trail) -> tuple[object, ...]:
    """Where a way has come to, and what becomes of its report there: what lies above is the same for all of these."""
    return (
        trail.top, trail.error, bool(trail.floating[1]), bool(trail.deferred[1]), trail.remote, trail.queued,
        trail.retried,
    )  # fmt: skip
