"""Workers that wait for an event which nothing in the tree sends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from tallystick.audit.case.case import Case
from tallystick.audit.corpus.lexical import COMMENT, Corpus
from tallystick.audit.entries.forms import Entry
from tallystick.audit.program.program import Program
from tallystick.audit.syntax.ir import Expr

FOREIGN = re.compile(  # sent by the platform itself, or by a webhook that it turns into events
    r"(?i)^(?:inngest|stripe|polar|paddle|lemon\w*|clerk|auth0|workos|supabase|github|gitlab|shopify|slack|linear|resend|webhooks?|db)"
    r"[/.:]"
)


def silence(case: Case) -> None:
    """Take away the start of workers whose events nothing sends: they are there, and never run."""
    known: dict[str, bool] = {}
    for number, trail in enumerate(case.trails):
        events = _events(case.program, trail.entry) if trail.entry is not None else ()
        for one in events:
            if one not in known:
                known[one] = bool(FOREIGN.match(one)) or _is_sent(case.corpus, one)
        if events and not any(known[one] for one in events):
            case.trails[number] = replace(trail, entry=None)
            case.silent.add(trail.top)


def _events(program: Program, entry: Entry) -> tuple[str, ...]:
    """The events that start an Inngest function; none where one of them is not written out."""
    function = program.function(entry.key)
    if entry.framework != "inngest" or entry.kind != "worker" or function.via < 0:
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
