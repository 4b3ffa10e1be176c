"""Ways that the clock starts: each with the schedule that was found for it, wherever that is written."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import replace

from tallystick.audit.case import clocks, gates, methods
from tallystick.audit.case.case import Case
from tallystick.audit.case.configured import configured
from tallystick.audit.case.unattended import waits_for_a_clock
from tallystick.audit.entries import constructs
from tallystick.audit.entries.forms import Entry, reads_records
from tallystick.audit.entries.schedules import Schedule, of_call
from tallystick.audit.program import saves
from tallystick.audit.program.program import Key, Program
from tallystick.audit.syntax.ir import Call
from tallystick.audit.trails.trails import Trail

SIGNATURE = {  # what a command is called by
    "laravel": re.compile(rb"\$signature\s*=\s*[\"']([\w:.-]+)"),
    "symfony": re.compile(
        rb"(?:\bAsCommand\(\s*(?:name:\s*)?|\$defaultName\s*=\s*|->setName\(\s*)[\"']([\w:.-]+)"
    ),
}
SPACE = re.compile(rb"\bnamespace[\s(]+[:\"']?(\w+)")
TASK = re.compile(rb"\btask[\s(]+[:\"']?(\w+)")
RUN = frozenset(["perform", "call", "run", "execute", "handle", "__invoke"])
STARTS = re.compile(  # what a framework calls by its name
    r"(?i)^(?:on\w*|main|start|run|init|setup|boot|bootstrap|ready|handle|schedule|default|plugin|lifespan"
    r"|(?:before|after)_\w*|configure\w*|register\w*)$"
)
REPEATING = re.compile(r"(?:upsertJobScheduler|\.add|\.schedule|\.every|createQueue|add_periodic_task)$")

COMMAND = re.compile(
    r"\b(?:node|ts-node|tsx|python\d?|bun|deno|npx|npm|pnpm|yarn|php|ruby|rake|uv|poetry|go run|java|bash|sh|exec|curl"
    r"|command|args|cmd|entrypoint|run|image|startCommand|schedule|handler)\b|\./"
)


def scheduled(case: Case) -> None:
    """Tell entries that the clock starts from those that requests start."""
    repeats = [*_repeats(case)] if case.trails else []
    for number, trail in enumerate(case.trails):
        entry = trail.entry or _dotted(case, trail) or _classed(case, trail) or _looping(case, trail)
        entry = entry or _deployed(case, trail) or _saved(trail, case.program)
        if entry is None:
            continue
        unstarted = _unstarted(case, entry)
        if unstarted is not None:
            case.silent.add(unstarted)
            case.trails[number] = replace(trail, entry=None, top=unstarted)
            continue
        trail = replace(trail, entry=entry)
        loop = clocks.kept(case.program, case.corpus, trail)
        case.trails[number] = trail
        named = _named(case, entry)
        heard = [one for one in named if methods.answered(case, trail, one)]
        found = _told(case, trail) or _quickest(heard) or _repeated(case, entry, repeats)
        if found is None and loop is not None:
            found, trail = loop[0], _undeferred(trail, loop[1])
        found = found or clocks.said(case.corpus, entry) or _by_setting(case, entry)
        if found is not None:
            case.trails[number] = replace(trail, entry=_timed(entry, found))
        elif clocks.occasional(case.corpus, entry):
            case.trails[number] = replace(trail, entry=_retimed(entry))
        elif entry.kind == "http" and waits_for_a_clock(case, trail, entry):
            case.trails[number] = replace(trail, entry=_called(case, trail, entry, named))
    for number, trail in enumerate(case.trails):  # once the clocks above are known
        if trail.entry is not None and trail.entry.kind == "worker":
            clock = _fed_by_clock(case, trail.entry)
            if clock is not None:
                case.trails[number] = replace(trail, entry=_timed(trail.entry, clock))
    _slowed(case)
    case.trails = [one for one in case.trails if not one.site.sink.clock or _by_clock(one)]
    case.sites = [
        one for one in case.sites if not one.sink.clock or any(one is each.site for each in case.trails)
    ]


def _slowed(case: Case) -> None:
    """Clocks that tick often, and of whose runs only one a day comes to the report."""
    for number, trail in enumerate(case.trails):
        entry = trail.entry
        if entry is None or entry.kind != "schedule" or entry.seconds is None or trail.site.stored:
            continue
        gate = gates.gated(case.program, case.corpus, trail)
        if gate is not None and gate.seconds > entry.seconds:
            case.trails[number] = replace(trail, entry=_timed(entry, gate))


def _unstarted(case: Case, entry: Entry) -> Key | None:
    """The function around a clock of the process that nothing names: `startReports` is never called."""
    path, index = entry.key
    while index and case.program.function((path, index)).via >= 0:  # the literal that the clock is given
        index = case.program.function((path, index)).parent
    if (entry.kind, entry.framework) != ("schedule", "script") or index <= 0:
        return None
    function = case.program.function((path, index))
    if not function.name or function.owner or function.decorators or STARTS.match(function.name):
        return None
    # what a framework finds in its file
    by_file = b"default" in case.corpus.text(path, function.line, function.line)
    named = case.program.callers.get((path, index)) or case.named_elsewhere((path, index))
    return None if by_file or named else (path, index)


def _called(case: Case, trail: Trail, entry: Entry, named: list[Schedule]) -> Entry | None:
    """A route for a clock, as what was found to call it says; none where that asks in a way it does not answer."""
    timer = clocks.calling(case.program, case.corpus, entry)
    if case.queues.feeding(entry):
        return entry
    if timer is None and named:
        case.silent.add(trail.top)
        case.refused[trail.top] = named[0]
        return None
    return _timed(entry, timer) if timer is not None else _retimed(entry)


def _by_clock(trail: Trail) -> bool:
    return trail.entry is not None and trail.entry.kind == "schedule"


def _fed_by_clock(case: Case, worker: Entry) -> Schedule | None:
    """The schedule behind a worker whose every job is put on its queue by the clock."""
    above = [one for one in case.live if one.queued and worker.key in {key for key, _ in one.hops}]
    clocks_above = []
    for one in above:
        entry = one.entry
        assert entry is not None
        if entry.kind == "worker":
            found = _quickest(_named(case, entry))
        elif entry.kind == "schedule" and entry.seconds is not None:
            found = Schedule(
                *(entry.where if entry.where[1] else (entry.path, entry.line)), entry.seconds, entry.route, ""
            )
        else:
            found = None
        if found is None and entry.key != worker.key:
            return None
        clocks_above += [found] if found is not None else []
    return _quickest(clocks_above)


def _dotted(case: Case, trail: Trail) -> Entry | None:
    """What a schedule calls by its dotted path, and nothing else does: `shop.cron.report`."""
    name = case.program.function(trail.top).name
    file = trail.top[0].rpartition(".")[0].replace("/", ".")
    for one in case.schedules if name and not trail.client else ():
        if one.target.endswith("." + name) and file.endswith(one.target.rpartition(".")[0]):
            return Entry(trail.top, "schedule", "script", name, case.program.function(trail.top).line)
    return None


def _classed(case: Case, trail: Trail) -> Entry | None:
    """The method that a schedule runs which only names its class: `class: "UsageLoader"`."""
    function = case.program.function(trail.top)
    if function.name not in RUN or not function.owner:
        return None
    for one in case.schedules:
        if _class_of(one.target) == function.owner:
            return Entry(trail.top, "schedule", "script", function.owner, function.line, task=one.target)
    return None


def _deployed(case: Case, trail: Trail) -> Entry | None:
    """What the cloud is told to run by its name: `handler: src/usage.drain`."""
    path, index = trail.top
    function = case.program.function(trail.top)
    if trail.client or not function.name or not constructs.names(case.deployed, path, function.name):
        return None
    kind = "worker" if reads_records(case.program.modules[path], index) else "http"
    return Entry(trail.top, kind, "lambda", f"{function.name} {path}", function.line)


def _saved(trail: Trail, program: Program) -> Entry | None:
    """What Django runs at each save of a model, wherever that is saved: forms and serializers are not followed."""
    found = next((key for key, _ in reversed(trail.hops) if saves.listens(program, key)), None)
    if found is None:
        return None
    function = program.function(found)
    return Entry(found, "worker", "django-signal", f"save {function.name}", function.line)


def _told(case: Case, trail: Trail) -> Schedule | None:
    """Of several schedules of one handler the one that this way asks for: `if (event.cron === "0 3 * * *")`."""
    entry = trail.entry
    if entry is None or entry.framework != "workers" or entry.kind != "schedule":
        return None
    call = next((call for key, call in trail.hops if key == entry.key), None)
    if call is None:
        return None
    lines = case.corpus.lines(entry.key[0])
    before, own = lines.said(entry.line, call.line - 1), lines.said(call.line, call.line)
    above = b"\n".join([before, own[: call.column]]).decode("utf-8", "replace")
    asked = {one: max(above.rfind(f"{mark}{one.text}{mark}") for mark in "\"'`") for one in case.schedules}
    last = max(asked, key=lambda one: (asked[one], -one.seconds), default=None)
    return last if last is not None and asked[last] >= 0 else None


def _looping(case: Case, trail: Trail) -> Entry | None:
    """A loop that keeps its own time, and that something starts in a way that was not followed."""
    function = case.program.function(trail.top)
    if trail.client or not function.name or not case.corpus.mentioned(function.name, trail.top[0]):
        return None
    if clocks.kept(case.program, case.corpus, trail) is None:
        return None
    return Entry(trail.top, "script", "script", function.name, function.line)


def _repeats(case: Case) -> Iterator[tuple[str, Call, int]]:
    """The calls that put a job on a queue again and again, and how often."""
    for path, module in sorted(case.program.modules.items()):
        for call in (one for function in module.functions for one in function.calls):
            repeats = REPEATING.search(call.callee) is not None and _clocked(call)
            seconds = (of_call(call) or configured(case.corpus, path, call.args)) if repeats else None
            if seconds:
                yield path, call, seconds


def _repeated(case: Case, entry: Entry, repeats: list[tuple[str, Call, int]]) -> Schedule | None:
    """A worker whose jobs something puts on its queue by the clock: in its own file, or by the queue's name."""
    if entry.kind != "worker":
        return None
    names = case.queues.names(entry)
    own = case.program.function(entry.key).name
    found = [
        Schedule(path, call.line, seconds, call.callee, entry.route)
        for path, call, seconds in repeats
        if path == entry.key[0] or case.queues.called(path, call) & names or _puts(call, own)
    ]
    return _quickest(found)


