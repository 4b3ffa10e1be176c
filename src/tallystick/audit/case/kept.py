"""What a catch writes down: of use only where something reads it again."""

from __future__ import annotations

import itertools
import re

from tallystick.audit.case.case import Case
from tallystick.audit.case.joins import spelled
from tallystick.audit.syntax.searches import finite
from tallystick.audit.trails.stored import normal
from tallystick.audit.trails.trails import Trail

WRITTEN = finite(
    r"\b(\w+)\.objects\.(?:a?create|get_or_create|update_or_create|bulk_create)\(|\badd\(\s*(\w+)\("
    r"|(?i:insert\s+into)\s+[\"`]?(?:\w+\.)?[\"`]?(\w+)|\.(?:from|table|collection)\(\s*[\"'](\w+)[\"']\s*\)\s*\.insert"
    r"|(?:prisma|db|tx)\.(\w+)\.create\(|\b([A-Z]\w+)(?:\.|::)create!?\("
)
READ = (
    r"\b{0}(?:\.objects)?\.(?:filter|all|exclude|order_by|select|find\w*|where\w*|query|get|iterator|values\w*)\b"
    r"|(?:query|select|get_list_or_404|Query)\(\s*{0}\b|(?i:from)\s+[\"`]?(?:\w+\.)?[\"`]?{0}\b"
    r"|(?:from|table|collection)\(\s*[\"']{0}[\"']\s*\)\s*\.(?:select|where|get|update|find|aggregate|orderBy|limit)|\b{0}::(?:where\w*|all|query|unsent|pending)"
)
FURTHER = re.compile(  # written down in other ways: read where anything else speaks of it
    r"insertInto\(\s*[\"'](\w+)|\.insert\(\s*(\w+)\s*\)\s*\.values|\b(?:db|knex|trx)\(\s*[\"'](\w+)[\"']\s*\)\s*\.insert"
    r"|collection\(\s*[\"'](\w+)[\"']\s*\)\s*\.(?:add|insert\w*|doc)\(|\bdb\.insert\(\s*[\"'](\w+)"
    r"|\.[lr]push\(\s*[\"'`]([\w:-]+)|\b(\w+)(?:Repository|Repo)\.(?:save|insert)\("
)
DECLARES = re.compile(r"(?i)schema|migrat|entit|models?\b|types?\b|\.d\.ts$")
UNREAD = re.compile(
    rb"^\s*(?:import\b|export (?:\*|\{)|//|#|\*)|\b(?:Table|Entity|model|create table)\b|insert|push\(|\.add\("
)
SHOWN = re.compile(r"(?:^|/)(?:admin|migrations?|tests?)(?:/|\.|_)|models?\.py$")
REGION, LONG = 12, 4_000
MARKED = finite(
    r"(?i)\.update\w*\(|\bupdate\s+\w+\s+set\b|mark\w*fail|\bUpdate(?:Item)?Command\(|\bupdate_item\("
)
GIVEN_UP = finite(  # the state, or the mark, of what nobody tries again: `status: "failed"`, `failed_at = now()`
    r"(?i)\bstat(?:us|e)[\"']?\s*[:=]\s*[\"'](\w*(?:fail|error)\w*)[\"']|\b(\w*failed\w*)[\"']?\s*[:=](?!=)"
)
SET = finite(  # on a row that is then saved
    r"\b(\w+)\.\w+\s*=(?!=)[^\n]*\n[\s\S]{0,300}?\b\1\.save\([^)\n]*\)"
)
SHOWN_BY = re.compile(r"(?:^|/)migrations?/")
REMARKS = re.compile(rb"(?m)(?:#|//)[^\n]*$")
GIVEN = re.compile(rb"\s*=(?!=)")
ASKED = finite(  # in brackets that are still open
    rb"(?i)\b(?:filter\w*|exclude|get\w*|where\w*|find\w*|count|exists|Q)\((?:[^()]|\([^()]*\))*$"
)
QUOTED = re.compile(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|`[^`]*`")
LISTED = re.compile(r"(?i)(?:fail\w*|errors?)\.(?:push|append|add)\(")
TOLD_LATER = re.compile(
    r"(?i)\b(?:throw|raise|panic|abort|reject)\b|failures\b\s*[:}]|nack|retr|\breturn\b[^\n;]*\berr"
)
ATTEMPTS = re.compile(r"(?i)attempt|tries|next_?run|backoff")
HANDED = re.compile(
    r"(?i)\.(?:insert|create|upsert|save|add)\w*\(|queue|outbox|dispatch|send_?message|retr|push\(|schedul|throw|raise"
)


def unread(case: Case, trail: Trail) -> str:
    """The table a failed report is written to, when nothing in the tree reads it; else an empty text."""
    if trail.error != "recorded" or trail.handler[0] not in case.corpus.sources:
        return ""
    said = _said(case, trail)
    hit = WRITTEN.search(said) or FURTHER.search(_clause(said))
    table = next((one for one in hit.groups() if one), "") if hit else ""
    if len(normal(table)) < 4 or (hit is not None and hit.re is FURTHER and _spoken_of(case, table)):
        return ""
    reads = re.compile(READ.format(re.escape(table)).encode())
    if any(not SHOWN.search(one) for one in case.corpus.grep(reads, table.encode())):
        return ""
    if any(
        table.encode().lower() in data.lower() and re.search(rb"(?i)\bfrom\s+[\"`]?" + table.encode(), data)
        for data in case.corpus.support.values()
    ):
        return ""
    return table


