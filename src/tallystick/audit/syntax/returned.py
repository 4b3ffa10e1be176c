"""Errors that a call returns instead of raising them: Go's `err`, or a false answer; checked later, or dropped."""

from __future__ import annotations

import re

from tree_sitter import Node

from tallystick.audit.syntax.attempts import (
    BREAKS,
    ENDLESS,
    HANDED_ON,
    LEAVES,
    behind_of_go,
    kind_within,
    loop_of,
    outcome,
)
from tallystick.audit.syntax.expressions import text_of
from tallystick.audit.syntax.ir import Handler
from tallystick.audit.syntax.patterns import WINDOW, catch_kind, is_beside, is_of_reports
from tallystick.audit.syntax.rest import RUBY_ASKED, RUBY_CHECKS, Rest, condition
from tallystick.audit.syntax.searches import finite
from tallystick.audit.syntax.tables import CATCHES, TRIES

NOTED = finite(
    rb"(\w+)\.(?:push|append|add)\(|(\w+)\[\]\s*=|(\w+)\s*:?=\s*(?:append\(|[^\n;]*\b(?:[eE]rr(?:or)?|exc?|e)\b|[tT]rue\b)|(\w+)\s*(?:\+=\s*1|\+\+)"
)
SETTLING = re.compile(  # what makes an answer of an error
    r"Promise\.allSettled$|(?:tryCatch|tryAwait|safe(?:Await|ly|Async|Promise)?|catchError|attempt|ignore(?:Errors?)?|swallow\w*|bestEffort|noThrow|to|(?:\w+\.)?from(?:Safe)?Promise)$"
)
PIPED = re.compile(r"(?:Effect|E)\.(?:catch\w*|ignore\w*|orElse\w*|option|either)$")
STATEMENTS = frozenset(["lexical_declaration", "variable_declaration", "expression_statement"])
ANSWER = finite(
    r"(?P<not>!)?\s*(?P<name>[\w$]+)(?:\??\.(?P<field>\w+))?"
    r"(?:\s*(?P<equal>[=!]==?)\s*(?P<value>true|false|null|undefined))?$"
)
NEAR = 20  # statements behind an answer
USER_ERRORS = finite(r"(\w+)\s*=\s*[^;=]*\buserErrors\b|\buserErrors\s*:\s*(\w+)")
WORD = re.compile(r"[\w$]+")
NONE_THERE = re.compile(r"^\(?\s*!|(?<!!)==?=?\s*0|<\s*1")
FAILURE = re.compile(r"(?i)err|fail|reason$")
LAST_WORD = finite(
    rb"(?:^|\n)\s*(?:false|nil|\{|OpenStruct|Failure|failure|fail_with|[\w:]*(?:Result|Response|Outcome)\b)[^\n]*$"
)
LOOPS = frozenset(["for_statement", "while_statement"])
BODIES = frozenset(["block", "statement_block", "compound_statement"])
TOLD = "told "  # of an error that a callback is given: its own are not among them
CALLED_BACK = re.compile(r"^_?(?:err|error|\w+(?:Err|Error|_err))$")


def settled(line: int, state: str, answered: Handler | None) -> Handler:
    """What becomes of an error that a call makes an answer of: `Promise.allSettled([…])`, `tryCatch(report())`."""
    return answered or Handler(line, "signal" if state in ("used", "returned") else "log")


def piped(catch: Node) -> Handler:
    """What a step of Effect's `pipe` does with an error: `Effect.catchAll((error) => …)`, `Effect.ignore`."""
    said = catch.text or b""
    kind = "rethrow" if b".fail(" in said or b".die(" in said else catch_kind(said)
    return Handler(catch.start_point[0] + 1, kind)


def refused(statement: Node | None, names: list[str], rest: Rest) -> Handler | None:
    """What is done where an answer kept under these names says that it failed: `if (!result.ok) { … }`."""
    check = rest.check(statement, names) if statement is not None else None
    failed = _failed(condition(check).strip("() "), names) if check is not None else None
    if statement is not None and failed is None and rest.says(b"userErrors"):
        check = _of_user_errors(statement, rest)
        failed = NONE_THERE.search(condition(check)) is None if check is not None else None
    if check is None or failed is None:
        return None
    branch = check.child_by_field_name("consequence" if failed else "alternative")
    if branch is not None:
        return Handler(branch.start_point[0] + 1, fate(branch.text or b"", check, rest))
    then = check.child_by_field_name("consequence")
    loop = loop_of(check, (then.text or b"") if then is not None else b"")
    if loop is None or then is None:
        return None
    within = rest.source[check.end_byte : loop.end_byte]
    last = kind_within(within, loop, False)
    kind = outcome(loop, then.text or b"", within, rest) if last == "log" else last
    return Handler(check.start_point[0] + 1, kind)


