"""Errors that a call returns instead of raising them: Go's `err`, or a false answer; checked later, or dropped."""

from __future__ import annotations

import re
from functools import lru_cache

from tree_sitter import Node

from tallystick.audit.syntax import tables
from tallystick.audit.syntax.expressions import text_of
from tallystick.audit.syntax.ir import Expr, Handler
from tallystick.audit.syntax.patterns import catch_kind

HANDED_ON = re.compile(
    rb"\breturn\b[^\n]*[eE]rr|\bpanic\(|\.Fatal|http\.Status[A-Z]|http\.Error\(|AbortWith|\(\s*[45]\d\d\s*,"
)
FUNCTIONS = tables.FUNCTIONS - {"block", "do_block"}  # which have a fate of their own in Ruby alone
NOTED = re.compile(
    rb"(\w+)\.(?:push|append|add)\(|(\w+)\[\]\s*=|(\w+)\s*:?=\s*(?:append\(|[^\n;]*\b(?:[eE]rr(?:or)?|exc?|e)\b|[tT]rue\b)|(\w+)\s*(?:\+=\s*1|\+\+)"
)
RAISED = (  # of what was noted: raised itself, or a reason to raise
    rb"\b(?:throw|raise)\b[^\n]*\bNAME\b|AggregateError\([^\n]*\bNAME\b|\bif\b[^\n]*\bNAME\b[^\n]*\s*[^\n]*\b(?:throw|raise)\b"
    rb"|\bJoin\(NAME\b"
)
RETURNED = rb"\breturn\b[^\n]*\bNAME\b|" + RAISED  # where errors are answers

SETTLING = re.compile(  # what makes an answer of an error
    r"Promise\.allSettled$|(?:tryCatch|tryAwait|safe(?:Await|ly|Async|Promise)?|catchError|attempt|ignore(?:Errors?)?|swallow\w*|bestEffort|noThrow|to|(?:\w+\.)?from(?:Safe)?Promise)$"
)
PIPED = re.compile(r"(?:Effect|E)\.(?:catch\w*|ignore\w*|orElse\w*|option|either)$")
STATEMENTS = frozenset(["lexical_declaration", "variable_declaration", "expression_statement"])
ANSWER = re.compile(
    r"(?P<not>!)?\s*(?P<name>[\w$]+)(?:\??\.(?P<field>\w+))?"
    r"(?:\s*(?P<equal>[=!]==?)\s*(?P<value>true|false|null|undefined))?$"
)
WORD = re.compile(r"(?<![\w.$])[\w$]+")
FAILURE = re.compile(r"(?i)err|fail|reason$")
RUBY_ASKED = re.compile(r"(?P<not>!|not )?\s*(?P<name>\w+)(?P<test>\.(?:nil|blank|present)\?)?$")
RUBY_CHECKS = {"if": False, "if_modifier": False, "unless": True, "unless_modifier": True}


def _holder(node: Node) -> Node | None:
    """The function around a node, or the file."""
    holder = node.parent
    while holder is not None and holder.parent is not None and holder.type not in FUNCTIONS:
        holder = holder.parent
    return holder


LAST_WORD = re.compile(
    rb"(?:^|\n)\s*(?:false|nil|\{|OpenStruct|Failure|failure|fail_with|[\w:]*(?:Result|Response|Outcome)\b)[^\n]*$"
)
LOOPS = frozenset(["for_statement", "while_statement"])
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


def is_heeded(node: Node, names: list[str]) -> bool:
    """Whether an answer kept under these names is asked for later in its function, or handed on."""
    text = _below(node)
    return any(name.encode() in text and _asked(name).search(text) for name in names)


def is_forgotten(node: Node, pairs: list[tuple[str, Expr]]) -> bool:
    """Whether an answer is kept under a name that its function never says again."""
    said = [re.compile(rb"\b" + re.escape(name.encode()) + rb"\b") for name, _ in pairs if "." not in name]
    return len(said) == len(pairs) > 0 and not any(one.search(_below(node)) for one in said)


@lru_cache(1024)
def _asked(name: str) -> re.Pattern[bytes]:
    word = rb"(?<![\w.])" + re.escape(name.encode()) + rb"\b"
    return re.compile(
        rb"\b(?:if|elif|while|switch|assert\w*|invariant\w*|return|throw|raise|yield|await|in|of)\b[^\n;]*" + word
        + rb"|" + word + rb"\.(?:forEach|filter|map|some|every|find\w*|reduce)\("
        + rb"|!\s*" + word + rb"|" + word + rb"[\w.?\[\]]*\s*(?:\?[^.:]|&&|\|\||[=!]==?|[<>])"
    )  # fmt: skip


def refused(node: Node, names: list[str]) -> Handler | None:
    """What is done where an answer kept under these names says that it failed: `if (!result.ok) { … }`."""
    statement = node
    while statement.parent is not None and statement.type not in STATEMENTS:
        statement = statement.parent
    after = statement.next_named_sibling
    while after is not None:
        said = _condition(after) if after.type == "if_statement" else ""
        if said and any(_mentions(said, name) for name in names):
            branch = _failing(after, said.strip("() "), names)
            return Handler(branch.start_point[0] + 1, fate(branch.text or b"", after)) if branch else None
        after = after.next_named_sibling
    return None


