"""Bad events that were answered 2xx: reported later, in windows, with samples only.

Thin events `v1.billing.meter.error_report_triggered` (related object: the meter) and
`v1.billing.meter.no_meter_found` (none). Source: Stripe's "Record usage for billing with the API", "Handle meter
event errors", and the types of the official client.
"""

from __future__ import annotations

from collections import Counter

from tallystick.sandbox.forms import rfc3339
from tallystick.sandbox.notices import events
from tallystick.sandbox.usage.validation import Checked, Given, Problem
from tallystick.sandbox.world import Object, Rejection, World

SILENT = "-"  # accepted, not counted, and never said


def take(world: World, given: Given, problem: Problem) -> None:
    """Answer 2xx now and report later."""
    rejection = Rejection(
        problem.code, str(problem), problem.meter, given.identifier, world.call, world.clock.now()
    )
    world.rejections.append(rejection)
    world.touch()


def take_good(world: World, given: Given, checked: Checked, code: str) -> None:
    """A fault: a good event that Stripe loses after its 2xx; reported under `code`, or never."""
    if code != SILENT:
        words = "The event was accepted and could not be processed."
        take(world, given, Problem(code, words, checked.meter["id"]))


def due_at(world: World) -> int | None:
    """When the oldest open window is reported."""
    width = world.switches.report_window_seconds
    return (world.rejections[0].at // width + 1) * width if world.rejections else None


def report(world: World) -> None:
    """Report every window that is over, one event per meter and one for names without a meter."""
    width = world.switches.report_window_seconds
    now = world.clock.now()
    over = [r for r in world.rejections if (r.at // width + 1) * width <= now]
    if not over:
        return
    world.rejections = [r for r in world.rejections if (r.at // width + 1) * width > now]
    groups: dict[tuple[int, str | None], list[Rejection]] = {}
    for rejection in over:
        groups.setdefault((rejection.at // width * width, rejection.meter), []).append(rejection)
    for (start, meter), rejections in groups.items():
        _emit(world, start, start + width, meter, rejections)


def _emit(world: World, start: int, end: int, meter: str | None, rejections: list[Rejection]) -> None:
    counts = Counter(rejection.code for rejection in rejections)
    types = [_error_type(world, code, count, rejections) for code, count in counts.most_common()]
    data = {
        "developer_message_summary": f"There {'is' if len(rejections) == 1 else 'are'} {len(rejections)} invalid event"
        f"{'' if len(rejections) == 1 else 's'}",
        "reason": {"error_count": len(rejections), "error_types": types},
        "validation_start": rfc3339(start),
        "validation_end": rfc3339(end),
    }
    if meter is None:
        events.emit_thin(world, "v1.billing.meter.no_meter_found", data, created=end)
        return
    related = {"id": meter, "type": "billing.meter", "url": f"/v1/billing/meters/{meter}"}
    events.emit_thin(world, "v1.billing.meter.error_report_triggered", data, related, created=end)


def _error_type(world: World, code: str, count: int, rejections: list[Rejection]) -> Object:
    samples = [r for r in rejections if r.code == code][: world.switches.report_samples]
    return {
        "code": code,
        "error_count": count,
        "sample_errors": [
            {"error_message": rejection.message, "request": _request(world, rejection)}
            for rejection in samples
        ],
    }


def _request(world: World, rejection: Rejection) -> Object:
    key = rejection.call.key or rejection.identifier
    if world.switches.sample_style == "id_and_idempotency_key":
        return {"id": rejection.call.id, "idempotency_key": key}
    return {"identifier": key if world.switches.sample_key == "idempotency_key" else rejection.identifier}
