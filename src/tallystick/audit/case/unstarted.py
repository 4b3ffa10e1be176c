"""Classes of jobs that turn usage into what is charged, and that nothing makes: what they were to bill is never billed.

Only of a class that nothing at all names, whose file no deployment starts, that is said; what a framework makes by a
decorator, by its folder or as a file's default is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tallystick.audit.case.arrears import READ
from tallystick.audit.case.case import Case
from tallystick.audit.case.clocks import started
from tallystick.audit.case.offside import said
from tallystick.audit.model import Hop, Place
from tallystick.audit.syntax.searches import finite

JOB = re.compile(
    r"(?i)(?:^|/)(?:workers?|jobs?|crons?|schedulers?|processors?)/[^/]+\.(?:ts|js|mts|mjs)$"
    r"|[._-](?:worker|job|cron|scheduler|processor)\.(?:ts|js|mts|mjs)$"
)
CHARGED = finite(  # a row of what is to be paid is made
    rb"(?i)\.\w*(?:line_?items?|invoices?|billable\w*|charges?)(?:\(\))?\.(?:create|insert|save|add)\w*\("
    rb"|insert(?:\(|\s+into\s+)[\"'`]?\w*(?:line_?items?|invoices?|billable\w*|charges)\b"
    rb"|\.(?:from|table|collection)\([\"']\w*(?:line_?items?|invoices?|billable\w*|charges)[\"']\)\s*\.(?:insert|add)"
)
CLASS = finite(rb"(?m)^export\s+class\s+(\w+)\b")
DECORATED = finite(rb"(?:@\w+|\))\s*$")
NEAR = 200  # letters above a class in which its decorator ends
MADE_BY_FOLDER = (b"BaseJob", b"BaseCommand", b"static queue", b"static schedule")


def unstarted(case: Case) -> Iterator[Hop]:
    """Such classes, each with its name."""
    for path in sorted(filter(JOB.search, case.corpus.front)):
        text = case.corpus.sources[path]
        if READ.search(text) is None or CHARGED.search(text) is None or started(case.corpus, path):
            continue
        made = [
            hit
            for hit in CLASS.finditer(text)
            if not DECORATED.search(text[max(0, hit.start() - NEAR) : hit.start()])
        ]
        names = [hit[1].decode() for hit in made]
        if names and not any(one in text for one in MADE_BY_FOLDER) and not _named(case, path, names):
            line = text.count(b"\n", 0, made[0].start()) + 1
            yield Hop(Place(path, line), names[0])


def _named(case: Case, path: str, names: list[str]) -> bool:
    """Whether anything names one of the classes of a file, or the file."""
    stem = re.escape(path.rpartition("/")[2].rpartition(".")[0]).encode()
    if case.corpus.grep(
        re.compile(
            rb"(?:\bimport\s*\(?\s*|\brequire\(\s*|=\s*|\*\s*from\s*)[\"'`][^\"'`\n]*"
            + stem
            + rb"(?:\.\w+)?[\"'`]"
        )
    ):
        return True
    own = {
        one: re.compile(rb"\bclass\s+" + one.encode() + rb"\b|\[" + one.encode() + rb"\]") for one in names
    }
    return any(said(case, one, own={path: own[one]}) for one in names)
