"""A failed report is logged and forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tallystick.audit.case.case import SLOW, Case
from tallystick.audit.case.enqueued import carries_usage, finds_usage, otherwise
from tallystick.audit.case.kept import only_marked, unread
from tallystick.audit.case.states import left_behind
from tallystick.audit.case.unattended import by_hand
from tallystick.audit.model import Confidence, Finding, Place, Severity
from tallystick.audit.rules.base import Rule
from tallystick.audit.rules.durable import drained_late, excused, sent_later
from tallystick.audit.rules.handed_periods import unclosed_period
from tallystick.audit.rules.marks import marks_lost, marks_sent, takes_unsent
from tallystick.audit.rules.one_day import asks_one_day
from tallystick.audit.syntax.dropped import ONCE
from tallystick.audit.syntax.ir import Expr
from tallystick.audit.trails.labels import STORED
from tallystick.audit.trails.trails import Trail

STOPPED = (
    "when the provider refuses or is down, the error stops here: the customer got the work, and the usage is never "
    "billed"
)
UNKEPT = "a row that the database refuses raises nothing, and nobody looks at its answer: that usage is never billed"
UNHEARD = "a request that the provider refuses raises nothing, and nobody looks at its answer: that usage is not billed"

UNTRIED = "this Celery task says nothing of another try, and Celery makes none by itself: one failure loses the usage"
DEEP = 4
TASK = re.compile(r"(?:^|\.)(?:shared_task|task)$")
TRYING = frozenset(["acks_late", "autoretry_for", "base", "retry_backoff", "retry_kwargs"])
AGAIN = re.compile(r"(?:^|\.)retry$|\.(?:apply_async|delay)$")
LISTENS = re.compile(r"(?:^|\.)(?:on|once|add(?:Event)?Listener)$")  # what happens starts it, and no clock
CONFIGURED = re.compile(rb"(?i)task_annotations|task_cls|task_acks_late")


def find(case: Case) -> Iterator[Finding]:
    """Trails on which a catch ends the error, with no row left to send again."""
    for trail in case.judged:
        table = unread(case, trail)
        if table:
            yield RULE.finding(
                f"a failed report is written to {table}, and nothing in this tree reads it to send it again",
                Place(*trail.handler),
                Confidence.MEDIUM,
                case.name(trail),
                case.hops(trail),
            )
        if only_marked(case, trail) or left_behind(case, trail):
            yield RULE.finding(
                "a failed report is noted in its row, and nothing in this tree takes such rows up again by itself",
                Place(*trail.handler),
                Confidence.MEDIUM,
                case.name(trail),
                case.hops(trail),
            )
        if _is_plain_task(case, trail) and not excused(case, trail):
            where = Place(trail.entry.path, trail.entry.line) if trail.entry else case.at(trail)
            yield RULE.finding(UNTRIED, where, Confidence.LOW, case.name(trail), case.hops(trail))
        if trail.error != "swallowed" or excused(case, trail) or otherwise(case, trail):
            continue
        if trail.queued is not None:
            yield from _unqueued(case, trail)
            continue
        by_clock = trail.entry is not None and trail.entry.kind in ("script", "schedule")
        if by_clock and _runs_once(trail):
            continue  # the clock starts the next run, which nothing here says to skip what this one left
        if trail.site.stored and by_clock and not case.once(marks_lost, trail):
            continue  # what a run by the clock writes down it finds again the next time
        where = Place(*trail.handler)
        near = trail.entry is not None and trail.handler[0] == trail.site.key[0]
        near = near and not trail.site.stored and not sent_later(case, trail)
        unheard = trail.handler == (trail.site.key[0], trail.site.call.line)
        near = near and not unheard
        sure = Confidence.HIGH if near else Confidence.MEDIUM
        doubted = (
            trail.retried
            or _left_unsent(case, trail)
            or drained_late(case, trail)
            or _told_again(case, trail)
            or by_hand(case, trail)
            or (trail.site.stored and _calls_below(trail) > DEEP)
        )
        yield RULE.finding(
            (UNKEPT if trail.site.stored else UNHEARD) if unheard else STOPPED,
            where,
            Confidence.LOW if doubted else sure,
            case.name(trail),
            case.hops(trail),
        )


def _unqueued(case: Case, trail: Trail) -> Iterator[Finding]:
    """A job that tells of usage and could not be put on its queue."""
    if carries_usage(case, trail):
        late = finds_usage(case, trail) or drained_late(case, trail)
        yield RULE.finding(
            "when the queue is down, the error stops here: the customer got the work, and no job is left to bill it",
            Place(*trail.handler),
            Confidence.LOW if late else Confidence.MEDIUM,
            case.name(trail),
            case.hops(trail),
        )


def _calls_below(trail: Trail) -> int:
    """How many calls lie between a catch and the row: far above, what fails is the work of which the row is a part."""
    ends = (number for number, (key, call) in enumerate(trail.hops) for one in call.handlers
            if (key[0], one.line) == trail.handler)  # fmt: skip
    return next(ends, 0)


def _runs_once(trail: Trail) -> bool:
    """Whether what ends the error is the queue, which was told to run such a job a single time."""
    ends = ((key[0], one) for key, call in trail.hops for one in call.handlers)
    return any((path, one.line) == trail.handler and one.kind == ONCE for path, one in ends)


def _is_plain_task(case: Case, trail: Trail) -> bool:
    """Whether a Celery task lets the error out and says nothing of another try: Celery makes none by itself."""
    entry = trail.entry
    if entry is None or (entry.kind, entry.framework) != ("worker", "celery") or trail.queued is not None:
        return False
    function = case.program.function(entry.key)
    tasks = [one for one in function.decorators if TASK.search(one.text)]
    said = {key for one in tasks for part in one.parts for key in part.keys}
    celery = b"celery" in case.corpus.sources[entry.key[0]].lower()
    if (
        trail.error not in ("open", "surfaced")
        or not (tasks and celery)
        or said & TRYING
        or trail.site.stored
    ):
        return False
    inside = [entry.key, *case.program.contents.inside(entry.key)]
    calls = (call for key in inside for call in case.program.function(key).calls)
    return not any(AGAIN.search(one.callee) for one in calls) and not case.corpus.grep(CONFIGURED)


def _left_unsent(case: Case, trail: Trail) -> bool:
    """Whether a clock's run takes the rows not sent yet, and marks only what was sent: the next one finds the rest."""
    by_clock = trail.entry is not None and trail.entry.kind in ("schedule", "script")
    by_clock = by_clock and not any(LISTENS.search(call.callee) for _, call in trail.hops)
    taken = by_clock and not trail.site.stored and case.once(takes_unsent, trail)
    taken = taken and not case.once(asks_one_day, trail)
    return taken and marks_sent(case, trail) and not case.once(marks_lost, trail)


