"""Whose class a resource is that is called by its name alone: `InvoiceItem.create` may make a row of one's own."""

from __future__ import annotations

import re

from tallystick.audit.corpus.lexical import Corpus
from tallystick.audit.program.program import Key, Program
from tallystick.audit.syntax.ir import Call

DATABASE = re.compile(
    r"(?i)(?:^|\.)(?:prisma\w*|db|tx|trx|database|knex|models?|repository|repo|entitymanager|orm)(?:\(\))?\."
)  # a table named like a provider's resource is a table
RESOURCE = re.compile(r"(?i)(?:invoice_?item|meter_?event|usage_?record)s?(?:_?service)?$")
STRIPE = re.compile(r"(?i)stripe")
SPOKEN = re.compile(rb"(?i)stripe")


def is_own(program: Program, corpus: Corpus, key: Key, call: Call) -> bool:
    """Whether a call by the name of a resource makes a row of the application's own."""
    receiver = call.callee.rpartition(".")[0].removesuffix("()")
    if not RESOURCE.search(receiver) or STRIPE.search(call.callee):
        return False
    if DATABASE.search(call.callee) or not corpus.says(SPOKEN):
        return True
    root, dot, _ = receiver.partition(".")
    taken = program.imports[key[0]].get(receiver)
    if taken is not None:
        return not STRIPE.search(f"{taken.source} {taken.name}") and not _hands_on(program, corpus, key, root)
    if not root[:1].isupper() or _is_stripes(corpus, key[0], root):
        return False
    if key[0].endswith(".php") and dot:  # `\App\Models\InvoiceItem::create`
        return True
    script = program.modules[key[0]].language in ("typescript", "tsx")  # where Stripe has no classes to call
    return script or (not dot and _is_class(corpus, root))


def _hands_on(program: Program, corpus: Corpus, key: Key, name: str) -> bool:
    """Whether a file of the tree exports a part of Stripe's client: `export const { meterEvents } = …`."""
    taken = program.imports[key[0]][name]
    target = program.resolver.resolve(key[0], taken.source)
    return (
        name[:1].islower() and target in corpus.sources and SPOKEN.search(corpus.sources[target]) is not None
    )


def _is_stripes(corpus: Corpus, path: str, name: str) -> bool:
    """Whether a file takes this class from Stripe's kit, as PHP's `use` does."""
    taken = rb"(?i)stripe[\w\\./:{}, \"']{0,120}[^\w]" + name.encode() + rb"\b"
    return re.search(taken, corpus.sources[path]) is not None


def _is_class(corpus: Corpus, name: str) -> bool:
    """Whether the tree has a class of this name."""
    return corpus.says(re.compile(rb"\bclass\s+" + re.escape(name).encode() + rb"\b"))
