"""Usage that is put on a queue: what is lost where the queue itself does not take it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tallystick.audit.case.case import Case
from tallystick.audit.case.kept import caught
from tallystick.audit.case.reaching import reach
from tallystick.audit.program.program import Key
from tallystick.audit.syntax.ir import Call, Expr
from tallystick.audit.trails.statements import constants
from tallystick.audit.trails.stored import QUANTITY, rows
from tallystick.audit.trails.trails import Trail

METERING = re.compile(r"(?i)usage|meter|bill|overage|consum|charge|credit|invoice|report|ledger|tally|quota")
VAGUE = frozenset(["n", "size", "value", "count", "duration"])  # of a picture to make as well
REQUESTED = frozenset(["http", "action", "worker"])
WITHIN = 6  # calls below a worker
DEEPEST = 6


def carries_usage(case: Case, trail: Trail) -> bool:
    """Whether a job tells of work that is done already: without the job, the work stays and its usage is gone."""
    if trail.queued is None or trail.site.stored or trail.entry is None or trail.entry.kind not in REQUESTED:
        return False
    said = [*_said(trail.queued.args)]
    words = [*said, *_names(case, trail.hops[max(0, _place(trail) - 1) :])]
    if not any(map(_counts, said)) and not any(map(METERING.search, words)):
        return False
    return not reach(case, _below(trail), WITHIN) & case.workers


def finds_usage(case: Case, trail: Trail) -> bool:
    """Whether a job is told no number, and its worker reads rows to count: what is lost is only a reminder of them."""
    told = trail.queued is not None and any(map(_counts, _said(trail.queued.args)))
    return not told and any(not row.writes for row in rows(case.program, sorted(_below(trail))))


def _place(trail: Trail) -> int:
    """The step at which the job is put on its queue."""
    return next(number for number, (_, call) in enumerate(trail.hops) if call is trail.queued)


def _below(trail: Trail) -> set[Key]:
    return {key for key, _ in trail.hops[: _place(trail)] if key[1]}


def _counts(said: str) -> bool:
    return QUANTITY.search(said) is not None and said not in VAGUE


def _said(values: tuple[Expr, ...], depth: int = 0) -> Iterator[str]:
    """The words of a job: its name, the keys of what it carries, and the values."""
    for one in values if depth < DEEPEST else ():
        yield from (one.text, *one.keys)
        yield from _said(one.parts, depth + 1)


def _names(case: Case, hops: Sequence[tuple[Key, Call]]) -> Iterator[str]:
    """What a worker, and those who give it jobs, are called."""
    for number, (key, call) in enumerate(hops):
        yield f"{key[0].rpartition('/')[2]} {case.program.function(key).name}"
        if number:
            yield f"{call.callee} {' '.join(constants(one) for one in call.args)}"


def otherwise(case: Case, trail: Trail) -> bool:
    """Whether a report that fails here goes another way: from the catch itself, or beside it in the same request."""
    if trail.queued is not None and any(one.queued is None and _key(one) == _key(trail) for one in case.live):
        return True
    path, line = trail.handler
    last = line + caught(case, trail).count("\n")
    passed = {call.line for _, call in trail.hops}
    reporting = {key for one in case.live for key, _ in one.hops}
    tried = [step for one in case.live for step in one.hops]
    tried += [
        (key, call)
        for key, _ in trail.hops
        for to, call in case.program.callees.get(key, ())
        if to in reporting
    ]
    return any(
        key[0] == path and line <= call.line <= last and call.line not in passed for key, call in tried
    )


def _key(trail: Trail) -> Key | None:
    return trail.entry.key if trail.entry is not None else None
