"""Everything the rules look at: trails with their entries, schedules, signals, versions."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from tallystick.audit.case import clocks
from tallystick.audit.corpus.lexical import Corpus
from tallystick.audit.entries.entries import Entries, Entry
from tallystick.audit.entries.queues import Queues
from tallystick.audit.entries.schedules import Schedule, of_call
from tallystick.audit.model import Hop, Place
from tallystick.audit.program.program import Key, Program
from tallystick.audit.syntax.ir import Call
from tallystick.audit.trails import sites
from tallystick.audit.trails.labels import CHOSEN, CLIENT, KEYED, Labels
from tallystick.audit.trails.sites import Site
from tallystick.audit.trails.trails import Trail

SLOW = 6 * 3600
REPEATING = re.compile(r"(?:upsertJobScheduler|\.add|\.schedule|\.every|createQueue|add_periodic_task)$")
CRON_PATH = re.compile(r"(?i)(?:^|/)(?:crons?|scheduled?|jobs?)(?:/|-|$)")
STAFF = re.compile(r"(?i)admin|internal|back-?office|staff|support/|webhook")
WHO = re.compile(
    rb"(?i)auth|session|current_?user|api_?key|token\b|jwt|verif|permission|guard|depends\(|login|member|owner|secret"
    rb"|(?:req|request|ctx|c|locals|context|self)\.user|protect|signature"
)
FROM_REQUEST = (
    rb"@(?:Body|Query|Param|Headers|Request(?:Body|Param|Header)|PathVariable)(?:\([^)]*\))?"
    rb"\s*(?:[A-Z\w<>]+\s+)?"
)
MESSAGES = re.compile(
    r"(?i)mail|sms|messag|(?:^|[^a-z])calls?\b|voice|phone|campaign|broadcast|minutes|segment"
)
OPEN_KINDS = frozenset(["http", "action"])


@dataclass
class Case:
    """One audited tree, as the rules see it."""

    corpus: Corpus
    program: Program
    entries: Entries
    sites: list[Site]
    trails: list[Trail]
    metered: tuple[Hop, ...] = ()
    priced: tuple[Hop, ...] = ()
    sold: tuple[Hop, ...] = ()
    flat: tuple[Hop, ...] = ()
    counted: tuple[Hop, ...] = ()
    payment: tuple[Hop, ...] = ()
    schedules: list[Schedule] = field(default_factory=list)
    versions: dict[str, tuple[int, str, int]] = field(default_factory=dict)
    reporters: set[Key] = field(default_factory=set)

    @property
    def live(self) -> list[Trail]:
        """Trails that something really starts."""
        return [one for one in self.trails if one.entry is not None]

    @property
    def direct(self) -> set[Key]:
        """Entries that reach the provider itself, not only a row of their own."""
        return {one.entry.key for one in self.live if one.entry is not None and not one.site.stored}

    @cached_property
    def work(self) -> re.Pattern[str]:
        """What is sold by the piece here: messages only where a meter speaks of them."""
        knowledge = self.program.knowledge
        said = (text for one in self.live for text in self._spoken(one))
        return knowledge.work if any(MESSAGES.search(text) for text in said) else knowledge.work_but_messages

    def _spoken(self, trail: Trail) -> Iterator[str]:
        """The words of a report: its constants, its route, and the functions on the way."""
        yield from (sites.texts(one) for one in trail.site.call.args)
        yield trail.entry.route if trail.entry is not None else ""
        for key, call in trail.hops:
            yield f"{key[0]} {call.callee} {' '.join(sites.texts(one) for one in call.args)}"

    def place(self, key: Key, line: int = 0) -> Place:
        """A place in a function's file."""
        return Place(key[0], line or self.program.function(key).line)

    def at(self, trail: Trail) -> Place:
        """Where the reporting call stands."""
        call = trail.site.call
        return Place(trail.site.key[0], call.line, call.column, call.end_line, call.end_column)

    def origin(self, trail: Trail) -> Place:
        """Where the request's own code sends usage on its way."""
        key, call = trail.hops[-1]
        return Place(key[0], call.line, call.column, call.end_line, call.end_column)

    def hops(self, trail: Trail) -> tuple[Hop, ...]:
        """The way from the entry down to the reporting call."""
        steps = []
        if trail.entry is not None:
            steps.append(Hop(Place(trail.entry.path, max(1, trail.entry.line)), trail.entry.route or "entry"))
        for key, call in reversed(trail.hops):
            steps.append(Hop(Place(key[0], call.line, call.column), f"calls {call.callee}"))
        return tuple(steps)

    def name(self, trail: Trail) -> str:
        """The function that holds the reporting call."""
        return self.program.function(trail.site.key).name

    def client_parts(self, labels: Labels, entry: Entry | None) -> list[str]:
        """Which of the labels the client chooses, given where the request enters."""
        if entry is None or entry.kind not in OPEN_KINDS:
            return []
        found = [text for kind, text in labels if kind == CLIENT]
        found += [text for kind, text in labels if kind == "param" and self.exposed(text, entry)]
        return sorted({one for one in found if not one.endswith((".length", ".byteLength"))})

    def chosen(self, trail: Trail) -> list[str]:
        """Ids by which the client picks the stored customer, where nothing on the way asks who is calling."""
        entry = trail.entry
        if entry is None or entry.kind not in OPEN_KINDS:
            return []
        found = [text for kind, text in trail.customer if kind == CHOSEN]
        found += [text for kind, text in trail.customer if kind == KEYED and self.exposed(text, entry)]
        return sorted(set(found)) if found and not self._asks_who(trail, entry) else []

    def _asks_who(self, trail: Trail, entry: Entry) -> bool:
        keys = {key for key, _ in trail.hops} | {entry.key, *([entry.handler] if entry.handler[0] else [])}
        for key in sorted(keys):
            function = self.program.function(key)
            first = function.line
            if function.via >= 0:
                call = self.program.modules[key[0]].functions[function.parent].calls[function.via]
                first = min(first, call.line)
            lines = self.corpus.sources[key[0]].split(b"\n")[max(0, first - 4) : function.end_line]
            if WHO.search(b"\n".join(lines)):
                return True
        return False

    def exposed(self, text: str, entry: Entry) -> bool:
        """Whether a parameter of the entry is the client's to fill."""
        place, index, path = text.split(":", 2)
        if place != f"{entry.key[0]}#{entry.key[1]}":
            return False
        if entry.kind == "action":
            return True
        position = {"convex": 1, "graphql": 1}.get(entry.framework)
        if position is not None:
            return int(index) == position
        if entry.framework == "trpc":
            return path.startswith("input")
        if entry.framework == "lambda":
            return int(index) == 0 and path.startswith(("body", "arguments"))
        if entry.framework in ("nest", "spring"):
            return self._from_request(entry, int(index))
        if entry.framework == "fastapi":
            names = [one.name for one in self.program.function(entry.key).bindings if one.index == int(index)]
            return bool(names) and names[0] not in (
                "request",
                "db",
                "session",
                "background_tasks",
                "user",
                "current_user",
            )
        return path.startswith(("body", "query.", "data."))

    def _from_request(self, entry: Entry, index: int) -> bool:
        """Whether a parameter's decorator fills it from the request: `@Body() body`."""
        function = self.program.function(entry.key)
        name = next((one.name for one in function.bindings if one.index == index), "")
        lines = self.corpus.sources[entry.key[0]].split(b"\n")[function.line - 1 : function.line + 15]
        asked = FROM_REQUEST + re.escape(name).encode() + rb"\b"
        return bool(name) and re.search(asked, b"\n".join(lines)) is not None

    def guarded(self, trail: Trail) -> bool:
        """Whether only a holder of a service secret, or a signed event, gets here."""
        if trail.entry is None:
            return False
        if trail.site.stored and STAFF.search(f"{trail.entry.key[0]} {trail.entry.route}"):
            return True
        function = self.program.function(trail.entry.key)
        flags = set(trail.flags) | set(function.flags)
        if trail.entry.handler[0]:
            flags |= set(self.program.function(trail.entry.handler).flags)
        holder = function
        for _ in range(3):
            if holder.via < 0:
                break
            holder = self.program.modules[trail.entry.key[0]].functions[holder.parent]
            flags |= set(holder.flags)
        if function.name and self._signed(trail.entry.key[0], function.name):
            return True
        for target, _ in self.program.callees.get(trail.entry.key, ()):
            flags |= set(self.program.function(target).flags) & {"secret", "verified"}
        return "secret" in flags or "verified" in flags

    def _signed(self, path: str, name: str) -> bool:
        """Whether a handler is only exported behind a check of signatures: `verifySignatureAppRouter(handler)`."""
        wrapped = rb"verify\w*(?:Signature|Webhook)\w*\(\s*" + name.encode() + rb"\b"
        return re.search(wrapped, self.corpus.sources[path]) is not None


