"""Where a framework ends an error for the code it runs: what a class of jobs declares, calls that let nothing out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from tree_sitter import Node

from tallystick.audit.syntax.expressions import arguments, arguments_of, callee, text_of
from tallystick.audit.syntax.ir import Expr, Handler
from tallystick.audit.syntax.patterns import WINDOW, catch_kind, is_of_reports
from tallystick.audit.syntax.searches import finite

ONCE = "once"  # a job that its queue runs a single time
BLOCKS = frozenset(["block", "do_block"])
MISTAKEN = finite(
    rb"(?:Invalid\w*|Authentication|Permission|Card|Idempotency|Signature\w*)Error\b"
)  # no outage
NEVER = frozenset(["0", "false", "False"])
CLOSURES = frozenset(["anonymous_function", "anonymous_function_creation_expression", "arrow_function"])
QUIET = {  # calls that run what they are given, and keep its errors to themselves
    "python": re.compile(
        r"(?:^|\.)on_commit$"
    ),  # Django's; an error reaches the request, but for `robust=True`
    "php": re.compile(r"^rescue$"),
    "ruby": re.compile(r"^(?:Kernel\.)?suppress$|^Rails\.error(?:\(\))?\.handle$"),
}
TRIES, RAISES = re.compile(r"^(?:max_retries|retry)$"), re.compile(r"^raise_on_giveup$")


def declared(job: Node) -> tuple[Handler, ...]:
    """What a class of Ruby's jobs ends for its `perform`: `discard_on`, `rescue_from`, `retry: false`."""
    body = job.child_by_field_name("body")
    calls = [one for one in (body.named_children if body is not None else ()) if one.type == "call"]
    if any(callee(one) == "retry_on" and _of_outages(arguments(one)) for one in calls):
        return ()
    return tuple(found for one in calls for found in _declared(one, body))


def _declared(call: Node, body: Node | None) -> Iterator[Handler]:
    name, line = callee(call), call.start_point[0] + 1
    if name == "sidekiq_options" and _never(arguments_of(call), TRIES):
        yield Handler(line, ONCE)
    if name not in ("discard_on", "rescue_from") or not _of_outages(arguments(call)):
        return
    block = next((one for one in call.named_children if one.type in BLOCKS), None)
    said = (block.text or b"") if block is not None else b"" if name == "discard_on" else _named(call, body)
    if said is not None:
        yield Handler(line, catch_kind(said[:WINDOW]))


def _named(call: Node, body: Node | None) -> bytes | None:
    """The method that `rescue_from StandardError, with: :note` gives an error to, where the class has it."""
    pairs = [one for one in arguments(call) if one.type == "pair"]
    names = {text_of(one.child_by_field_name("value")).lstrip(":") for one in pairs}
    methods = [one for one in (body.named_children if body is not None else ()) if one.type == "method"]
    fitting = (one.text for one in methods if text_of(one.child_by_field_name("name")) in names)
    return next(fitting, None)


def _of_outages(given: Iterable[Node]) -> bool:
    """Whether errors of a provider that is down are among these; a request that is wrong stays so at any try."""
    said = [one.text or b"" for one in given if one.type in ("constant", "scope_resolution")]
    return any(is_of_reports(one) and not MISTAKEN.search(one) for one in said)


def decorated(decorators: Iterable[Expr], line: int) -> tuple[Handler, ...]:
    """What a decorator does with its function's errors: `@dramatiq.actor(max_retries=0)`, which else tries again."""
    for one in decorators:
        if one.text == "dramatiq.actor" and _never(one.parts, TRIES):
            return (Handler(line, ONCE),)
        if one.text.endswith("backoff.on_exception") and _never(one.parts, RAISES):
            return (Handler(line, "log"),)
    return ()


def _never(values: Iterable[Expr], word: re.Pattern[str]) -> bool:
    pairs = [pair for one in values for pair in zip(one.keys, one.parts, strict=False)]
    return any(word.match(key) and part.kind == "const" and part.text in NEVER for key, part in pairs)


def kept_in(grammar: str, call: Node, name: str, state: str) -> tuple[Handler, ...]:
    """What becomes of errors in what a call is given to run: `rescue(fn () => …)`, `suppress(StripeError) { … }`."""
    quiet = QUIET.get(grammar)
    if quiet is None or not quiet.search(name):
        return ()
    line, given = call.start_point[0] + 1, arguments(call)
    if grammar == "python":
        robust = any(text_of(one).replace(" ", "") == "robust=True" for one in given)
        return (Handler(line, "log"),) if robust else ()
    if grammar == "ruby":
        runs = any(one.type in BLOCKS for one in call.named_children)
        errors = name.startswith("Rails") or _of_outages(given)
        return (Handler(line, _answering("log", state)),) if runs and errors else ()
    inner = [child for one in given for child in one.named_children if child.type in CLOSURES]
    instead = inner[1].text or b"" if len(inner) > 1 else b""  # `rescue($report, fn ($error) => …)`
    return (Handler(line, _answering(catch_kind(instead), state)),) if inner else ()


def _answering(kind: str, state: str) -> str:
    """An answer in an error's place tells of it to whoever asks: nothing is known to be lost."""
    if kind not in ("log", "signal", "accept"):
        return kind
    return {"returned": "signal", "assigned": "rethrow", "used": "rethrow"}.get(state, "log")
