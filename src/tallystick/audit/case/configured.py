"""How often something runs where a settings file says so: `repeat: config.get("jobs.usage")`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from tallystick.audit.corpus.lexical import Corpus
from tallystick.audit.entries.schedules import seconds_of
from tallystick.audit.syntax.ir import Call, Expr

SETTINGS = re.compile(r"(?:^|/)config/(?:default|production)\.json$")
ASKED = re.compile(r"(?i)^(?:\w*config|settings|nconf)(?:\.get|\.)?$")
OFTEN = ("cron", "pattern", "every", "schedule", "interval")
DEEPEST = 4


def configured(corpus: Corpus, call: Call) -> int | None:
    """The seconds that a settings file gives a value among the arguments of a call."""
    asked = [path for value in call.args for path in _asked(value)]
    for name, data in sorted(corpus.support.items() if asked else ()):
        if SETTINGS.search(name):
            found = [one for path in asked if (one := _seconds(_at(data, path)))]
            if found:
                return min(found)
    return None


def _asked(value: Expr, depth: int = 0) -> Iterator[list[str]]:
    """The paths that a value is read from: `config.get("a.b")`, `config.a.b`."""
    if value.kind == "call" and ASKED.search(value.text) and len(value.parts) == 1:
        yield value.parts[0].text.split(".")
    elif value.kind == "name" and ASKED.search(value.text.partition(".")[0]):
        yield value.text.split(".")[1:]
    for part in value.parts if depth < DEEPEST else ():
        yield from _asked(part, depth + 1)


def _at(data: bytes, path: list[str]) -> object:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _seconds(value: object) -> int | None:
    if isinstance(value, dict):
        return next((_seconds(value[name]) for name in OFTEN if name in value), None)
    if isinstance(value, str):
        return seconds_of(value)
    return value // 1000 if isinstance(value, int) and value >= 1000 else None
