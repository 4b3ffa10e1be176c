"""The same work without the meter."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tallystick.audit.case import Case
from tallystick.audit.entries import Entry
from tallystick.audit.model import Confidence, Finding, Hop, Severity
from tallystick.audit.program import Key
from tallystick.audit.rules.base import Rule

ADMIN = re.compile(r"(?i)health|/admin|webhook")


def reach(case: Case, starts: set[Key], hops: int = 12, limit: int = 400) -> set[Key]:
    """All functions that functions call within some hops, with the literals inside them."""
    seen, fringe = set(starts), sorted(starts)
    for _ in range(hops):
        further: set[Key] = set()
        for key in fringe:
            further.update(target for target, _ in case.program.callees.get(key, ()))
            further.update(_inside(case, key))
        fringe = sorted(further - seen)
        seen.update(fringe)
        if not fringe or len(seen) > limit:
            break
    return seen


def _inside(case: Case, key: Key) -> list[Key]:
    functions = case.program.modules[key[0]].functions
    return (
        [(key[0], index) for index, one in enumerate(functions) if index and one.parent == key[1]]
        if key[1]
        else []
    )


def workers(case: Case) -> set[Key]:
    """Functions that themselves make a costly call."""
    pattern = case.program.knowledge.work
    return {
        (path, index)
        for path, module in case.program.modules.items()
        for index, function in enumerate(module.functions)
        if index and any(pattern.search(call.callee) for call in function.calls)
    }


def find(case: Case) -> Iterator[Finding]:
    """Entries that reach a function of sold work which a metered entry also reaches, and never the meter."""
    trails = [
        one for one in case.live if one.entry is not None and one.entry.kind in ("http", "action", "worker")
    ]
    metered = {one.entry.key for one in trails if one.entry is not None}
    holders = {one.site.key for one in case.live}
    costly = workers(case) if metered else set()
    sold: dict[Key, Entry] = {}
    for trail in trails:
        around = reach(case, {key for key, _ in trail.hops}, 2) if trail.entry is not None else set()
        for work in around & costly - holders - metered:
            if trail.entry is not None:
                sold.setdefault(work, trail.entry)
    if not sold:
        return
    for key, entry in sorted(case.entries.found.items()):
        if key in metered or entry.kind not in ("http", "action", "worker") or ADMIN.search(entry.route):
            continue
        reached = reach(case, {key})
        shared = sorted(reached & sold.keys())
        if shared and not reached & holders:
            yield _finding(case, entry, shared[0], sold[shared[0]])


def _finding(case: Case, entry: Entry, work: Key, twin: Entry) -> Finding:
    name = case.program.function(work).name or "the same work"
    return RULE.finding(
        f"{entry.route} runs {name} without reporting usage, while {twin.route} reports it",
        case.place(entry.key, entry.line),
        Confidence.MEDIUM,
        case.program.function(entry.key).name,
        (Hop(case.place(entry.key, entry.line), entry.route), Hop(case.place(work), f"runs {name}")),
    )


RULE = Rule(
    code="unmetered_endpoint",
    title="The work can be had without the meter",
    why=(
        "When one route reports a piece of work and a sibling, a batch or a job does the same "
        "work unreported, customers "
        "find the free way."
    ),
    wrong='app.post("/generate", async () => { await generate(); await report(); });\n'
    'app.post("/batch", async () => { for (const row of rows) await generate(row); });',
    right=(
        "async function meteredGenerate(org, input) { const out = await generate(input); "
        "await report(org, 1); return out }"
    ),
    severity=Severity.HIGH,
    decides=True,
    find=find,
    remediation="Move the report next to the work itself, so that every way to the work passes the meter.",
)
