"""The models of sinks, signals, work, flow and routes: data files, with the user's own rows after ours."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import msgspec

from tallystick.audit.syntax.searches import finite
from tallystick.errors import ConfigError

FILE_BYTES = 1024 * 1024
PATTERNS = frozenset(
    ["call", "callee", "decorator", "file", "name", "names", "near", "owner", "pattern", "text", "via"]
)
ENDLESS = re.compile(  # (a+)+ and (a|a)+ take twice the time for every letter more
    r"[*+}]\??\)*\)(?:[*+]|\{\d+,)|\|(?:\\.|[^()\\]){0,300}\)(?:[*+]|\{\d+,)"
)
Pattern = re.Pattern[str] | None
NAMES = ("sinks", "signals", "offers", "work", "flow", "routes")


class Sink(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of call that reports usage."""

    provider: str
    callee: str
    word: str
    quantity: tuple[str, ...] = ()
    customer: tuple[str, ...] = ()
    identifier: tuple[str, ...] = ()
    timestamp: tuple[str, ...] = ()
    text: str = ""
    near: str = ""
    kit: str = ""  # what the file has to import, where the callee alone could be anybody's
    legacy: bool = False
    durable: bool = False
    clock: bool = False  # a report where a schedule starts it, a purchase where a customer does
    own: bool = False  # to a service of the seller's own, which bills use where there is a price or the report says one
    arrears: bool = False  # a charge, which is for use where its amount is summed over rows of usage


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way in: by file and name, by the call a function is given to, or by decorator."""

    framework: str
    kind: str
    file: str = ""
    names: str = ""
    owner: str = ""
    via: str = ""
    decorator: str = ""
    languages: tuple[str, ...] = ()


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One word of who or how much: by the name of a value, or by the call that gives it."""

    kind: str
    name: str = ""
    call: str = ""
    languages: tuple[str, ...] = ()


