"""What functions reach by calling: other functions, and costly work."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tallystick.audit.case.case import Case
from tallystick.audit.program.program import Key
from tallystick.audit.syntax.ir import Call, Expr, Function
from tallystick.audit.trails.labels import CONST
from tallystick.audit.trails.trails import Trail

NEAR = 4
ACTION = re.compile(r"(?:^|\.)runAction$")
WAITED = frozenset(["awaited", "used", "assigned"])
MESSAGE = re.compile(  # sent for the customer, by whatever kit; a mail of the application's own is none
    r"(?i)(?:sms|whatsapp|twilio|vonage|nexmo|plivo|telnyx|messagebird|sinch|clicksend|elks)\w*\b\S*\.(?:send|create|publish)\w*$"
    r"|(?:^|[._])send_?(?:sms|text_?message|whatsapp)\w*$"
)


def reach(case: Case, starts: set[Key], hops: int = 12, limit: int = 400) -> set[Key]:
    """All functions that functions call within some hops, with the literals inside them."""
    seen, fringe = set(starts), sorted(starts)
    for _ in range(hops):
        further: set[Key] = set()
        for key in fringe:
            further.update(target for target, _ in case.program.callees.get(key, ()))
            further.update(case.program.contents.inside(key))
        fringe = sorted(further - seen)
        seen.update(fringe)
        if not fringe or len(seen) > limit:
            break
    return seen


def works_below(case: Case, trail: Trail, place: tuple[str, int]) -> bool:
    """Whether the sold work itself lies below this place of a trail: then work and report are put off together."""
    for number, (key, call) in enumerate(trail.hops):
        if (key[0], call.line) == place:
            return bool({below for below, _ in trail.hops[:number]} & case.workers)
    return False


def works(case: Case, trail: Trail) -> bool:
    """Whether the sold work is done on the way to the report: a timer that is lost loses both."""
    return bool({key for key, _ in trail.hops[:-1]} & case.workers)


def done_here(case: Case, trail: Trail) -> bool:
    """Whether what is reported was done right before, in the same function: a reminder that goes out by the clock."""
    given = any(kind != CONST for kind, _ in trail.quantity)
    for key, report in trail.hops:
        function = case.program.function(key)
        begun = (report.line, report.column)
        above = [one for one in function.calls if (one.line, one.column) < begun]
        done = {one.callee for one in above if _is_work(case, key, one)}
        if done and (not given or _answers(function, done) & _heads(report.args)):
            return True
    return False


def _is_work(case: Case, key: Key, call: Call) -> bool:
    """Whether a call is the sold work, or of a function that does it."""
    below = {target for target, one in case.program.callees.get(key, ()) if one == call}
    made = [one for each in reach(case, below, 2) for one in case.program.function(each).calls]
    return any(case.work.search(one.callee) or MESSAGE.search(one.callee) for one in (call, *made))


def _answers(function: Function, done: set[str]) -> set[str]:
    """The names of what such calls answer, and of what is taken from that."""
    found: set[str] = set()
    for name, value in function.assigns:
        if done & set(_called(value)) or found & _heads((value,)):
            found.add(name)
    return found


def _heads(values: tuple[Expr, ...]) -> set[str]:
    said = [*spoken(values), *(text for one in values for text in _called(one))]
    return {text.partition(".")[0] for text in said}


def _called(value: Expr, depth: int = 0) -> Iterator[str]:
    if value.kind == "call":
        yield value.text
    for one in value.parts if depth < NEAR else ():
        yield from _called(one, depth + 1)


def ordered(case: Case, trail: Trail, names: set[str]) -> bool:
    """Whether the work itself was asked for by a value of such a name: so many pictures ordered, made and billed."""
    known, passed = case.workers, {call for _, call in trail.hops}
    for key in sorted({key for key, _ in trail.hops}):
        for call in case.program.function(key).calls:
            if call in passed or not names & {text.rpartition(".")[2] for text in spoken(call.args)}:
                continue
            below = {target for target, one in case.program.callees.get(key, ()) if one == call}
            if case.work.search(call.callee) or (below and reach(case, below, NEAR) & known):
                return True
    return False


def spoken(values: tuple[Expr, ...], depth: int = 0) -> Iterator[str]:
    """The names inside values."""
    for one in values if depth < NEAR else ():
        if one.kind == "name":
            yield one.text
        yield from spoken(one.parts, depth + 1)


def goes_on(case: Case, trail: Trail) -> bool:
    """Whether what a platform timer started does its work after the report: without the report there is none."""
    timed = next(
        (number for number, (_, call) in enumerate(trail.hops) if case.program.remote.search(call.callee)), 0
    )
    if timed < 1:
        return False
    key, report = trail.hops[timed - 1]
    if report.state == "awaited" and any(ACTION.search(one.callee) for one in _after(case, key, report)):
        return True
    return trail.error != "swallowed" and any(_runs_given(case, *step) for step in trail.hops[:timed])


def _runs_given(case: Case, key: Key, report: Call) -> bool:
    """Whether a function calls after the report what it was given to run: `billed(id, 1, async () => work())`."""
    given = {one.name for one in case.program.function(key).bindings if not one.path}
    return report.state in WAITED and any(one.callee in given for one in _after(case, key, report))


def _after(case: Case, key: Key, report: Call) -> list[Call]:
    """The calls of a function that it waits for after the report."""
    return [
        one
        for one in case.program.function(key).calls
        if (one.line, one.column) > (report.end_line, report.end_column)
        and (one.state in WAITED or one.state == "returned")
    ]
