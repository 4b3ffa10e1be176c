"""What a cloud is told to run, and how often, by what deploys it: SST, CDK, serverless, SAM."""

from __future__ import annotations

import re

from tallystick.audit.corpus.lexical import Corpus
from tallystick.audit.entries.schedules import UNITS, Schedule, named_fields, seconds_of, whole
from tallystick.audit.syntax.searches import finite

CLOCK = re.compile(r"\bnew\s+(?:\w+\.)*(?:Cron(?:V2|Job)?|Rule|Schedule)\(")
HANDLER = re.compile(r"\b(?:function|job|handler|entry)\s*:\s*[\"'`]([\w./-]{4,})[\"'`]")
GIVEN = re.compile(
    r"\b(?:function|job)\s*:\s*(?:this\.)?(\w+)|\bLambda(?:Function|Invoke)\(\s*(?:this\.)?(\w+)"
)
WHEN = re.compile(r"\b(?:rate|cron)\([^()\n]*\)")
RATE = re.compile(r"\bDuration\.(minute|hour|day)s\(\s*(\d+)")
FIELDS = re.compile(r"\bSchedule\.cron\(\s*\{([^{}]*)\}")
FIELD = finite(r"(\w+)\s*:\s*[\"']([^\"']+)[\"']")
NAMED = re.compile(rb"(?i)\bhandler[\"']?\s*:\s*[\"'`]?(?:\./)?([\w./-]+\.\w+)")
SPAN = 1_500


def clocks(path: str, data: bytes) -> list[Schedule]:
    """`new Cron(stack, "x", { schedule: "rate(1 day)", job: "report.handler" })`, rules with their targets."""
    text = data.decode("utf-8", "replace")
    found = []
    for hit in CLOCK.finditer(text):
        block = _given(text, hit.end())
        when = _when(block)
        line = text.count("\n", 0, hit.start()) + 1
        found += [Schedule(path, line, *when, target) for target in _targets(block, text)] if when else []
    return found


def _given(text: str, start: int) -> str:
    """What stands between the parentheses that were opened before `start`."""
    depth = 1
    for at in range(start, min(len(text), start + SPAN)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if not depth:
            return text[start:at]
    return text[start : start + SPAN]


def _when(block: str) -> tuple[int, str] | None:
    hit = WHEN.search(block)
    seconds = seconds_of(hit[0]) if hit else None
    if hit and seconds:
        return seconds, hit[0]
    rate, fields = RATE.search(block), FIELDS.search(block)
    if rate:
        return whole(rate[2]) * UNITS[rate[1]], rate[0] + ")"
    return (named_fields(dict(FIELD.findall(fields[1]))), fields[0]) if fields else None


def _targets(block: str, text: str) -> list[str]:
    """The files that a clock runs: named in place, or where the function it is given was made."""
    found = HANDLER.findall(block)
    for name in (one or other for one, other in GIVEN.findall(block) if not found):
        made = re.search(rf"\b{re.escape(name)}\s*=\s*new\s+(?:\w+\.)*\w*Function\w*\(", text)
        inside = HANDLER.search(_given(text, made.end())) if made else None
        found += [inside[1]] if inside else []
    return found


def deployed(corpus: Corpus) -> frozenset[str]:
    """The functions that are deployed by name: `src/usage.drain`."""
    files = {path: data for path, data in corpus.support.items() if path.endswith((".yml", ".yaml"))}
    files |= {path: data for path, data in corpus.sources.items() if b"handler" in data and b"new " in data}
    return frozenset(hit.decode("utf-8", "replace") for data in files.values() for hit in NAMED.findall(data))


def names(handlers: frozenset[str], path: str, name: str) -> bool:
    """Whether one of the handlers is this function of this file."""
    stem = path.rpartition(".")[0]
    return any(
        one.rpartition(".")[2] == name and f"/{stem}".endswith(f"/{one.rpartition('.')[0]}")
        for one in handlers
    )
