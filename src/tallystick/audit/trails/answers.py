"""Answers that stand for errors, on both sides of a function: how they are made, and who hands them on."""

from __future__ import annotations

import re

from msgspec.structs import replace

from tallystick.audit.models.knowledge import compiled
from tallystick.audit.program.program import Key, Program
from tallystick.audit.syntax.ir import Call, Expr, Function, Handler

MADE, SENDING = re.compile(r"(?i)new_?request\w*$"), re.compile(r"\.(?:[dD]o|send)$")
ANSWERED = re.compile(r"\.from\(\)\.(?:insert|upsert)$")
ASKED = (  # a line that turns on what it is, or takes something from it
    r"\b(?:if|elif|else|while|unless|assert|not|and|or|raise|throw|return|switch|case|match)\b[^\n]{0,300}\bNAME\b"
    r"|[!?&|][^\n]{0,300}\bNAME\b|\bNAME\b\s*(?:[?.\[]|[!=]=|&&|\|\||(?:is|in|or|and|not|if|unless)\b)|f[\"'][^\n]{0,300}\bNAME\b"
)
KEEPING = re.compile(
    r"(?:^|\.)(?:[A-Z]\w*|_?(?i:(?:create|insert|add|save|upsert|update|put|append|push)\w*|set|print|log|debug|info|warn(?:ing)?|error))$"
)
LEFT = frozenset(["awaited", "floating", "void", "inner"])  # states of a call whose answer nobody takes
HANDED_ON = 3  # functions that only return what the next one answers

QUIET = re.compile(r"(?i)autumn\w*(?:\(\))?\.(?:balances\.)?track$")


def request_within(program: Program, key: Key, call: Call) -> tuple[Key, Call] | None:
    """The guarded request in the one function of the tree that a call means: `this.request("POST", "/events", row)`."""
    targets = program.targets(key, call.callee)
    if len(targets) != 1:
        return None
    request = compiled(program.knowledge.spelled("@request"))
    for target in (targets[0], *program.contents.inside(targets[0])):
        for one in program.function(target).calls:
            if one.handlers and request.search(one.callee):
                return target, one
    return None


def sent(program: Program, key: Key, call: Call) -> Call:
    """Where a request that is only made here is sent: Go's `client.Do(request)`."""
    if not MADE.search(call.callee):
        return call
    later = [one for one in program.function(key).calls if one.line >= call.line]
    return next((one for one in later if SENDING.search(one.callee)), replace(call, handlers=()))


def unheard(call: Call) -> Handler | None:
    """What becomes of a refusal that a kit answers, where nobody looks at its answer: `await autumn.track(event);`."""
    return Handler(call.line, "log") if call.state == "awaited" and QUIET.search(call.callee) else None


def unchecked(program: Program, key: Key, call: Call, below: Key | None) -> bool:
    """Whether a Go call stands alone although it returns an error."""
    if not key[0].endswith(".go") or call.state != "floating" or call.spawned:
        return False
    return below is None or _errs(program, below)


def unasked(program: Program, key: Key, call: Call) -> bool:
    """Whether a row is given to Supabase and its answer to nobody: `await supabase.from("usage").insert(row)`."""
    if call.state not in ("awaited", "floating", "void") or not ANSWERED.search(call.callee):
        return False
    kit = "supabase" in call.callee.lower() or any(
        "supabase" in one.source.lower() for one in program.modules[key[0]].imports
    )
    kept = (value for _, value in program.function(key).assigns)
    return kit and not any(_of_call(value, call) for value in kept)


def _of_call(value: Expr, call: Call) -> bool:
    own = value.kind == "call" and value.text == call.callee and value.parts == call.args
    return own or any(_of_call(part, call) for part in value.parts)


def _errs(program: Program, key: Key, depth: int = 0) -> bool:
    """Whether a Go function returns an error of its own, or what another one answers."""
    returns = [one for value in program.function(key).returns for one in (value, *value.parts)]
    if any("err" in one.text.lower() for one in returns):
        return True
    asked = (one.text for one in returns if one.kind == "call" and depth < HANDED_ON)
    return any(_errs(program, to, depth + 1) for name in asked for to in program.targets(key, name))


def words_for(call: Call, name: str) -> set[str]:
    """Under which words a call is given a function: `consume(queue, handle=report)`."""
    pairs = (pair for one in call.args for pair in zip(one.keys, one.parts, strict=False))
    return {word for word, one in pairs if one.kind == "name" and one.text == name}


def given_back(program: Program, key: Key, call: Call) -> bool:
    """Whether an answer is only returned: `return send(event)`, `result = send(event); return result is not None`."""
    if key[0].endswith(".go"):
        return False  # there an error is an answer, and giving it back is to raise it
    function = program.function(key)
    kept = _names_of(function, call)
    return any(_speaks_of(one, kept) or _is_call(one, call) for one in function.returns)


def _is_call(value: Expr, call: Call) -> bool:
    return value.kind == "call" and value.text == call.callee


def _names_of(function: Function, call: Call) -> set[str]:
    """The names that the answer of a call is kept under."""
    return {name for name, value in function.assigns if value.kind == "call" and value.text == call.callee}


def _speaks_of(value: Expr, names: set[str]) -> bool:
    own = value.kind == "name" and value.text.partition(".")[0] in names
    return own or any(_speaks_of(part, names) for part in value.parts)


def unasked_for(program: Program, key: Key, call: Call) -> bool:
    """Whether an answer is kept in a row, told to a log or left, and nothing asks what it is: `Row(id=send(event))`."""
    function = program.function(key)
    kept = _names_of(function, call)
    if not kept or key[0].endswith(".go"):
        return False
    lines = program.resolver.files[key[0]].split(b"\n")[call.line - 1 : function.end_line]
    text = b"\n".join(lines).decode("utf-8", "replace").partition(call.callee.rpartition(".")[2])[2]
    for name in kept:
        asked = re.compile(ASKED.replace("NAME", re.escape(name)))
        if asked.search(text) or any(_speaks_of(one, kept) for one in function.returns):
            return False
    takers = [one for one in function.calls if any(_speaks_of(each, kept) for each in one.args)]
    return all(KEEPING.search(one.callee) for one in takers)
