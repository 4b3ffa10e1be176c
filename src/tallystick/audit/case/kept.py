"""What a catch writes down: of use only where something reads it again."""

from __future__ import annotations

import re

from tallystick.audit.case.case import Case
from tallystick.audit.trails.stored import normal
from tallystick.audit.trails.trails import Trail

WRITTEN = re.compile(
    r"(\w+)\.objects\.(?:a?create|get_or_create|update_or_create|bulk_create)\(|\badd\(\s*(\w+)\("
    r"|(?i:insert\s+into)\s+[\"`]?(?:\w+\.)?[\"`]?(\w+)|\.(?:from|table|collection)\(\s*[\"'](\w+)[\"']\s*\)\s*\.insert"
    r"|(?:prisma|db|tx)\.(\w+)\.create\(|\b([A-Z]\w+)(?:\.|::)create!?\("
)
READ = (
    r"\b{0}(?:\.objects)?\.(?:filter|all|exclude|order_by|select|find\w*|where\w*|query|get|iterator|values\w*)\b"
    r"|(?:query|select|get_list_or_404|Query)\(\s*{0}\b|(?i:from)\s+[\"`]?(?:\w+\.)?[\"`]?{0}\b"
    r"|(?:from|table|collection)\(\s*[\"']{0}[\"']\s*\)\s*\.(?:select|where|get|update)|\b{0}::(?:where\w*|all|query|unsent|pending)"
)
SHOWN = re.compile(r"(?:^|/)(?:admin|migrations?|tests?)(?:/|\.|_)|models?\.py$")
REGION = 12


def unread(case: Case, trail: Trail) -> str:
    """The table a failed report is written to, when nothing in the tree reads it; else an empty text."""
    path, line = trail.handler
    if trail.error != "recorded" or path not in case.corpus.sources:
        return ""
    lines = case.corpus.sources[path].decode("utf-8", "replace").split("\n")[line - 1 : line - 1 + REGION]
    hit = WRITTEN.search("\n".join(lines))
    table = next((one for one in hit.groups() if one), "") if hit else ""
    if len(normal(table)) < 4:
        return ""
    reads = re.compile(READ.format(re.escape(table)).encode())
    if any(not SHOWN.search(one) for one in case.corpus.grep(reads)):
        return ""
    if any(
        re.search(rb"(?i)\bfrom\s+[\"`]?" + table.encode(), data) for data in case.corpus.support.values()
    ):
        return ""
    return table