def _of_user_errors(statement: Node, rest: Rest) -> Node | None:
    """The condition below that asks for what Shopify's GraphQL refused: `if (userErrors.length) { … }`."""
    words, one = {"userErrors"}, rest.following(statement)
    for _ in range(NEAR):
        if one is None:
            break
        if one.type == "if_statement" and words & set(WORD.findall(condition(one))):
            return one
        if one.type in STATEMENTS:
            words |= {hit[1] or hit[2] for hit in USER_ERRORS.finditer(text_of(one))}
        one = rest.following(one)
    return None


def _failed(said: str, names: list[str]) -> bool | None:
    """Whether a condition holds for an answer that failed; unknown where it says more than that."""
    hit = ANSWER.match(said)
    if hit is None or hit["name"] not in names:
        return None
    failed = (FAILURE.search(hit["field"] or hit["name"]) is not None) == (hit["not"] is None)
    value = hit["value"]
    if value is not None and (value in ("false", "null", "undefined")) == (hit["equal"][0] == "="):
        failed = not failed
    return failed


def stood_in(node: Node, state: str, rest: Rest) -> Handler:
    """What becomes of an error in whose place Ruby's `report rescue nil` puts an answer: by what is done with that."""
    given, body = node.child_by_field_name("handler"), node.child_by_field_name("body")
    kind = catch_kind(given.text or b"") if given is not None else "log"
    if kind == "log" and (state == "returned" or (body is not None and body.type == "return")):
        kind = "signal"
    elif kind == "log" and state == "used":
        kind = "rethrow"  # asked in place: nothing is known to be lost
    if kind != "log" or state != "assigned" or node.parent is None:
        return Handler(node.start_point[0] + 1, kind)
    return _missed(node.parent, text_of(node.parent.child_by_field_name("left")), rest)


def _missed(kept: Node, name: str, rest: Rest) -> Handler:
    """What is done where the answer kept under this name is none."""
    line, check = kept.start_point[0] + 1, rest.check(kept, [name])
    hit = RUBY_ASKED.match(condition(check)) if check is not None else None
    if check is None or hit is None:
        return Handler(line, "rethrow" if rest.is_heeded(kept, [name]) else "log")
    none = (hit["not"] is not None) ^ (hit["test"] in (".nil?", ".blank?")) ^ RUBY_CHECKS[check.type]
    body = check.child_by_field_name("body") or check.child_by_field_name("consequence")
    branch = body if none else check.child_by_field_name("alternative")
    if branch is None:
        return Handler(line, "log")
    return Handler(branch.start_point[0] + 1, catch_kind(branch.text or b""))


def checked(node: Node, left: Node, rest: Rest) -> tuple[Handler, ...]:
    """What becomes of the error of the call on the right of an assignment; empty when that is not seen here."""
    name = text_of(left).rpartition(",")[2].strip()
    if name == "_":
        return (Handler(node.start_point[0] + 1, "log"),)
    check = _check(node, rest) if name.lower().endswith("err") else None
    asked = condition(check) if check is not None else ""
    if check is None or not re.search(rf"\b{re.escape(name)} [!=]= nil\b", asked):
        return ()
    then, instead = (
        (one.text or b"") if one is not None else b""
        for one in map(check.child_by_field_name, ("consequence", "alternative"))
    )
    if f"{name} != nil" in asked:
        kind = _failing_in_go(then, check, rest, instead)
    elif instead:
        kind = _failing_in_go(instead, check, rest, then)
    else:
        kind = _unasked(then, check, rest, name if node.parent != check else "")
    return (Handler(check.start_point[0] + 1, kind),) if kind else ()


def _failing_in_go(said: bytes, check: Node, rest: Rest, otherwise: bytes) -> str:
    """What is done where Go's error is one; in a loop that goes on trying, what is done when it has run out."""
    if HANDED_ON.search(said) or _is_raised(said, check, rest, returned=True):
        return "rethrow"
    tried = otherwise or _beyond(check, rest)
    loop = loop_of(check, tried) if not LEAVES.search(said) else None
    if loop is None or loop.child_by_field_name("body") is None:
        return catch_kind(said)
    kind = kind_within(said, loop, False)
    return _run_out(loop, rest, b"") if kind == "log" else kind


def _unasked(then: bytes, check: Node, rest: Rest, kept: str) -> str:
    """What becomes of Go's error where only its absence is asked for: `if err := send(); err == nil { return nil }`."""
    leaves = LEAVES.search(then) is not None
    loop = loop_of(check, then)
    if loop is not None:
        return _run_out(loop, rest, rest.source[check.end_byte : loop.end_byte])
    behind = rest.source[check.end_byte : rest.end][:WINDOW]
    if kept and re.search(rb"\b" + re.escape(kept.encode()) + rb"\b", behind):
        return ""
    return behind_of_go(behind) if leaves else "log"


def _run_out(loop: Node, rest: Rest, within: bytes) -> str:
    if ENDLESS.match(text_of(loop)) and not BREAKS.search(within):
        return "rethrow"
    return behind_of_go((within + rest.source[loop.end_byte : rest.end])[:WINDOW])


