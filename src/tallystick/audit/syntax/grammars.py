"""Parsers by file ending, made on first use."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from tree_sitter import Language, Parser

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


def grammar_of(path: str) -> str:
    """The grammar for a file, or an empty text."""
    return ENDINGS.get(path.rpartition(".")[2].lower(), "")


@cache
def parser(grammar: str) -> Parser:
    """The parser of one grammar."""
    module, function = SOURCES[grammar]
    return Parser(Language(getattr(import_module(module), function)()))
