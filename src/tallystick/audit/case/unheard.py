"""Workers that wait for what nothing in the tree sends: an event, a job."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from tallystick.audit.case.case import Case
from tallystick.audit.corpus.lexical import COMMENT, Corpus
from tallystick.audit.entries.forms import Entry
from tallystick.audit.program.program import Key, Program
from tallystick.audit.syntax.ir import Expr

FOREIGN = re.compile(  # sent by the platform itself, or by a webhook that it turns into events
    r"(?i)^(?:inngest|stripe|polar|paddle|lemon\w*|clerk|auth0|workos|supabase|github|gitlab|shopify|slack|linear|resend|webhooks?|db)"
    r"[/.:]"
)

WORKED = re.compile(
    rb"@Processor\(|\bWorker\(|registerQueue|QueueEvents|OnQueueEvent|\.(?:process|work|define)\(|^\s*\{?\s*name:"
)
DEFINING = re.compile(rb"\s*(?:(?:async )?def|class|@|#|name\b)")
KEPT_ELSEWHERE = re.compile(  # schedules are rows of a database
    rb"(?i)django_celery_beat|redbeat|celery_sqlalchemy_scheduler|DatabaseScheduler|celerybeatmongo|PeriodicTask"
)


def silence(case: Case) -> None:
    """Take away the start of workers that nothing starts: they are there, and never run."""
    known: dict[Key, bool] = {}
    for number, trail in enumerate(case.trails):
        entry = trail.entry
        if entry is None or entry.kind != "worker" or trail.top != entry.key:
            continue
        if entry.key not in known:
            known[entry.key] = _waits_in_vain(case, entry)
        if known[entry.key]:
            case.trails[number] = replace(trail, entry=None)
            case.silent.add(trail.top)


def _waits_in_vain(case: Case, entry: Entry) -> bool:
    """Whether nothing in the tree sends a worker's events, or speaks of the job it does."""
    events = _events(case.program, entry)
    if events:
        return not any(FOREIGN.match(one) or _is_sent(case.corpus, one) for one in events)
    if entry.framework == "bullmq":
        names = case.queues.names(entry)
        return len(names) == 1 and not case.queues.feeding(entry) and _is_unfilled(case.corpus, *names)
    function = case.program.function(entry.key)
    job = function.owner if function.name == "perform" else ""  # and not what a model runs by itself
    name = {"celery": function.name, "rails": job}.get(entry.framework, "")
    if len(name) < 6 or case.corpus.says(KEPT_ELSEWHERE):
        return False
    return not any(_is_named(case.corpus, entry.key[0], one) for one in {name, entry.task} if one)


def _is_unfilled(corpus: Corpus, queue: str) -> bool:
    """Whether nothing speaks of a queue by its name but what works on it, listens to it or declares it."""
    word = re.compile(rb"[\"'`]" + re.escape(queue).encode() + rb"[\"'`]")
    lines = [line for data in _everything(corpus) if word.search(data) for line in data.split(b"\n")]
    return len(queue) > 3 and all(WORKED.search(line) for line in lines if word.search(line))


def _everything(corpus: Corpus) -> Iterator[bytes]:
    yield from corpus.sources.values()
    yield from corpus.support.values()


def _is_named(corpus: Corpus, path: str, name: str) -> bool:
    """Whether anything but its own definition speaks of a job by its name."""
    word = re.compile(rb"\b" + re.escape(name).encode() + rb"\b")
    said = name.encode()
    return (
        corpus.mentioned(name, path)
        or any(DEFINING.match(line) is None for line in _lines(corpus.sources[path], word))
        or any(said in data and word.search(data) for data in corpus.support.values())
    )


def _lines(text: bytes, word: re.Pattern[bytes]) -> Iterator[bytes]:
    """The lines of a text that hold a word."""
    for hit in word.finditer(text):
        yield text[text.rfind(b"\n", 0, hit.start()) + 1 : hit.end()]


def _events(program: Program, entry: Entry) -> tuple[str, ...]:
    """The events that start an Inngest function; none where one of them is not written out."""
    function = program.function(entry.key)
    if entry.framework != "inngest" or function.via < 0:
        return ()
    call = program.modules[entry.key[0]].functions[function.parent].calls[function.via]
    values = [value for one in call.args for value in _under_event(one)]
    return (
        tuple(one.text for one in values) if all(one.kind == "const" and one.text for one in values) else ()
    )


def _under_event(value: Expr) -> Iterator[Expr]:
    for number, part in enumerate(value.parts if value.kind in ("object", "mix") else ()):
        if number < len(value.keys) and value.keys[number] == "event":
            yield part
        else:
            yield from _under_event(part)


def _is_sent(corpus: Corpus, event: str) -> bool:
    """Whether anything speaks of an event but what waits for it, what declares its type, and remarks."""
    name, space = re.escape(event), re.escape(re.split(r"[/.:]", event)[0])
    spoken = re.compile(
        (
            rf"(?<!event:)(?<!event: )[\"'`]{name}[\"'`](?!\s*\]?\s*:|\s*;\s*\n\s*data\b)"
            rf"|`{space}[/.:][^`\n]*\$\{{|[\"']{space}[/.:][\w./:-]*[\"']\s*\+"  # put together: `usage/${{kind}}`
        ).encode()
    )
    for data in (*corpus.sources.values(), *corpus.support.values()):
        for hit in spoken.finditer(data):
            if not COMMENT.match(data[data.rfind(b"\n", 0, hit.start()) + 1 : hit.start() + 1]):
                return True
    return False