def _clocked(call: Call) -> bool:
    """Whether a call that may repeat a job says how often."""
    keys = {key for one in call.args for key in (*one.keys, *(k for part in one.parts for k in part.keys))}
    by_position = call.callee.endswith((".schedule", ".every", "add_periodic_task"))
    return bool(keys & {"pattern", "every", "repeat", "cron"}) or by_position


def _by_setting(case: Case, entry: Entry) -> Schedule | None:
    """A clock of the process whose length is the default of a setting: `setInterval(report, EVERY)`."""
    if entry.kind != "schedule" or entry.seconds is not None or not entry.said_in:
        return None
    seconds = configured(case.corpus, entry.said_in, entry.given)
    return Schedule(*entry.where, seconds, entry.by, entry.route) if seconds else None


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


def _named(case: Case, entry: Entry) -> list[Schedule]:
    """The written schedules that start this entry."""
    if entry.kind == "schedule" and entry.seconds is not None:
        return []
    path = entry.route.partition(" ")[2]
    name = case.program.function(entry.key).name
    file = entry.key[0]
    signature = _signature(case, entry)
    return [
        one
        for one in case.schedules
        if (_starts(one, path, name, file, entry) and not _meant_for_another(case, one, entry, name))
        or (signature and signature in one.target.split())
    ]


