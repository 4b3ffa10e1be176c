"""Parsers by file ending, made on first use."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module

from tree_sitter import Language, Parser, Tree

ENDINGS = {
    **dict.fromkeys(("ts", "mts", "cts"), "typescript"),
    **dict.fromkeys(("tsx", "js", "jsx", "mjs", "cjs", "vue", "svelte", "astro"), "tsx"),
    "py": "python",
    "go": "go",
    **dict.fromkeys(("rb", "rake"), "ruby"),
    "php": "php",
    "java": "java",
}
SOURCES = {
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "python": ("tree_sitter_python", "language"),
    "go": ("tree_sitter_go", "language"),
    "ruby": ("tree_sitter_ruby", "language"),
    "php": ("tree_sitter_php", "language_php"),
    "java": ("tree_sitter_java", "language"),
}
TAGGED = re.compile(rb"(\w)(<[\w\s\[\]{}:;,|?]{1,200}>)(`)")
TYPED = re.compile(  # `await tasks.trigger<typeof bill>(…)`: the parser takes the await for a part of what is called
    rb"(\b(?:await|void)\s+[\w$.?!]*[\w$])(<(?:(?!&&|\|\|)[^()]){1,300}?>)(?=\()"
)
OWN = re.compile(rb"(?<=[\s.])#(?=[A-Za-z_$][\w$]*(?:\s*[(=;:<!?]|\.|\s*$))", re.MULTILINE)  # `this.#client`
CHUNK = 64 * 1024
READS, STEPS = 1_000, 2_000  # a program of a megabyte takes some 50 reads and a step for every 40 bytes


class CostlyError(Exception):
    """The text costs the parser more than any program does: lost coverage."""


def grammar_of(path: str) -> str:
    """The grammar for a file, or an empty text."""
    return ENDINGS.get(path.rpartition(".")[2].lower(), "")


@cache
def parser(grammar: str) -> Parser:
    """The parser of one grammar."""
    module, function = SOURCES[grammar]
    return Parser(Language(getattr(import_module(module), function)()))


def parsable(grammar: str, source: bytes) -> bytes:
    """The text without types where they mislead the parser, and the mark of a class's own names; offsets stay."""
    source = TAGGED.sub(lambda hit: hit[1] + b" " * len(hit[2]) + hit[3], source)
    if grammar not in ("typescript", "tsx"):
        return source
    source = TYPED.sub(lambda hit: hit[1] + re.sub(rb"[^\n]", b" ", hit[2]), source)
    return OWN.sub(b"_", source)


def parsed(grammar: str, source: bytes) -> Tree:
    """The tree of one file, in a bounded number of steps: what never closes is looked through once per byte."""
    reader = parser(grammar)
    reads = steps = 0

    def read(offset: int, _: object) -> bytes:
        nonlocal reads
        reads += 1
        return source[offset : offset + CHUNK]

    def stop(_offset: int, _broken: bool) -> bool:
        nonlocal steps
        steps += 1
        return reads > READS or steps > STEPS + len(source) // 12

    try:
        tree = reader.parse(read, progress_callback=stop)
    except ValueError as problem:
        reader.reset()
        raise CostlyError("costs the parser more than any program does") from problem
    return reader.parse(source, tree)  # the same tree, and its nodes know their text
