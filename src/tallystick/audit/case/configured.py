"""How often something runs where a settings file says so, or the default of a setting of the environment.

`repeat: config.get("jobs.usage")`, `every: EVERY` beside `const EVERY = Number(process.env.EVERY || 60_000)`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from tallystick.audit.corpus.lexical import Corpus
from tallystick.audit.entries.schedules import seconds_of, whole
from tallystick.audit.syntax.ir import Expr

SETTINGS = re.compile(r"(?:^|/)config/(?:default|production)\.json$")
ASKED = re.compile(r"(?i)^(?:\w*config|settings|nconf)(?:\.get|\.)?$")
OFTEN = ("cron", "pattern", "every", "schedule", "interval")
DEEPEST = 4
PRODUCT = r"(\d[\d_]{0,12}(?:\s?\*\s?\d[\d_]{0,12}){0,6})"
PLAIN = re.compile(rf"{PRODUCT}(?=\s*(?:[;,)}}\n]|//|$))")
DEFAULT = re.compile(  # `Number(env.EVERY) || 60 * 1000`, `parseInt(env.HOURS ?? "24", 10) * 3600 * 1000`
    rf"[^;\n]{{0,80}}?\benv\.\w+\)?\s?(?:\|\||\?\?)\s?(?:String\()?([\"']?){PRODUCT}\1(?:,\s?10)?\){{0,3}}"
    r"((?:\s?\*\s?\d[\d_]{0,12}){0,6})(?=\s*(?:[;,)}\n]|//|$))"
)
CRON = re.compile(r"[^;\n]{0,80}?\benv\.\w+\s?(?:\|\||\?\?)\s?[\"']([^\"'\n]{9,40})[\"']")
LONGEST = 160
SCRIPT = (".ts", ".tsx", ".js", ".mjs", ".cjs")


def configured(corpus: Corpus, path: str, values: tuple[Expr, ...]) -> int | None:
    """The seconds that a settings file, or a default beside a name, gives a value among the arguments of a call."""
    asked = [one for value in values for one in _asked(value)]
    for name, data in sorted(corpus.support.items() if asked else ()):
        if SETTINGS.search(name):
            found = [one for each in asked if (one := _seconds(_at(data, each)))]
            if found:
                return min(found)
    return _by_default(corpus, path, values) if path.endswith(SCRIPT) else None


def _by_default(corpus: Corpus, path: str, values: tuple[Expr, ...]) -> int | None:
    """The one length of time that the file gives the names among these values."""
    text = corpus.sources[path].decode("utf-8", "replace")
    found: set[int] = set()
    for name in {one for value in values for one in _names(value)}:
        for hit in re.finditer(rf"\bconst {re.escape(name)}(?:: number)?\s*=\s*(.{{1,{LONGEST}}})", text):
            found |= {one for one in [_length(hit[1])] if one}
    return found.pop() if len(found) == 1 else None


def _names(value: Expr, depth: int = 0) -> Iterator[str]:
    """The names that say how often: an argument of its own, or what an object has for that."""
    if value.kind == "name" and value.text.isidentifier():
        yield value.text
    for key, part in zip(value.keys, value.parts, strict=False) if depth < DEEPEST else ():
        if key in (*OFTEN, "repeat"):
            yield from _names(part, depth + 1)


def _length(said: str) -> int | None:
    """The seconds of a constant in milliseconds, or of a cron expression, alone or as a default."""
    plain, default, cron = PLAIN.match(said), DEFAULT.match(said), CRON.match(said)
    if cron is not None:
        return seconds_of(cron[1])
    text = plain[1] if plain else default[2] + default[3] if default else ""
    product = 1
    for factor in text.replace("_", "").split("*"):
        product *= whole(factor.strip() or "0")
    return product // 1000


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
