"""The first look: bytes only, every file, no parsing."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path

from tallystick.audit.corpus.folding import folded
from tallystick.audit.corpus.unbuilt import unbuilt
from tallystick.audit.corpus.words import Words
from tallystick.audit.inventory.model import Limits
from tallystick.audit.inventory.reading import LeftOutError, UnreadableError, read
from tallystick.audit.model import Hop, Place
from tallystick.audit.models.knowledge import Knowledge
from tallystick.audit.syntax.grammars import grammar_of

TEST = re.compile(
    r"(?:^|/)(?:tests?|__tests__|__mocks__|spec|specs|e2e|cypress|playwright|testing|testdata|mocks?|stories|fixtures?)/"
    r"|\.(?:test|spec|stories|e2e)\.|-spec\.[cm]?[jt]sx?$|(?:^|/)test[_-][^/]*\.(?:py|[cm]?[jt]s)$|_test\.(?:py|go|rb)$|_spec\.rb$|Test\.(?:php|java)$|conftest\.py$"
)
ASIDE = re.compile(
    r"(?:^|/)(?:docs?|examples?|benchmarks?|storybook|_?archived?|deprecated|attic)/(?!.*route\.)|\.mdx?$|\.d\.ts$"
)
SPECIFIER = re.compile(rb"""(?:\bfrom|\bimport|\brequire\(|\bimport\()\s*["']([^"'\n]+)["']""")
PYTHON = re.compile(
    rb"^\s*(?:from\s+([\w.]+)\s+import\s+(\([^)]*\)|[^\n]*)|import\s+([\w., ]+))", re.MULTILINE
)
LOADED = re.compile(rb"""\bimport_module\(\s*["']([\w.]+)["']""")
MODIFIERS = rb"(?:(?:public|private|protected|static|async|override|abstract|def)\s{1,9}){0,4}"
LIMITS = Limits()
END = re.compile(rb"\n")
COMMENT = re.compile(rb"^\s*(?://|#|\*|/\*|--|<!--)")


class Lines:
    """A text by its lines, which count from 1, without a copy of it."""

    def __init__(self, text: bytes) -> None:
        """Find where each line starts."""
        self._text = text
        self._starts = array("I", [0, *(hit.end() for hit in END.finditer(text)), len(text) + 1])

    def said(self, first: int, last: int) -> bytes:
        """The lines from the first to the last."""
        before, end = max(0, first - 1), min(last, len(self._starts) - 1)
        return self._text[self._starts[before] : self._starts[end] - 1] if before < end else b""


class Corpus:
    """The bytes of the tree and what they say by themselves."""

    def __init__(self, root: Path, knowledge: Knowledge, include_tests: bool = False) -> None:
        """An empty corpus."""
        self.root = root
        self.knowledge = knowledge
        self.include_tests = include_tests
        self.sources: dict[str, bytes] = {}
        self.markup: dict[str, bytes] = {}  # pages whole, whose scripts are sources
        self.support: dict[str, bytes] = {}
        self.tests: set[str] = set()
        self.unread: list[tuple[str, str]] = []
        self.left_out: Counter[str] = Counter()
        self.taken = 0
        self.words = Words()
        self._lines: dict[str, Lines] = {}
        self._matching: dict[re.Pattern[bytes], list[str]] = {}
        self._said: dict[re.Pattern[bytes], bool] = {}

    def load(self, files: Sequence[str | Path], progress: Callable[[str, int, int], None]) -> None:
        """Read every file once."""
        for number, one in enumerate(files):
            path = self._relative(one)
            if number % 500 == 0:
                progress("reading", number, len(files))
            self._take(path)

    def _relative(self, one: str | Path) -> str:
        path = Path(one)
        return path.relative_to(self.root).as_posix() if path.is_absolute() else path.as_posix()

    def _take(self, path: str) -> None:
        if not self.include_tests and TEST.search(path):
            self.tests.add(path)
            self.left_out["test"] += 1
            return
        if self.taken > LIMITS.total_bytes:
            self.unread.append((path, f"beyond {LIMITS.total_bytes // 1024 // 1024} MB in all"))
            return
        try:
            data = read(self.root, path, LIMITS)
        except UnreadableError as problem:
            self.unread.append((path, str(problem)))
            return
        except LeftOutError as reason:
            self.left_out[str(reason)] += 1
            return
        self.taken += len(data)
        if grammar_of(path):
            self.sources[path] = _script(path, data)
            self.words.add(self.sources[path])
            if self.sources[path] is not data:
                self.markup[path] = data
        else:
            self.support[path] = data

    def text(self, path: str, first: int, last: int) -> bytes:
        """The lines of a source file from the first to the last, both counted from 1."""
        return self.lines(path).said(first, last)

    def lines(self, path: str) -> Lines:
        """The lines of a source file, found once."""
        if path not in self._lines:
            self._lines[path] = Lines(self.sources[path])
        return self._lines[path]

    def grep(self, pattern: re.Pattern[bytes], word: bytes = b"") -> list[str]:
        """Source files whose bytes match, of those that hold a word in whatever case; looked through once."""
        if pattern not in self._matching:
            likely = self.holding([word]) if word else self.sources
            asked = folded(pattern)
            self._matching[pattern] = [path for path in likely if asked.is_in(self.sources[path])]
        return self._matching[pattern]

    def says(self, pattern: re.Pattern[bytes]) -> bool:
        """Whether any text of the tree matches, program or not; looked through once."""
        if pattern not in self._said:
            texts = chain(self.sources.values(), self.support.values())
            self._said[pattern] = any(map(folded(pattern).is_in, texts))
        return self._said[pattern]

    @cached_property
    def front(self) -> dict[str, bytes]:
        """The sources that are not put aside, nor left out by the build."""
        without = unbuilt(self.support)
        return {
            path: data
            for path, data in self.sources.items()
            if not ASIDE.search(path) and not path.startswith(without)
        }

    def holding(self, words: Sequence[bytes]) -> list[str]:
        """Source files that hold one of the words, in whatever case."""
        needed = self.words.known(words)
        return [path for path, data in self.sources.items() if _holds(data.lower(), needed)] if needed else []

    def live_hits(
        self,
        pattern: re.Pattern[bytes],
        most: int = 50,
        needs: Sequence[bytes] = (),
        files: Mapping[str, bytes] | None = None,
    ) -> list[tuple[str, int, bytes]]:
        """Matches outside comment lines, with path and line, in files that hold one of the words in whatever case."""
        found: list[tuple[str, int, bytes]] = []
        words = self.words.known(needs) if files is None else [one.lower() for one in needs]
        if needs and not words:
            return found
        asked = folded(pattern)
        for path, data in (self.front if files is None else files).items():
            if words and not _holds(data.lower(), words):
                continue
            for hit in asked.pattern.finditer(asked.text(data)):
                start = data.rfind(b"\n", 0, hit.start()) + 1
                if COMMENT.match(data[start : hit.start() + 1]):
                    continue
                found.append((path, data.count(b"\n", 0, hit.start()) + 1, data[hit.start() : hit.end()]))
                break
            if len(found) >= most:
                break
        return found

    def signals(
        self, name: str, most: int = 50, also: Callable[[str], bool] | None = None
    ) -> tuple[Hop, ...]:
        """The signals of one kind in sources, and in the other files asked for; each with its first place in a file."""
        beside = {path: data for path, data in self.support.items() if also is not None and also(path)}
        return tuple(
            Hop(Place(path, line), note)
            for note, pattern, words in self.knowledge.signals(name)
            for files in (None, beside)
            for path, line, _ in self.live_hits(pattern, most, words, files)
        )

    def mentioned(self, name: str, outside: str, method: bool = False) -> bool:
        """Whether a name occurs elsewhere than in one file's own text, import and export lines aside.

        Of a method the definitions of others that are called the same say nothing either.
        """
        word = name.encode()
        defined = rb"(?!\s*" + MODIFIERS + re.escape(word) + rb"\??\()" if method else b""
        used = re.compile(
            rb"^(?!\s*(?:import\b|export \{|export \*|from\b|//|#|\*))"
            + defined
            + rb".*\b"
            + re.escape(word)
            + rb"\b",
            re.MULTILINE,
        )
        return any(
            path != outside and word in data and used.search(data) is not None
            for path, data in self.sources.items()
        )


def _holds(text: bytes, words: Sequence[bytes]) -> bool:
    return any(map(text.__contains__, words))


def _script(path: str, data: bytes) -> bytes:
    """The program text of a page: everything but its script blocks is blanked, offsets stay."""
    if not path.endswith((".vue", ".svelte", ".astro")):
        return data
    keep = bytearray(re.sub(rb"[^\n]", b" ", data))
    for block in re.finditer(rb"<script[^<>]*>(.*?)(?:</script>|\Z)|\A---\n(.*?)\n---", data, re.DOTALL):
        group = 1 if block.group(1) is not None else 2
        keep[block.start(group) : block.end(group)] = block.group(group)
    return bytes(keep)


def specifiers(path: str, data: bytes) -> list[str]:
    """What a file imports, by its bytes."""
    if path.endswith(".py"):
        found = []
        for hit in PYTHON.finditer(data):
            if hit.group(1) is not None:
                module = hit.group(1).decode()
                found.append(module)
                names = re.findall(rb"[\w]+", hit.group(2))
                found += [
                    f"{module}{'' if module.endswith('.') else '.'}{name.decode()}" for name in names[:40]
                ]
            else:
                found += [one.strip().split(" ")[0] for one in hit.group(3).decode().split(",")]
        return found + [one.decode() for one in LOADED.findall(data)]
    return [hit.decode("utf-8", "replace") for hit in SPECIFIER.findall(data)]