class Work(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of call that is sold."""

    kind: str
    callee: str
    said: str = ""


class Signal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One pattern of bytes that speaks of prices; `word`s in lower case, of which a file has to hold one."""

    note: str
    pattern: str
    word: str = ""


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words of one kind, by which prices of use are told."""

    kind: Literal["unit", "held", "link", "price", "aside", "supplier", "prepaid"]
    words: str


SIGNALS = ("metered", "counted", "payment", "paid", "flat", "prepaid", "sold", "denied")
ROWS: dict[str, Any] = {
    "shared": dict[str, str],
    "sink": Sink, "route": Route, "label": Label, "work": Work,
    **dict.fromkeys(SIGNALS, Signal),
    "word": Words,
}  # fmt: skip


class Knowledge:
    """All models, with compiled patterns."""

    def __init__(self, extra: Sequence[Path] = ()) -> None:
        """Read ours, then the user's."""
        tables = [tomllib.loads(text) for text in self._own()]
        tables += [_parsed(path) for path in extra]
        self.tables = tables
        self._called: dict[str, tuple[tuple[Sink, Pattern, Pattern, Pattern], ...]] = {}

    @staticmethod
    def _own() -> list[str]:
        folder = files("tallystick.audit") / "models"
        return [(folder / f"{name}.toml").read_text("utf-8") for name in NAMES]

    def rows(self, name: str) -> list[dict[str, Any]]:
        """All rows of one table of arrays."""
        return [row for table in self.tables for row in table.get(name, [])]

    def setting(self, table: str, key: str) -> re.Pattern[str]:
        """One single pattern."""
        found = next(one[table][key] for one in self.tables if table in one and key in one[table])
        return compiled(found)

    def called(self, callee: str) -> tuple[tuple[Sink, Pattern, Pattern, Pattern], ...]:
        """The sinks that a call of this name may be, with their text, nearness and kit patterns."""
        if callee not in self._called:  # a tree has far more calls than names of calls
            fitting = [one for one in self.sinks if one[1].search(callee)]
            self._called[callee] = tuple((row, text, near, kit) for row, _, text, near, kit in fitting)
        return self._called[callee]

    @cached_property
    def sinks(self) -> tuple[tuple[Sink, re.Pattern[str], Pattern, Pattern, Pattern], ...]:
        """The sinks with their callee, text, nearness and kit patterns."""
        rows = [msgspec.convert(row, Sink) for row in self.rows("sink")]
        return tuple(
            (
                row,
                compiled(self.spelled(row.callee)),
                compiled(row.text) if row.text else None,
                compiled(self.spelled(row.near)) if row.near else None,
                compiled(row.kit) if row.kit else None,
            )
            for row in rows
        )

    def spelled(self, pattern: str) -> str:
        """A pattern, or the shared one that `@name` stands for."""
        if not pattern.startswith("@"):
            return pattern
        shared = {name: text for table in self.tables for name, text in table.get("shared", {}).items()}
        if pattern[1:] not in shared:
            known = ", ".join(f"@{name}" for name in sorted(shared))
            raise ConfigError(f"model pattern {pattern!r} is not shared; the choices are: {known}")
        return str(shared[pattern[1:]])

    @cached_property
    def routes(self) -> tuple[Route, ...]:
        """The ways in."""
        return tuple(msgspec.convert(row, Route) for row in self.rows("route"))

    def work(self, said: Sequence[str]) -> re.Pattern[str]:
        """The sellable work in one pattern, given the words of the reports."""
        rows = self.rows("work")
        return _any_of([one for one in rows if any(map(compiled(one.get("said", "")).search, said))])

    @cached_property
    def labels(self) -> tuple[tuple[Label, Pattern, Pattern], ...]:
        """The labels with the pattern for names and for calls."""
        rows = [msgspec.convert(row, Label) for row in self.rows("label")]
        return tuple(
            (row, compiled(row.name) if row.name else None, compiled(row.call) if row.call else None)
            for row in rows
        )

    def words(self, kind: str) -> frozenset[str]:
        """The words of one kind by which prices of use are told."""
        return frozenset(
            word for row in self.rows("word") if row["kind"] == kind for word in row["words"].split()
        )

    def signals(self, name: str) -> tuple[tuple[str, re.Pattern[bytes], tuple[bytes, ...]], ...]:
        """Byte patterns of one kind of signal, with the words that spare a file the search."""
        rows = [msgspec.convert(row, Signal) for row in self.rows(name)]
        return tuple(
            (
                row.note,
                finite(row.pattern.encode(), re.MULTILINE),
                tuple(word.encode() for word in row.word.split("|") if word),
            )
            for row in rows
        )


def _any_of(rows: list[dict[str, Any]]) -> re.Pattern[str]:
    return compiled("|".join(f"(?:{_unflagged(row['callee'])})" for row in rows), re.IGNORECASE)


def _unflagged(pattern: str) -> str:
    return pattern.removeprefix("(?i)")


def compiled(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """A pattern of a model; a leading or inner `(?i)` holds for all of it."""
    if "(?i)" in pattern:
        pattern, flags = pattern.replace("(?i)", ""), flags | re.IGNORECASE
    try:
        return finite(pattern, flags)
    except re.error as problem:
        raise ConfigError(f"model pattern {pattern!r}: {problem}") from problem


def _parsed(path: Path) -> dict[str, Any]:
    """One model file of the user's, with every row looked at: it may come with the audited tree."""
    try:
        if not path.is_file() or path.stat().st_size > FILE_BYTES:
            raise ConfigError(f"{path}: is no model file of at most 1 MB; look at models.files")
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as problem:
        raise ConfigError(f"{path}: cannot be read ({problem.strerror}); look at models.files") from problem
    except (ValueError, RecursionError) as problem:
        raise ConfigError(f"{path}: is no model file ({problem})") from problem
    for name, rows in table.items():
        for row in rows if isinstance(rows, list) else [rows]:
            _sound(f"{path}: {name}", name, row)
    return table


def _sound(where: str, name: str, row: Any) -> None:
    """Refuse a row the engine could not use, and a pattern that could keep it busy for ever."""
    try:
        shape = ROWS[name]
        msgspec.convert(row, shape)
    except KeyError:
        raise ConfigError(
            f"{where}: there is no such table; the choices are: {', '.join(sorted(ROWS))}"
        ) from None
    except msgspec.ValidationError as problem:
        raise ConfigError(f"{where}: {problem}") from problem
    for key, value in row.items():
        if (key in PATTERNS or name == "shared") and isinstance(value, str):
            compiled(value)
            if ENDLESS.search(value):
                raise ConfigError(
                    f"{where}: {key} = {value!r} repeats what repeats, or a choice; one of the two is enough"
                )
