"""Routes that a clock calls by a method which they do not answer: Vercel's asks with GET, and the report is in POST."""

from __future__ import annotations

import posixpath
import re

from tallystick.audit.case.case import SLOW, Case
from tallystick.audit.case.reaching import reach
from tallystick.audit.entries.addresses import ROOTS
from tallystick.audit.entries.forms import Entry
from tallystick.audit.entries.schedules import Schedule
from tallystick.audit.trails.trails import Trail

ASKS_WITH_GET = "vercel.json"
WRITING = frozenset(["POST", "PUT", "PATCH", "DELETE"])
EXPORTED = re.compile(
    rb"\bexport\s+(?:async\s+)?function\s*\*?\s*GET\b|\bexport\s+(?:const|let|var)\s+(?:GET\b|\{[^}]*\bGET\b)"
    rb"|\bexport\s*\{[^}]*\bGET\b|\bexports\.GET\b|\bexport\s*\*"
)
REFUSES = re.compile(rb"\b(?:req|request)\.method\s*!==?\s*[\"']POST[\"']\s*\)")  # and nothing else beside it


def answered(case: Case, trail: Trail, schedule: Schedule) -> bool:
    """Whether the route answers the method by which a schedule calls it; a slow one is too late either way."""
    if posixpath.basename(schedule.path) != ASKS_WITH_GET or schedule.seconds >= SLOW:
        return True
    return trail.entry is None or _answers_get(case, trail, trail.entry)


def _answers_get(case: Case, trail: Trail, entry: Entry) -> bool:
    verb, _, address = entry.route.partition(" ")
    if verb == "ANY":
        return REFUSES.search(case.said(entry.handler if entry.handler[0] else entry.key)) is None
    if verb not in WRITING or not address.startswith("/"):
        return True
    if entry.framework == "nitro":
        return any(entry.path.replace(".post.", one) in case.corpus.sources for one in (".get.", "."))
    if entry.framework in ROOTS:
        return _exports_get(case, trail, entry.path)
    given = re.compile(rb"\.(?:get|all|use|route)\(\s*[\"'`]" + re.escape(address).encode() + rb"[\"'`]")
    return bool(case.corpus.grep(given))


def _exports_get(case: Case, trail: Trail, path: str) -> bool:
    """Whether the file of a route has a GET as well, that is not there for something else."""
    if not EXPORTED.search(case.corpus.sources[path]):
        return False
    own = {(path, index) for index in case.program.local[path].get("GET", ())}
    return not own or bool(reach(case, own) & {key for key, _ in trail.hops})
