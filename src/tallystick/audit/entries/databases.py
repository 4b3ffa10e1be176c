"""Schedules that a database keeps by itself, with the addresses that its functions ask when they run."""

from __future__ import annotations

import re

from tallystick.audit.corpus.lexical import Corpus
from tallystick.audit.entries.schedules import Schedule, seconds_of

COMMENT = re.compile(rb"(?m)(?:^|(?<=\s))--[^\n]*$")
CLOCK = re.compile(rb"cron\.schedule\(\s*'([^']*)'\s*,\s*'([^']+)'(.{0,1500})", re.DOTALL)
DONE = re.compile(r"\s*,\s*(?:'([^']*)'|(\$\w*\$)(.*?)\2)", re.DOTALL)
FUNCTION = re.compile(r"(?i)\bcreate\s+(?:or\s+replace\s+)?function\s+(?:\"?\w+\"?\.)?\"?(\w+)\"?\s*\(")
BODY = re.compile(r"(?i)\bas\s+(\$\w*\$)")
HEAD = 2000  # between a function's name and its body
CALLED = re.compile(r"\b(\w+)\s*\(")
POSTS = re.compile(r"\bhttp_(?:post|get)\s*\(|\bhttp\s*\(\s*\(")
ADDRESS = re.compile(r"'([^'\n]*/[^'\n]*)'")
DEEPEST = 3


def kept(corpus: Corpus) -> list[Schedule]:
    """What pg_cron is told to run."""
    files = {path: data for path, data in corpus.support.items() if path.endswith(".sql")}
    if not any(b"cron.schedule" in data for data in files.values()):
        return []
    plain = {path: COMMENT.sub(_blank, data) for path, data in files.items()}
    functions: dict[str, str] = {}
    for _, data in sorted(plain.items()):  # a later migration makes a function anew
        functions |= _functions(data.decode("utf-8", "replace"))
    return [one for path, data in plain.items() for one in _clocks(path, data, functions)]


def _blank(hit: re.Match[bytes]) -> bytes:
    return b" " * len(hit[0])


def _clocks(path: str, data: bytes, functions: dict[str, str]) -> list[Schedule]:
    found = []
    for hit in CLOCK.finditer(data):
        text, after = hit[2].decode("utf-8", "replace"), hit[3].decode("utf-8", "replace")
        seconds = seconds_of(text)
        if seconds:
            command = DONE.match(after)
            asked = _asked(command[1] or command[3] or "", functions) if command else []
            line = data.count(b"\n", 0, hit.start()) + 1
            found.append(Schedule(path, line, seconds, text, " ".join([after, *asked])))
    return found


def _functions(text: str) -> dict[str, str]:
    """The bodies of the functions that a file makes, by name."""
    found = {}
    for hit in FUNCTION.finditer(text):
        body = BODY.search(text, hit.end(), hit.end() + HEAD)
        if body is not None:
            found[hit[1].lower()] = text[body.end() : max(body.end(), text.find(body[1], body.end()))]
    return found


def _asked(said: str, functions: dict[str, str], depth: int = 0) -> list[str]:
    """The addresses in those functions that post to one, of all that a command calls."""
    found = []
    for name in dict.fromkeys(CALLED.findall(said.lower())) if depth < DEEPEST else ():
        body = functions.get(name, "")
        found += ADDRESS.findall(body) if POSTS.search(body) else []
        found += _asked(body, functions, depth + 1)
    return found