def scheduled(case: Case) -> None:
    """Tell entries that the clock starts from those that requests start."""
    joined = any(one.entry is not None and one.entry.kind in ("worker", "http") for one in case.trails)
    queues = Queues(case.program) if joined else None
    for number, trail in enumerate(case.trails):
        entry = trail.entry or _dotted(case, trail) or _looping(case, trail)
        if entry is None:
            continue
        trail = replace(trail, entry=entry)
        loop = clocks.kept(case.program, case.corpus, trail)
        case.trails[number] = trail
        found = _named(case, entry) or _repeated(case, entry, queues)
        if found is None and loop is not None:
            found, trail = loop[0], _undeferred(trail, loop[1])
        found = found or clocks.said(case.corpus, entry)
        if found is not None:
            case.trails[number] = replace(trail, entry=_timed(entry, found))
        elif clocks.occasional(case.corpus, entry):
            case.trails[number] = replace(trail, entry=_retimed(entry))
        elif entry.kind == "worker" and (clock := _fed_by_clock(case, entry)) is not None:
            case.trails[number] = replace(trail, entry=_timed(entry, clock))
        elif entry.kind == "http" and CRON_PATH.search(entry.route.partition(" ")[2] or entry.key[0]):
            fed = queues is not None and queues.feeding(entry)
            case.trails[number] = trail if fed else replace(trail, entry=_retimed(entry))


