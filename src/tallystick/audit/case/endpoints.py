"""The metered actions of a tree, and the grade of each one's record."""

from __future__ import annotations

from tallystick.audit.case.case import Case
from tallystick.audit.model import Endpoint, Finding, Place
from tallystick.audit.trails.trails import Trail


def endpoints_of(case: Case, findings: list[Finding]) -> list[Endpoint]:
    """Every metered action, how it is recorded, and the way that shows it."""
    found: dict[tuple[object, ...], Endpoint] = {}
    for trail in case.live:
        entry = trail.entry
        if entry is not None:
            place = Place(entry.path, max(1, entry.line))
            grade = _grade(trail)
            key = (place, entry.route)
            if key not in found or grade == "sync-reported":
                found[key] = Endpoint(entry.route, place, True, grade, case.hops(trail))
    for one in findings:
        if one.code == "unmetered_endpoint":
            found.setdefault((one.place, ""), Endpoint(one.hops[0].note, one.place, False, "none"))
    return [found[key] for key in sorted(found, key=str)]


def _grade(trail: Trail) -> str:
    kind = trail.entry.kind if trail.entry else ""
    if trail.client:
        return "client-only"
    if kind == "schedule":
        return "cron-only"
    if kind == "script":
        return "program"
    if kind == "worker" or trail.remote or trail.queued:
        return "queued"
    if trail.deferred[1] or trail.floating[1]:
        return "deferred-in-request"
    if trail.site.stored:
        return "outbox"
    return "sync-durable" if trail.site.sink.durable else "sync-reported"
