"""Loops that try again until it works: what becomes of the error of the last try."""

from __future__ import annotations

import re

from tree_sitter import Node

from tallystick.audit.syntax import tables
from tallystick.audit.syntax.expressions import callee, text_of
from tallystick.audit.syntax.patterns import WINDOW, catch_kind
from tallystick.audit.syntax.rest import Rest
from tallystick.audit.syntax.searches import finite

LOOPS = frozenset(
    ["for_statement", "while_statement", "for_in_statement", "do_statement", "enhanced_for_statement",
     "foreach_statement", "for", "while", "until"]
)  # fmt: skip
BLOCKS = frozenset(["block", "do_block"])
FUNCTIONS = tables.FUNCTIONS - BLOCKS
ROUNDS = re.compile(r"\.(?:times|upto|each)$|^loop$")
ENDLESS = finite(
    r"\s*(?:while\s*\(?\s*(?:true|True|1)\s*\)?\s*[:{\n]|for\s*\(\s*;\s*;\s*\)|for\s*\{|loop\b|until\s+false)"
)
LEAVES = re.compile(rb"\b(?:break|return)\b")
RETURNS = re.compile(rb"\breturn\b")
BREAKS = re.compile(rb"\bbreak\b")
COUNTED = finite(  # `sleep(retryDelay)` writes nothing down, and `sleep(500)` answers nobody
    rb"(?i)\b\w*retr(?:y|ies)\w*\b(?!\s*\()|\b(?:sleep|delay|wait\w*|pause|setTimeout)\([^()\n]*\)"
)
AGAIN = finite(rb"(?m)^[^\n#]*\bretry\b(?!\s*[(.:=])[^\n]*$")  # Ruby's own word
ASKED = re.compile(rb"\b(?:if|unless|while|case)\b|\?\s")
HANDED_ON = finite(
    rb"\breturn\b[^\n]*[eE]rr|\bpanic\(|\.Fatal|http\.Status[A-Z]|http\.Error\(|AbortWith|\(\s*[45]\d\d\s*,"
)
TOLD = finite(rb"\breturn[ \t]+(?!nil\b)[^\n]*(?<!nil)(?<!\s)[ \t]*$", re.MULTILINE)


def loop_of(node: Node, tried: bytes) -> Node | None:
    """The loop around a try that leaves it once it went well."""
    if not LEAVES.search(tried):
        return None
    above = node.parent
    while above is not None and above.type not in FUNCTIONS:
        if above.type in LOOPS:
            return above
        if above.type in BLOCKS and above.parent is not None and above.parent.type == "call":
            return above.parent if ROUNDS.search(callee(above.parent)) else None
        above = above.parent
    return None


def kind_within(said: bytes, loop: Node | None, ruby: bool) -> str:
    """What a catch does with an error, where going round again, and counting how often, is no answer to it."""
    if ruby and AGAIN.search(said):
        if not ASKED.search(said):
            return "rethrow"  # until it works
        return catch_kind(COUNTED.sub(b"", AGAIN.sub(b"", said)))
    return catch_kind(COUNTED.sub(b"", said) if loop is not None else said)


def outcome(loop: Node, tried: bytes, caught: bytes, rest: Rest) -> str:
    """What becomes of the error of the last try, behind the loop that then has run out."""
    if ENDLESS.match(text_of(loop)[:WINDOW]) and not BREAKS.search(caught):
        return "rethrow"  # until it works
    kind = catch_kind(COUNTED.sub(b"", _behind(loop, rest)[:WINDOW]))
    if kind in ("signal", "accept") and not RETURNS.search(tried):
        return "log"  # what went well comes there as well
    return kind


def _behind(loop: Node, rest: Rest) -> bytes:
    """What a function says behind a loop that was left without an error: no catch around that loop is there."""
    said, since, node = b"", loop.end_byte, loop
    while node.parent is not None and node.parent.type not in FUNCTIONS:
        node = node.next_sibling or node.parent
        if node.start_byte > loop.end_byte + WINDOW:
            break
        if node.type in tables.CATCHES and node.start_byte >= since:
            said += rest.source[since : node.start_byte]
            since = node.end_byte
    return said + rest.source[since : rest.end]


def behind_of_go(behind: bytes) -> str:
    """What Go says behind a call that failed: an error, another answer, or that all went well."""
    kind = "rethrow" if HANDED_ON.search(behind) else catch_kind(COUNTED.sub(b"", behind))
    if kind in ("signal", "accept") and not TOLD.search(behind):
        return "log"
    return kind