def _spoken_of(case: Case, table: str) -> bool:
    """Whether any line speaks of a table but those that declare it, import it or write to it."""
    word = re.compile(f"{re.escape(table)}|{spelled(normal(table))}".encode(), re.IGNORECASE)
    texts = (data for path, data in case.corpus.sources.items() if not DECLARES.search(path))
    return any(
        word.search(line) and not UNREAD.search(line)
        for data in texts
        if word.search(data)
        for line in data.split(b"\n")
    )


def only_marked(case: Case, trail: Trail) -> bool:
    """Whether a failed report is only noted in its row, while nothing in the tree takes rows up again by itself."""
    if (
        trail.error != "recorded"
        or trail.queued is not None
        or trail.site.stored
        or trail.handler[0] not in case.corpus.sources
    ):
        return False
    said = _said(case, trail)
    if trail.entry is not None and trail.entry.kind == "worker":
        return _given_up(case, trail, _clause(said))
    if trail.entry is None or trail.entry.kind not in ("http", "action"):
        return False
    return MARKED.search(said) is not None and not HANDED.search(said) and not any(map(_by_itself, case.live))


def _given_up(case: Case, trail: Trail, said: str) -> bool:
    """Whether a worker marks what it could not report as failed and is done: no other code speaks of that mark."""
    hit, kept = GIVEN_UP.search(said), SET.search(said)
    spoken = SET.sub("", meant(said)) if kept else meant(said)
    if hit is None or not (kept or MARKED.search(said)) or HANDED.search(spoken) or ATTEMPTS.search(spoken):
        return False
    path, line = trail.handler
    key = next((key for key, call in trail.hops if any(one.line == line for one in call.handlers)), trail.top)
    function = case.program.function(key)
    rest = case.corpus.text(path, line + said.count("\n"), function.end_line).decode("utf-8", "replace")
    if TOLD_LATER.search(meant(rest)):
        return False
    word = re.compile(rb"(?i)\b" + re.escape((hit[1] or hit[2]).encode()) + rb"\b")
    if kept and hit[2]:
        return not any(
            _asked(data, word) for one, data in case.corpus.sources.items() if not SHOWN_BY.search(one)
        )
    own = len(word.findall(case.corpus.text(path, function.line, function.end_line)))
    texts = (data for one, data in case.corpus.sources.items() if not DECLARES.search(one))
    return sum(len(word.findall(data)) for data in texts) == own


def _asked(text: bytes, word: re.Pattern[bytes]) -> bool:
    """Whether a text speaks of a mark in another way than to give it a value."""
    said = REMARKS.sub(b"", text)
    return any(
        GIVEN.match(said, hit.end()) is None
        or ASKED.search(said[max(0, hit.start() - 200) : hit.start()]) is not None
        for hit in word.finditer(said)
    )


def meant(said: str) -> str:
    """A text without its sentences, and without what is only listed for the end of the run."""
    return LISTED.sub("", QUOTED.sub(lambda hit: "" if " " in hit[0] else hit[0], said))


def caught(case: Case, trail: Trail) -> str:
    """The catch that ends an error on this way."""
    return _clause(_said(case, trail))


def _clause(said: str) -> str:
    """The catch at the start of these lines, without what follows it."""
    first, _, rest = said.partition("\n")
    depth = 0
    for index in range(said.find("catch"), len(said)) if "catch" in first else ():
        depth += {"{": 1, "}": -1}.get(said[index], 0)
        if depth == 0 and said[index] == "}":
            return said[: index + 1]
    indent = len(first) - len(first.lstrip())
    inside = itertools.takewhile(lambda one: len(one) - len(one.lstrip()) > indent, rest.split("\n"))
    return "\n".join([first, *inside])


def _by_itself(trail: Trail) -> bool:
    """Whether a way starts without a request: by the clock, from a queue, as a program."""
    return trail.queued is not None or (
        trail.entry is not None and trail.entry.kind not in ("http", "action")
    )


def _said(case: Case, trail: Trail) -> str:
    """The lines of the catch that ends an error."""
    path, line = trail.handler
    return case.corpus.text(path, line, line + REGION - 1)[:LONG].decode("utf-8", "replace")