def _told_again(case: Case, trail: Trail) -> bool:
    """Whether the next run tells what this one could not: what the open period holds so far, or a number set anew."""
    entry = trail.entry
    if entry is None or entry.kind != "schedule":
        return False
    if any(_sets(one) for one in trail.site.call.args):
        return True
    if (entry.seconds or SLOW) >= SLOW:
        return False
    return any(kind == STORED for kind, _ in trail.quantity) and unclosed_period(case, trail) is not None


def _sets(value: Expr) -> bool:
    """Whether a usage record replaces the number of the period: `action: "set"`."""
    given = zip(value.keys, value.parts, strict=False)
    return any(name == "action" and part.kind == "const" and part.text == "set" for name, part in given)


RULE = Rule(
    code="errors_swallowed",
    title="A failed report is only logged",
    why=(
        "A catch that logs makes the request, or the queue job, look successful, so nothing "
        "tries again. Every outage of "
        "the provider becomes free usage."
    ),
    wrong="try { await report(event) } catch (error) { console.error(error) }",
    right="try { await report(event) } catch (error) { await outbox.insert(event); } // drained every minute",
    severity=Severity.HIGH,
    decides=True,
    find=find,
    remediation=(
        "Let the error reach the caller or the queue, or keep an unsent row that a frequent "
        "worker sends again."
    ),
)
