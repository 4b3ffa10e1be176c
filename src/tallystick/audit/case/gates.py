"""Tests of the hour that stand before a report: of a clock that ticks every minute only one run a day gets past."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from tallystick.audit.case.clocks import ENDLESS
from tallystick.audit.corpus.lexical import Corpus
from tallystick.audit.entries.schedules import DAY, HOUR, Schedule, whole
from tallystick.audit.program.program import Program
from tallystick.audit.syntax.ir import Call, Expr, Function
from tallystick.audit.trails.trails import Trail

PARTS: dict[int, str] = {  # what is read of a moment, and how long it is before that comes again
    DAY: r"get(?:UTC)?Hours|[hH]our|getHour",
    7 * DAY: r"get(?:UTC)?Day|[wW]eekday|isoweekday|wday|dayOfWeek",
    30 * DAY: r"get(?:UTC)?Date|Day|day|mday|getDayOfMonth",
}
NOW = re.compile(
    r"(?i)now|date|time|today|current|utc|clock|moment|dayjs|carbon|tick|(?<![a-z])[td](?![a-z])"
)
CHOSEN = (
    r"(?:[\"']?\d{1,2}\b|[A-Z][A-Z0-9_]{2,40}\b|time\.[A-Z][a-z]{2,9}day\b"
    r"|(?:\w{1,40}\.){0,4}\w{0,30}(?:run|report|bill|send|sync|target|schedule|start)\w{0,20}(?:[hH]our|[dD]ay)\w{0,9}\b)"
)
TEST = re.compile(  # `now.getUTCHours() === 3`, `hour % 6 == 0`
    r"((?:new\s)?[\w.:>()'\"/$-]{1,100}?)\s*(%\s*\d{1,2}\s*)?(===?|!==?)\s*(?=" + CHOSEN + ")"
)
TESTED = re.compile(r"^\s*(?:\}?\s*else\s+)?(?:if|elif|elsif)\b")
LEFT = re.compile(r"^\s*(?:return|continue|next|break)\b")
AFTERWARDS = re.compile(r"\b(return|continue|next)\b")
MODIFIED = re.compile(
    r"^\s*(?:return|next|break)\b.{0,40}?\b(if|unless)\b(.*)"
)  # Ruby's `next unless now.hour == 3`
OR, AND = re.compile(r"\|\||\bor\b"), re.compile(r"&&|\band\b")
LONGEST = 3  # lines of a condition


def gated(program: Program, corpus: Corpus, trail: Trail) -> Schedule | None:
    """The slowest test of the hour, of the day or of the weekday that a run by the clock has to pass on this way."""
    found = []
    for key, call in trail.hops:
        function = program.function(key)
        call = _in_the_loop(corpus, key[0], function, call)
        first = function.line if key[1] else 1
        lines = corpus.lines(key[0]).said(first, call.line).decode("utf-8", "replace").split("\n")
        for number, gap in _gates(lines, call, function):
            found.append(Schedule(key[0], first + number, gap, lines[number].strip()[:60], ""))
    return max(found, key=lambda one: (one.seconds, one.path, one.line), default=None)


def _in_the_loop(corpus: Corpus, path: str, function: Function, call: Call) -> Call:
    """The same call below, where it comes again and again: before the loop it is made once, at the start."""
    later = [one for one in function.calls if one.callee == call.callee and one.line > call.line]
    return later[-1] if later and ENDLESS.search(corpus.text(path, call.line, later[-1].line)) else call


def _gates(lines: list[str], call: Call, function: Function) -> Iterator[tuple[int, int]]:
    """The tests among these lines that all who come to the last of them have passed, each with how seldom that is."""
    last = len(lines) - 1
    level = _indent(lines[last])
    own = lines[last][: call.column]
    if TESTED.match(own) and (gap := _passed(own, function)):
        yield last, gap
    for number in range(last - 1, -1, -1):
        said, indent = lines[number], _indent(lines[number])
        if not said.strip() or indent > level:
            continue
        condition = _condition(lines, number)
        gap = None
        if indent < level:
            level = indent
            gap = _passed(condition, function) if TESTED.match(said) else None
        elif MODIFIED.match(said) or (TESTED.match(said) and _leaves(lines, number)):
            gap = _turned_away(condition, function)
        if gap is not None:
            yield number, gap


def _condition(lines: list[str], number: int) -> str:
    """The condition that begins on a line, with the lines it goes on over."""
    said = ""
    for line in lines[number : number + LONGEST]:
        said += line + "\n"
        if line.rstrip().endswith(("{", ":", ")", ";", "}", "then", "end")) or AFTERWARDS.search(line):
            break
    return said


def _leaves(lines: list[str], number: int) -> bool:
    """Whether what a condition guards ends the run: `if (hour !== 3) return;`, on its line or in a block."""
    if AFTERWARDS.search(lines[number]):
        return True
    level = _indent(lines[number])
    inside = itertools.takewhile(lambda one: not one.strip() or _indent(one) > level, lines[number + 1 : -1])
    block = [one for one in inside if one.strip()]
    return bool(block) and LEFT.match(block[-1]) is not None and _indent(block[-1]) == _indent(block[0])


def _passed(said: str, function: Function) -> int | None:
    """How seldom a condition holds: once a day, where it asks for one hour."""
    return None if OR.search(said) else _gap(said, function, "=")


def _turned_away(said: str, function: Function) -> int | None:
    """How seldom a run gets past a condition that sends the others away."""
    modified = MODIFIED.match(said)
    if modified is not None and modified[1] == "unless":
        return None if OR.search(said) else _gap(modified[2], function, "=")
    return None if AND.search(said) else _gap(said, function, "!")


def _gap(said: str, function: Function, sign: str) -> int | None:
    found = []
    for hit in TEST.finditer(said):
        unit = _unit(hit[1], function) if hit[3].startswith(sign) else None
        if unit is not None and hit[2] is None:
            found.append(unit)
        elif unit == DAY and hit[2] is not None:
            found.append(whole(hit[2].strip("% ")) * HOUR)
    return max(found, default=None)


def _unit(said: str, function: Function) -> int | None:
    """How long it is before a part of the present moment is the same again; none where it is of something else."""
    said = said.lstrip("( $")
    given = next((value for name, value in function.assigns if name == said), None)
    said = said if given is None else _spelled(given)
    for gap, parts in PARTS.items():
        hit = re.search(rf"(?:\.|->)(?:{parts})(?:\(\))?$", said)
        if hit is not None and NOW.search(said[: hit.start()]):
            return gap
    return DAY if re.search(r"\bdate\([\"']?[GH][\"']?\)$", said) else None


def _spelled(value: Expr) -> str:
    """A value as it is written, as far as that tells which part of a moment it is."""
    if value.kind == "member" and value.parts:
        return f"{_spelled(value.parts[0])}.{value.text}"
    inside = ",".join(one.text for one in value.parts)
    return f"{value.text}({inside})" if value.kind == "call" else value.text


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
