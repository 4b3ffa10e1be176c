"""What a function says below a place: names said again, conditions that ask for them. A file is looked through once."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise

from tree_sitter import Node

from tallystick.audit.syntax.expressions import text_of
from tallystick.audit.syntax.searches import finite

PLAIN = re.compile(rb"\w+")
ASKED = finite(  # behind a name
    rb"\.(?:forEach|filter|map|some|every|find\w*|reduce)\("
    rb"|[\w.?\[\]]{0,200}\s*(?:\?[^.:]|&&|\|\||[=!]==?|[<>])"
)
JOINED = re.compile(rb"\bJoin\(\Z")
BLANKS = 200  # between `!` and a name
SPOTS = {
    "asking": rb"\b(?:if|elif|while|switch|assert\w*|invariant\w*|return|throw|raise|yield|await|in|of)\b",
    "break": rb"[\n;]",
    "if": rb"\bif\b",
    "line": rb"\n",
    "raising": rb"\b(?:throw|raise)\b|AggregateError\(",
    "return": rb"\breturn\b",
    "text": rb"(?m)^[^\S\n]*\S",
    "thrown": rb"\b(?:throw|raise)\b",
}
WORD = re.compile(r"(?<![\w.$])[\w$]+")
RUBY_ASKED = finite(r"(?P<not>!|not )?\s*(?P<name>\w+)(?P<test>\.(?:nil|blank|present)\?)?$")
RUBY_CHECKS = {"if": False, "if_modifier": False, "unless": True, "unless_modifier": True}
Span = tuple[int, int]


class Spots:
    """Where a pattern ends in a text, in order."""

    def __init__(self, pattern: bytes, text: bytes) -> None:
        """Find every place."""
        self.places = array("I", (hit.end() - 1 for hit in re.finditer(pattern, text)))
        self.end = len(text)

    def last(self, before: int) -> int:
        """The nearest before a place, or -1."""
        number = bisect_left(self.places, before)
        return self.places[number - 1] if number else -1

    def first(self, since: int) -> int:
        """The nearest from a place on, or the end of the text."""
        number = bisect_left(self.places, since)
        return self.places[number] if number < len(self.places) else self.end


class Rest:
    """The rest of a function, from any place of it on."""

    def __init__(self, source: bytes) -> None:
        """Nothing is looked for yet."""
        self.source = source
        self.end = len(source)  # of the function that is walked
        self._spans: dict[tuple[str, bytes], list[Span]] = {}
        self._spots: dict[str, Spots] = {}
        self._checks: dict[int, dict[str, list[tuple[int, Node]]]] = {}
        self._next: dict[int, Node] = {}

    def line(self, at: int) -> str:
        """The text from a place to the end of its line."""
        return self.source[at : self._spots_of("line").first(at)].decode("utf-8", "replace")

    def says(self, name: bytes) -> bool:
        """Whether the file has this name at all."""
        return name in self._words

    def is_heeded(self, node: Node, names: Iterable[str]) -> bool:
        """Whether an answer kept under these names is asked for below, or handed on."""
        return any(self._is_below(node, "asked", name.encode()) for name in names)

    def is_forgotten(self, node: Node, names: Sequence[str]) -> bool:
        """Whether an answer is kept under plain names that are not said below."""
        plain = bool(names) and not any("." in name for name in names)
        return plain and not any(self._is_below(node, "said", name.encode()) for name in names)

    def is_raised(self, node: Node, names: Iterable[bytes], returned: bool) -> bool:
        """Whether what was noted under these names is raised below, or a reason to raise; or returned, where asked."""
        return any(self._is_below(node, "returned" if returned else "raised", name) for name in names)

    def _is_below(self, node: Node, use: str, name: bytes) -> bool:
        spans = self._uses(use, name)
        for number in range(bisect_left(spans, (node.end_byte, 0)), len(spans)):
            if spans[number][0] >= self.end:
                return False
            if spans[number][1] <= self.end:
                return True
        return False

    def _uses(self, use: str, name: bytes) -> list[Span]:
        """From where to where a file uses a name so."""
        if (use, name) not in self._spans:
            spans = {"asked": self._asked, "raised": self._raised, "returned": self._returned}.get(
                use, self._said
            )
            self._spans[use, name] = sorted(
                one for at in self._places(name) for one in spans(at, at + len(name))
            )
        return self._spans[use, name]

    def _places(self, name: bytes) -> Iterable[int]:
        if PLAIN.fullmatch(name):
            return self._words.get(name, ())
        spelled = re.compile(rb"(?<!\w)" + re.escape(name) + rb"(?!\w)")
        return (hit.start() for hit in spelled.finditer(self.source))

    @cached_property
    def _words(self) -> dict[bytes, array[int]]:
        found: dict[bytes, array[int]] = {}
        for hit in PLAIN.finditer(self.source):
            found.setdefault(hit[0], array("I")).append(hit.start())
        return found

    def _spots_of(self, kind: str) -> Spots:
        if kind not in self._spots:
            self._spots[kind] = Spots(SPOTS[kind], self.source)
        return self._spots[kind]

    def _before(self, kind: str, at: int, within: str = "line") -> Iterator[int]:
        """The nearest of a kind before a place, on its line or in its statement."""
        found = self._spots_of(kind).last(at)
        if found > self._spots_of(within).last(at):
            yield found

    def _said(self, at: int, end: int) -> Iterator[Span]:
        yield at, end

    def _asked(self, at: int, end: int) -> Iterator[Span]:
        """`if (… name`, `name.map(`, `!name`, `name.field ===`; `row.name` is another one's."""
        if self.source[max(0, at - 1) : at] == b".":
            return
        yield from ((found, end) for found in self._before("asking", at, "break"))
        behind = ASKED.match(self.source, end)
        if behind is not None:
            yield at, behind.end()
        before = self.source[max(0, at - BLANKS) : at]
        if before.rstrip().endswith(b"!"):
            yield at - len(before) + len(before.rstrip()) - 1, end

    def _raised(self, at: int, end: int) -> Iterator[Span]:
        """`throw name`, `new AggregateError(name)`, `Join(name`; `if (name) throw`, there or on the next line."""
        yield from ((found, end) for found in self._before("raising", at))
        if JOINED.search(self.source, max(0, at - len("xJoin(")), at):
            yield at - len("Join("), end
        for found in self._before("if", at):
            thrown, line = self._spots_of("thrown").first(end), self._spots_of("line")
            below = self._spots_of("text").first(line.first(end))
            if thrown < line.first(below):
                yield found, thrown + 1

    def _returned(self, at: int, end: int) -> Iterator[Span]:
        yield from ((found, end) for found in self._before("return", at))
        yield from self._raised(at, end)

    def check(self, statement: Node, names: Iterable[str]) -> Node | None:
        """The first condition beside a statement, and below it, that speaks of one of these names."""
        table = self._beside(statement)
        found = []
        for given in (table.get(name, []) for name in names):
            found += given[(at := bisect_left(given, (statement.end_byte,))) : at + 1]
        return min(found, key=lambda one: one[0])[1] if found else None

    def following(self, node: Node) -> Node | None:
        """What stands behind a node, remarks aside."""
        self._beside(node)
        return self._next.get(node.id)

    def _beside(self, node: Node) -> dict[str, list[tuple[int, Node]]]:
        """The conditions of a block by the words they speak of; gathered for all that stand in it."""
        if node.id not in self._checks:
            children = node.parent.named_children if node.parent is not None else []
            table: dict[str, list[tuple[int, Node]]] = {}
            for one in children:
                self._checks[one.id] = table
                for word in dict.fromkeys(_words_of(one)):
                    table.setdefault(word, []).append((one.start_byte, one))
            self._next |= {one.id: after for one, after in pairwise(children)}
        return self._checks.get(node.id, {})


def condition(check: Node) -> str:
    """What an `if` asks."""
    return text_of(check.child_by_field_name("condition"))


def _words_of(node: Node) -> list[str]:
    if node.type == "if_statement":
        return WORD.findall(condition(node))
    hit = RUBY_ASKED.match(condition(node)) if node.type in RUBY_CHECKS else None
    return [hit["name"]] if hit is not None else []