def _mentions(said: str, name: str) -> bool:
    """Whether a condition speaks of a name."""
    return name in said and name in WORD.findall(said)


def _failing(check: Node, said: str, names: list[str]) -> Node | None:
    """The branch that a failed answer takes; none where the condition says more than that."""
    hit = ANSWER.match(said)
    if hit is None or hit["name"] not in names:
        return None
    failed = (FAILURE.search(hit["field"] or hit["name"]) is not None) == (hit["not"] is None)
    value = hit["value"]
    if value is not None and (value in ("false", "null", "undefined")) == (hit["equal"][0] == "="):
        failed = not failed
    return check.child_by_field_name("consequence" if failed else "alternative")


def stood_in(node: Node, state: str) -> Handler:
    """What becomes of an error in whose place Ruby's `report rescue nil` puts an answer: by what is done with that."""
    given, body = node.child_by_field_name("handler"), node.child_by_field_name("body")
    kind = catch_kind(given.text or b"") if given is not None else "log"
    if kind == "log" and (state == "returned" or (body is not None and body.type == "return")):
        kind = "signal"
    elif kind == "log" and state == "used":
        kind = "rethrow"  # asked in place: nothing is known to be lost
    if kind != "log" or state != "assigned" or node.parent is None:
        return Handler(node.start_point[0] + 1, kind)
    return _missed(node.parent, text_of(node.parent.child_by_field_name("left")))


def _missed(kept: Node, name: str) -> Handler:
    """What is done where the answer kept under this name is none."""
    line, after = kept.start_point[0] + 1, kept.next_named_sibling
    while after is not None:
        hit = RUBY_ASKED.match(_condition(after)) if after.type in RUBY_CHECKS else None
        if hit is not None and hit["name"] == name:
            none = (hit["not"] is not None) ^ (hit["test"] in (".nil?", ".blank?")) ^ RUBY_CHECKS[after.type]
            body = after.child_by_field_name("body") or after.child_by_field_name("consequence")
            branch = body if none else after.child_by_field_name("alternative")
            if branch is None:
                return Handler(line, "log")
            return Handler(branch.start_point[0] + 1, catch_kind(branch.text or b""))
        after = after.next_named_sibling
    return Handler(line, "rethrow" if is_heeded(kept, [name]) else "log")


def checked(node: Node, left: Node) -> tuple[Handler, ...]:
    """What becomes of the error of the call on the right of an assignment; empty when that is not seen here."""
    name = text_of(left).rpartition(",")[2].strip()
    if name == "_":
        return (Handler(node.start_point[0] + 1, "log"),)
    check = _check(node)
    if not name.lower().endswith("err") or check is None or f"{name} != nil" not in _condition(check):
        return ()
    body = check.child_by_field_name("consequence")
    said = (body.text or b"") if body is not None else b""
    kind = "rethrow" if HANDED_ON.search(said) or is_raised_later(said, check, RETURNED) else catch_kind(said)
    return (Handler(check.start_point[0] + 1, kind),)


def fate(said: bytes, attempt: Node) -> str:
    """What these words do with an error, there or where their function ends."""
    kind = catch_kind(said)
    if kind == "log" and attempt.type == "body_statement" and LAST_WORD.search(said.strip()):
        return "signal"  # the last value of a clause is the method's answer
    later = kind in ("log", "accept", "signal") and (is_raised_later(said, attempt) or _given_up(attempt))
    return "rethrow" if later else kind


def _given_up(attempt: Node) -> bool:
    """Whether the loop around a try raises once it has run out: Python's `for attempt in range(3): … else: raise`."""
    loop = attempt.parent.parent if attempt.parent is not None else None
    last = loop.child_by_field_name("alternative") if loop is not None and loop.type in LOOPS else None
    return last is not None and re.search(rb"\braise\b|\breturn\b", last.text or b"") is not None


def is_raised_later(said: bytes, node: Node, raised: bytes = RAISED) -> bool:
    """Whether a failure that is only noted here, `errors.push(error)` or `failed = true`, ends the function below."""
    names = {next(one for one in hit.groups() if one) for hit in NOTED.finditer(said)}
    below = _below(node) if names else b""
    return any(re.search(raised.replace(b"NAME", re.escape(name)), below) for name in names)


def _below(node: Node) -> bytes:
    """The text of the function around a node, from the node's end on."""
    holder = _holder(node)
    return (holder.text or b"")[node.end_byte - holder.start_byte :] if holder is not None else b""


def _check(node: Node) -> Node | None:
    """`if err := f(); err != nil`, or the `if` that follows `err := f()`."""
    for one in (node.parent, node.next_named_sibling):
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
        checks = one.type == "if_statement" and re.match(rb"\(\s*" + word + rb"\b", _condition(one).encode())
        then = one.child_by_field_name("consequence") if checks else None
        if then is not None:
            kind = catch_kind(then.text or b"")
            break
    if kind in ("log", "accept", "signal") and re.search(
        rb"\b(?:next|cb|callback|done|reject)\(\s*" + word + rb"\b", said
    ):
        kind = "rethrow"
    return Handler(last.start_point[0] + 1, f"{TOLD}{kind}")


def _condition(check: Node) -> str:
    return text_of(check.child_by_field_name("condition"))