def _quickest(schedules: list[Schedule]) -> Schedule | None:
    return min(schedules, key=lambda one: (one.seconds, one.path, one.line), default=None)


def _meant_for_another(case: Case, one: Schedule, entry: Entry, name: str) -> bool:
    """Whether a schedule names another function of the same file: `src/jobs.mail`."""
    last = one.target.rpartition(".")[2]
    return entry.framework == "lambda" and last != name and bool(case.program.local[entry.key[0]].get(last))


def _signature(case: Case, entry: Entry) -> str:
    """What a command of artisan or of Symfony's console, or a rake task, is called by."""
    called = SIGNATURE.get(entry.framework)
    if called is not None:
        hit = called.search(case.corpus.sources[entry.key[0]])
        return hit[1].decode() if hit else ""
    if entry.framework != "rake":
        return ""
    above = case.corpus.text(entry.key[0], 1, entry.line)
    nearest = (*SPACE.findall(above)[-1:], *TASK.findall(above)[-1:])
    return b":".join(nearest).decode()


def _runs(target: str, file: str) -> bool:
    """Whether a command names a program's file, as source or built; of a whole document only its commands count."""
    stem = file.rpartition("/")[2].rpartition(".")[0]
    if stem == "main" and file.endswith(".go") and "/" in file:
        stem = file.rpartition("/")[0].rpartition("/")[2]  # a Go program is called by its folder's name
    if len(stem) < 4 or stem in ("index", "main"):
        return file.rpartition(".")[0] in target
    named = re.compile(rf"(?:^|[\s/\"'=.])(?:manage\.py\s+)?{re.escape(stem)}(?:\.\w+)?(?=[\s\"',\]]|$)")
    lines = target.splitlines()
    return any(named.search(one) for one in lines if len(lines) == 1 or COMMAND.search(one))


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
    return stem == _class_of(target).lower()


def _class_of(target: str) -> str:
    return re.split(r"[\\:]+", target.removesuffix("::class"))[-1]
