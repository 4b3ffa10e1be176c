"""Steps that a durable engine keeps, and tries again by itself before their error reaches the code around them."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.audit.program.program import Key, Program
from tallystick.audit.syntax.ir import Call, Expr

FEW = 3  # tries, over in seconds, which an outage outlasts


def tries_again(program: Program, caller: Key, call: Call) -> bool:
    """Whether a call runs what it is given as such a step: `step.do("report", { retries }, () => report(n))`."""
    named = bool(call.args) and call.args[0].kind in ("const", "mix")
    if not named or not program.knowledge.setting("retry", "callee").search(call.callee):
        return False
    said = (one.text for given in program.spelled(caller, call.args) for one in _limits(program, given))
    return not any(one.isdigit() and int(one) < FEW for one in said)


def _limits(program: Program, value: Expr) -> Iterator[Expr]:
    """How often the settings of a step say to try again."""
    for key, part in zip(value.keys, value.parts, strict=False) if value.kind == "object" else ():
        if part.kind == "object":
            yield from _limits(program, part)
        elif program.knowledge.setting("retry", "tries").search(key):
            yield part
