"""Usage that waits in the memory of a process until a loop sends it."""

from __future__ import annotations

import re

from tallystick.audit.case.case import Case
from tallystick.audit.model import Place
from tallystick.audit.syntax.searches import finite
from tallystick.audit.trails.trails import Trail

KEPT = rb"(?:self|this|[a-z]\w*)(?:\.|->)([A-Za-z_]\w*)"
EMPTIED = finite(
    KEPT
    + rb"\s*=\s*(?:\[\]|\{\}|nil\b|make\(|new (?:Map|Set|ArrayList)|(?:collections\.)?(?:defaultdict|deque|Counter)\("
    rb"|list\(\))"
    rb"|" + KEPT + rb"\s*=\s*[\w.]+\[:0\]"
    rb"|" + KEPT + rb"\.(?:clear\(\)|splice\(0|drainTo\(|get_nowait\(|popleft\(|poll\(\)|Swap\(0\))"
    rb"|,\s*" + KEPT + rb"\s*=\s*[\w.]+,\s*(?:\[\]|\{\}|nil|\w+\(\w*\))"
    rb"|<-\s*" + KEPT
)
BATCHER = re.compile(r"(?:^|\.)(?:\w*Batch(?:er|ed|Processor|Queue)?|\w*Buffer(?:ed)?|\w*Flusher)$")
LATER = re.compile(r"(?i)interval|flush|batch|max_?(?:size|wait)|delay")

OWN = finite(  # a variable of the file itself
    rb"(?<![\w.>])(?<!let )(?<!var )(?<!const )([A-Za-z_]\w*)\s*=\s*(?:\[\]|new (?:Map|Set)\()"
    rb"|(?<![\w.>])([A-Za-z_]\w*)(?:\.splice\(0|\.length\s*=\s*0|\.clear\(\))"
)


def waiting(case: Case, trail: Trail) -> Place | None:
    """Where a buffer is emptied that this way sends, and that other code fills."""
    entry = trail.entry
    if trail.site.stored:
        return None
    for key, call in trail.hops[1:]:
        if BATCHER.search(call.callee) and any(LATER.search(name) for one in call.args for name in one.keys):
            return case.place(key, call.line)
    if entry is None or entry.kind not in ("schedule", "script"):
        return None
    for key, _ in trail.hops:
        function = case.program.function(key)
        whole = case.corpus.sources[key[0]]
        text = case.corpus.text(key[0], function.line, function.end_line) if key[1] else b""
        names: dict[tuple[re.Pattern[bytes], bytes], int] = {}  # each where it is emptied first
        for hit in (*EMPTIED.finditer(text), *OWN.finditer(text)):
            names.setdefault((hit.re, next(one for one in hit.groups() if one)), hit.start())
        beside = whole.replace(text, b"") if names else b""
        for (pattern, name), start in names.items():
            if _filled(whole, name) if pattern is EMPTIED else _gathers(beside, name):
                return Place(key[0], function.line + text.count(b"\n", 0, start))
    return None


def _gathers(text: bytes, name: bytes) -> bool:
    """Whether a file keeps a variable of this name that other functions of it fill."""
    word = re.escape(name)
    kept = rb"(?m)^(?:export\s+)?(?:let|const|var)\s+" + word + rb"\b"
    fills = rb"(?<![\w.])" + word + rb"(?:\[[^\]\n]+\])?\.(?:push|add|set)\("
    return re.search(kept, text) is not None and re.search(fills, text) is not None


def _filled(text: bytes, name: bytes) -> bool:
    """Whether something puts usage into it."""
    word = rb"(?:\.|->)" + re.escape(name)
    return (
        re.search(
            word
            + rb"(?:\[[^\]\n]+\])?(?:\.(?:append|push|put|put_nowait|add|extend|set|offer|Enqueue|Add)\(|\s*\+=|\s*<-)"
            rb"|=\s*append\(\s*\w+" + word + rb"\b"
            rb"|" + word + rb"\[[^\]\n]+\]\s*=[^=]",
            text,
        )
        is not None
    )