def _fed_by_clock(case: Case, worker: Entry) -> Schedule | None:
    """The schedule behind a worker whose every job is put on its queue by the clock."""
    above = [one for one in case.live if one.queued and worker.key in {key for key, _ in one.hops}]
    clocks_above = []
    for one in above:
        entry = one.entry
        assert entry is not None
        if entry.kind == "worker":
            found = _named(case, entry)
        elif entry.kind == "schedule" and entry.seconds is not None:
            found = Schedule(
                *(entry.where if entry.where[1] else (entry.path, entry.line)), entry.seconds, entry.route, ""
            )
        else:
            found = None
        if found is None and entry.key != worker.key:
            return None
        clocks_above += [found] if found is not None else []
    return min(clocks_above, key=lambda one: (one.seconds, one.path, one.line), default=None)


def _dotted(case: Case, trail: Trail) -> Entry | None:
    """What a schedule calls by its dotted path, and nothing else does: `shop.cron.report`."""
    name = case.program.function(trail.top).name
    file = trail.top[0].rpartition(".")[0].replace("/", ".")
    for one in case.schedules if name and not trail.client else ():
        if one.target.endswith("." + name) and file.endswith(one.target.rpartition(".")[0]):
            return Entry(trail.top, "schedule", "script", name, case.program.function(trail.top).line)
    return None


def _looping(case: Case, trail: Trail) -> Entry | None:
    """A loop that keeps its own time, and that something starts in a way that was not followed."""
    function = case.program.function(trail.top)
    if trail.client or not function.name or not case.corpus.mentioned(function.name, trail.top[0]):
        return None
    if clocks.kept(case.program, case.corpus, trail) is None:
        return None
    return Entry(trail.top, "script", "script", function.name, function.line)


def _repeated(case: Case, entry: Entry, queues: Queues | None) -> Schedule | None:
    """A worker whose jobs something puts on its queue by the clock: in its own file, or by the queue's name."""
    if entry.kind != "worker" or queues is None:
        return None
    names = queues.names(entry)
    own = case.program.function(entry.key).name
    found = []
    for path, module in sorted(case.program.modules.items()):
        for function in module.functions:
            for call in function.calls:
                seconds = of_call(call) if REPEATING.search(call.callee) and _clocked(call) else None
                if seconds and (
                    path == entry.key[0] or queues.called(path, call) & names or _puts(call, own)
                ):
                    found.append(Schedule(path, call.line, seconds, call.callee, entry.route))
    return min(found, key=lambda one: (one.seconds, one.path, one.line), default=None)


def _clocked(call: Call) -> bool:
    """Whether a call that may repeat a job says how often."""
    keys = {key for one in call.args for key in (*one.keys, *(k for part in one.parts for k in part.keys))}
    by_position = call.callee.endswith((".schedule", ".every", "add_periodic_task"))
    return bool(keys & {"pattern", "every", "repeat", "cron"}) or by_position