def _beyond(check: Node, rest: Rest) -> bytes:
    """What a block does below a check."""
    block = check.parent
    return rest.source[check.end_byte : block.end_byte] if block is not None else b""


def caught(catches: list[Node], attempt: Node, rest: Rest) -> tuple[Handler, ...]:
    """What the catches of a try do with the error of a report: the worst that may become of it."""
    parted = [(one, *_parted(one)) for one in catches]
    meant = [one for one in parted if is_of_reports(one[1])] or parted
    handlers = (
        Handler(one.start_point[0] + 1, fate(body, attempt, rest))
        for one, head, body in meant
        if not is_beside(head)
    )
    worst = tuple(sorted(handlers, key=lambda one: one.kind == "rethrow"))[:1]
    return (*_overriding(attempt), *worst)


def _overriding(attempt: Node) -> tuple[Handler, ...]:
    """A `finally` that returns: whatever was thrown is gone, and the answer is the same as if all had gone well."""
    last = next((one for one in attempt.named_children if one.type == "finally_clause"), None)
    blocks = [one for one in last.named_children if one.type in BODIES] if last is not None else []
    returning = [one for block in blocks for one in block.named_children if one.type == "return_statement"]
    return tuple(Handler(one.start_point[0] + 1, "log") for one in returning[:1])


def _parted(clause: Node) -> tuple[bytes, bytes]:
    """What a catch is for, and what it does."""
    said = clause.text or b""
    mark = {"rescue": b"\n", "catch_clause": b"{"}.get(clause.type, b":")
    head, _, body = said.partition(mark)
    return head, body


def fate(said: bytes, attempt: Node, rest: Rest) -> str:
    """What these words do with an error, there or where their function ends."""
    tried = _tried(attempt, rest)
    loop = loop_of(attempt, tried)
    kind = kind_within(said, loop, attempt.type in ("begin", "body_statement"))
    if kind == "log" and attempt.type == "body_statement" and LAST_WORD.search(said[:WINDOW].strip()):
        return "signal"  # the last value of a clause is the method's answer
    if kind in ("log", "accept", "signal") and (_is_raised(said, attempt, rest) or _given_up(attempt)):
        return "rethrow"
    return outcome(loop, tried, said, rest) if kind == "log" and loop is not None else kind


def _tried(attempt: Node, rest: Rest) -> bytes:
    """What is done where all goes well: the body of a try, its `else`, and what stands right behind it in its loop."""
    if attempt.type not in TRIES:
        return b""
    parts = [one.text or b"" for one in attempt.named_children if one.type not in CATCHES]
    after = rest.following(attempt)
    if after is not None and after.type in ("break_statement", "return_statement", "break", "return"):
        parts.append(after.text or b"")
    return b"\n".join(parts)


def _given_up(attempt: Node) -> bool:
    """Whether the loop around a try raises once it has run out: Python's `for attempt in range(3): … else: raise`."""
    loop = attempt.parent.parent if attempt.parent is not None else None
    last = loop.child_by_field_name("alternative") if loop is not None and loop.type in LOOPS else None
    return last is not None and re.search(rb"\braise\b|\breturn\b", last.text or b"") is not None


def _is_raised(said: bytes, node: Node, rest: Rest, returned: bool = False) -> bool:
    """Whether a failure that is only noted here, `errors.push(error)` or `failed = true`, ends the function below."""
    names = {next(one for one in hit.groups() if one) for hit in NOTED.finditer(said[:WINDOW])}
    return rest.is_raised(node, sorted(names), returned)


def _check(node: Node, rest: Rest) -> Node | None:
    """`if err := f(); err != nil`, or the `if` that follows `err := f()`."""
    for one in (node.parent, rest.following(node)):
        if one is not None and one.type == "if_statement":
            return one
    return None


def called_back(given: list[Node]) -> Handler | None:
    """What becomes of the error that a call hands to the function it calls back: `save(row, (err, saved) => …)`."""
    last = given[-1] if given else None
    if last is None or last.type not in ("arrow_function", "function_expression"):
        return None
    bound = last.child_by_field_name("parameters") or last.child_by_field_name("parameter")
    name = text_of(bound).strip("() ").partition(",")[0].partition(":")[0].strip()
    if not CALLED_BACK.match(name):
        return None
    body = last.child_by_field_name("body")
    said = (body.text or b"") if body is not None else b""
    word = re.escape(name.encode())
    kind = "log"
    for one in body.named_children if body is not None else ():
        checks = one.type == "if_statement" and re.match(rb"\(\s*" + word + rb"\b", condition(one).encode())
        then = one.child_by_field_name("consequence") if checks else None
        if then is not None:
            kind = catch_kind(then.text or b"")
            break
    if kind in ("log", "accept", "signal") and re.search(
        rb"\b(?:next|cb|callback|done|reject)\(\s*" + word + rb"\b", said
    ):
        kind = "rethrow"
    return Handler(last.start_point[0] + 1, f"{TOLD}{kind}")
