"""Rows put into a state that no sweep asks for: what failed once is then never sent."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tallystick.audit.case.case import Case
from tallystick.audit.case.joins import spelled
from tallystick.audit.case.kept import ATTEMPTS, DECLARES, HANDED, caught, meant
from tallystick.audit.syntax.patterns import LOGGING
from tallystick.audit.trails.stored import normal
from tallystick.audit.trails.trails import Trail

GIVEN = re.compile(  # `status: "failed"`, `row.status = Row.FAILED`, `SET state = 'dead'`
    r"(?i)\bstat(?:us|e)[\"']?\s*(?:=>|[:=])(?!=)\s*(?:[\"'`]|(?:\w{1,40}(?:\.|::)){1,4})?\w{0,20}?"
    r"(fail(?:ed|ure)?|error(?:ed)?|ambiguous|dead(?:_?letter)?|rejected|broken)\b"
)
WAITING = re.compile(
    r"(?i)\bstat(?:us|e)\b[^\n;{}]{0,30}?[\"'`:.(\s](pending|queued|unsent|unreported|new|open|waiting|ready)\b(?!\s*\()"
)
CHOICE = re.compile(  # some errors are worth another try
    r"(?i)\bif\b|\?[^.\n][^\n]*:|\bswitch\b|\bwhen\b|\bunless\b|permanent|transient|retr|fatal"
)
TABLE = re.compile(
    r"(?:prisma|db|tx)\.(\w+)\.(?:update|find)|(?i:update|from)\s+[\"`]?(?:\w+\.)?[\"`]?(\w+)|(?:from|table|collection)\(\s*[\"'](\w+)"
    r"|\b([A-Z]\w+)\.objects\b|(?:query|select|update)\(\s*([A-Z]\w+|\w+s)\b|\b([A-Z]\w+)(?:::|\.)where\b|(?:from|update)\(\s*(\w+)\s*\)"
)
SAVED = re.compile(r"\.save!?\(\s*(?:update_fields[^)]{0,99})?\)")  # of the row itself
WRITES = re.compile(
    r"(?i)\.(?:update|save|set|exec|patch)\w*!?\(|\bupdate\s+\w+\s+set\b|\bcommit\(|UpdateCommand\("
)
ANSWER = re.compile(r"\breturn\b[^\n]*")  # `return { status: "error" }` is no row
NEAR = 8  # lines around a state in which its table is spoken of


def left_behind(case: Case, trail: Trail) -> bool:
    """Whether a catch puts the row of a failed report into a state that no sweep, and no other code, asks for."""
    entry = trail.entry
    if entry is None or entry.kind == "worker" or trail.site.stored or trail.queued is not None:
        return False
    if trail.error not in ("recorded", "swallowed") or trail.handler[0] not in case.corpus.sources:
        return False
    caught_there = caught(case, trail)
    said = ANSWER.sub("", _plain(caught_there.encode()))
    hit, inside = GIVEN.search(said), said.partition("\n")[2]
    if (
        hit is None
        or not WRITES.search(caught_there)
        or WAITING.search(said)
        or CHOICE.search(inside)
        or ATTEMPTS.search(said)
        or HANDED.search(meant(inside))
    ):
        return False
    sweeps = [*_sweeps(case, trail)]
    asked = "\n".join(sweeps)
    word = re.compile(rf"(?i)(?<![a-z]){re.escape(hit[1])}(?![a-z])")
    if (
        not sweeps
        or not all(WAITING.search(one) for one in sweeps)
        or word.search(asked.replace(_plain(caught_there.encode()), ""))
    ):
        return False
    tables = {one for text in (said, asked) for found in TABLE.findall(text) for one in found if len(one) > 3}
    return bool(tables) and not any(_spoken(case, trail, word, table) for table in tables)


def _sweeps(case: Case, trail: Trail) -> Iterator[str]:
    """What the runs by the clock say that send to the same provider, without the catch in question."""
    for one in case.live:
        entry = one.entry
        if entry is None or entry.kind != "schedule" or one.site.stored:
            continue
        if one.site.sink.provider == trail.site.sink.provider:
            yield "\n".join(_plain(case.said(key)) for key, _ in one.hops if key[1])


def _plain(text: bytes) -> str:
    """A text without what it logs, and without the saving of the row whose state it gives."""
    return SAVED.sub("", LOGGING.sub(b"", text).decode("utf-8", "replace"))


def _spoken(case: Case, trail: Trail, word: re.Pattern[str], table: str) -> bool:
    """Whether any other code speaks of this state near this table."""
    name = re.compile(f"{re.escape(table)}|{spelled(normal(table))}", re.IGNORECASE)
    path, line = trail.handler
    own = range(line, line + caught(case, trail).count("\n") + 1)
    texts = ((one, data) for one, data in (*case.corpus.sources.items(), *case.corpus.support.items()))
    for other, data in texts:
        if DECLARES.search(other) or not name.search(data.decode("utf-8", "replace")):
            continue
        lines = data.decode("utf-8", "replace").split("\n")
        for number, said in enumerate(lines, 1):
            if word.search(said) and not (other == path and number in own):
                near = "\n".join(lines[max(0, number - NEAR) : number + NEAR])
                if name.search(near) and not LOGGING.search(said.encode()):
                    return True
    return False
