"""What functions reach by calling: other functions, and costly work."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tallystick.audit.case.case import Case
from tallystick.audit.program.program import Key
from tallystick.audit.syntax.ir import Call, Expr
from tallystick.audit.trails.trails import Trail

NEAR = 4
ACTION = re.compile(r"(?:^|\.)runAction$")
WAITED = frozenset(["awaited", "used", "assigned"])


def reach(case: Case, starts: set[Key], hops: int = 12, limit: int = 400) -> set[Key]:
    """All functions that functions call within some hops, with the literals inside them."""
    seen, fringe = set(starts), sorted(starts)
    for _ in range(hops):
        further: set[Key] = set()
        for key in fringe:
            further.update(target for target, _ in case.program.callees.get(key, ()))
            further.update(inside(case, key))
        fringe = sorted(further - seen)
        seen.update(fringe)
        if not fringe or len(seen) > limit:
            break
    return seen


def inside(case: Case, key: Key) -> list[Key]:
    """The literals that stand in a function."""
    functions = case.program.modules[key[0]].functions
    return (
        [(key[0], index) for index, one in enumerate(functions) if index and one.parent == key[1]]
        if key[1]
        else []
    )


def workers(case: Case) -> set[Key]:
    """Functions that themselves make a costly call."""
    pattern = case.work
    return {
        (path, index)
        for path, module in case.program.modules.items()
        for index, function in enumerate(module.functions)
        if index and any(pattern.search(call.callee) for call in function.calls)
    }


def works_below(case: Case, trail: Trail, place: tuple[str, int]) -> bool:
    """Whether the sold work itself lies below this place of a trail: then work and report are put off together."""
    for number, (key, call) in enumerate(trail.hops):
        if (key[0], call.line) == place:
            return bool({below for below, _ in trail.hops[:number]} & workers(case))
    return False


def works(case: Case, trail: Trail) -> bool:
    """Whether the sold work is done on the way to the report: a timer that is lost loses both."""
    return bool({key for key, _ in trail.hops[:-1]} & workers(case))


def ordered(case: Case, trail: Trail, names: set[str]) -> bool:
    """Whether the work itself was asked for by a value of such a name: so many pictures ordered, made and billed."""
    known, passed = workers(case), {call for _, call in trail.hops}
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
