"""Tasks, threads and promise chains: who waits for them, and which call they stand for."""

from __future__ import annotations

import re

from tree_sitter import Node

from tallystick.audit.syntax.drafts import names_below
from tallystick.audit.syntax.expressions import arguments, arguments_of, callee, text_of
from tallystick.audit.syntax.ir import Expr
from tallystick.audit.syntax.patterns import LOGGING
from tallystick.audit.syntax.rest import Rest

TASK = re.compile(
    r"(?:^|\.)(?:create_task|ensure_future|run_coroutine_threadsafe|start_soon|run_in_executor)$"
)
THREAD = re.compile(r"(?:^|\.)(?:to_thread|run_in_threadpool|run_sync|run_in_executor|submit|add_task)$")
LATER = re.compile(r"(?:^|\.)(?:submit|add_task|run_in_executor)$")
WRAPPED = re.compile(r"(?:^|\.)(?:sync_to_async|partial)(\(\))?$")
CHAINED = re.compile(r"\.(?:then|catch|finally)$")
ANSWERED = re.compile(
    rb"\b(?:res|response|reply)\s*\.\s*(?:json|send|sendStatus|end|render|redirect|status|type|set|code)\(|\bnext\(\s*\)"
)


def is_joined(node: Node, name: str, state: str, rest: Rest) -> bool:
    """Whether a Python task is waited for where it is made: awaited, of a group, or gathered further down."""
    if not TASK.search(name):
        return False
    if state in ("awaited", "used") or rest.source.startswith(b".result(", node.end_byte):
        return True
    group = name.rpartition(".")[0]
    holder = node.parent
    while holder is not None and holder.type not in ("function_definition", "lambda"):
        if holder.type == "assignment" and (left := holder.child_by_field_name("left")) is not None:
            return rest.is_heeded(holder, [one for one, _ in names_below(left, "")])
        if holder.type == "call" and callee(holder).endswith(".append"):
            return rest.is_heeded(holder, [callee(holder).rpartition(".")[0]])
        if holder.type == "with_statement" and group:
            opened = rest.line(holder.start_byte)
            if re.search(rf"\bas\s+{re.escape(group)}\b", opened):
                return True
        holder = holder.parent
    return False


def is_settled(name: str, values: tuple[Expr, ...]) -> bool:
    """`asyncio.gather(…, return_exceptions=True)`: errors are among the results."""
    pairs = [pair for one in values for pair in zip(one.keys, one.parts, strict=False)]
    return name == "asyncio.gather" and any(
        key == "return_exceptions" and part.text == "True" for key, part in pairs
    )


def is_answered(node: Node, name: str) -> bool:
    """Whether the caller's answer waits for a promise chain: `report().then(() => res.json(answer))`."""
    return CHAINED.search(name) is not None and ANSWERED.search(_links(node)) is not None


def is_value(node: Node) -> bool:
    """Whether the end of a chain gives an answer for a failure: `const sent = await report().catch(() => false)`."""
    given = arguments(node)
    body = given[0].child_by_field_name("body") if given and given[0].type == "arrow_function" else None
    if body is None or body.type == "statement_block" or (node.parent and node.parent.type == "array"):
        return False
    return LOGGING.search(body.text or b"") is None


def _links(node: Node) -> bytes:
    """What a chain does when all goes well: all but what its last catch says."""
    target = node.child_by_field_name("function")
    return (target.text if target is not None and text_of(target).endswith(".catch") else node.text) or b""


def stands_for(node: Node, name: str, values: tuple[Expr, ...]) -> tuple[str, tuple[Expr, ...]] | None:
    """The call that a thread makes: `asyncio.to_thread(stripe.….create, **event)`, `sync_to_async(report)(event)`."""
    inner = node.child_by_field_name("function")
    wrapped = WRAPPED.search(name)
    if wrapped is not None and wrapped[1] and inner is not None:
        made = arguments_of(inner)
        return (made[0].text, (*made[1:], *values)) if made and made[0].kind == "name" else None
    if not THREAD.search(name):
        return None
    given = values[1:] if name.endswith("run_in_executor") else values
    if given and given[0].kind == "call" and WRAPPED.search(given[0].text):
        given = given[0].parts
    if given and given[0].kind == "name" and "." in given[0].text:
        return given[0].text, given[1:]
    return None