def _puts(call: Call, name: str) -> bool:
    return any(
        one.kind == "call" and one.text in (f"{name}.s", f"{name}.si", name) for one in call.args if name
    )


def _undeferred(trail: Trail, step: int) -> Trail:
    """A loop that is started in the background is not a report that is put off."""
    above = {(key[0], call.line) for key, call in trail.hops[step + 1 :]}
    if trail.deferred[:2] in above:
        trail = replace(trail, deferred=("", 0, ""))
    return replace(trail, floating=("", 0)) if trail.floating in above else trail


def _retimed(entry: Entry) -> Entry:
    return Entry(entry.key, "schedule", entry.framework, entry.route, entry.line, None, "no schedule found")


def _timed(entry: Entry, found: Schedule) -> Entry:
    return Entry(
        entry.key, "schedule", entry.framework, entry.route, entry.line, found.seconds, found.text,
        (found.path, found.line),
    )  # fmt: skip


def _named(case: Case, entry: Entry) -> Schedule | None:
    """The most frequent written schedule that starts this entry."""
    if entry.kind == "schedule" and entry.seconds is not None:
        return None
    path = entry.route.partition(" ")[2]
    name = case.program.function(entry.key).name
    file = entry.key[0]
    signature = _signature(case, entry)
    matches = [
        one
        for one in case.schedules
        if _starts(one, path, name, file, entry) or (signature and signature in one.target.split())
    ]
    return min(matches, key=lambda one: (one.seconds, one.path, one.line), default=None)


def _signature(case: Case, entry: Entry) -> str:
    """What an artisan command, or a rake task, is called by."""
    if entry.framework != "laravel" and not entry.key[0].endswith(".rake"):
        return ""
    hit = re.search(rb"\$signature\s*=\s*[\"']([\w:.-]+)|\btask\s+:?(\w+)", case.corpus.sources[entry.key[0]])
    if not hit:
        return ""
    space = re.search(rb"\bnamespace\s+:?(\w+)", case.corpus.sources[entry.key[0]]) if hit[2] else None
    return ((space[1] + b":" if space else b"") + (hit[1] or hit[2])).decode()


def _runs(target: str, file: str) -> bool:
    """Whether a command line names a program's file, as source or built."""
    stem = file.rpartition("/")[2].rpartition(".")[0]
    if stem == "main" and "/" in file:
        stem = file.rpartition("/")[0].rpartition("/")[2]  # a Go program is called by its folder's name
    if len(stem) < 4 or stem in ("index", "main"):
        return file.rpartition(".")[0] in target
    return (
        re.search(rf"(?:^|[\s/\"'=.])(?:manage\.py\s+)?{re.escape(stem)}(?:\.\w+)?(?=[\s\"',\]]|$)", target)
        is not None
    )


def _starts(one: Schedule, path: str, name: str, file: str, entry: Entry) -> bool:
    target = one.target
    if path.startswith("/") and len(path) > 3 and re.search(re.escape(path) + r"(?![\w/-])", target):
        return True
    if entry.kind == "script":
        return _runs(target, file)
    if entry.framework in ("nitro", "netlify"):
        stem = file.rpartition("/")[2].partition(".")[0]
        return (file.rpartition("/")[0].rpartition("/")[2] if stem == "index" else stem) == target
    folder = posixpath.dirname(file)
    if "supabase/functions/" in file:
        return folder.rpartition("/")[2] in re.split(r"[^\w-]+", target)
    if entry.framework == "lambda":
        stem = file.rpartition(".")[0]
        asked = (target.removeprefix("./").rpartition(".")[0] or target).replace(".", "/")
        return stem.endswith(asked.rpartition("/")[2]) and len(asked) > 3
    if entry.framework == "workers":
        return entry.kind == "schedule"
    if target.endswith("." + name) or target in (name, entry.task):
        return len(target) > 3
    return entry.framework in ("laravel", "rails") and _is_named(target, file)


def _is_named(target: str, file: str) -> bool:
    """Whether a scheduler's `ReportUsage::class`, `Billing::ReportJob` means the class that a file is named after."""
    stem = file.rpartition("/")[2].rpartition(".")[0].replace("_", "").lower()
    return stem == re.split(r"[\\:]+", target.removesuffix("::class"))[-1].lower()
