"""An independent model of the ledger: plain lists and dictionaries, no SQL, no code of the ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Line:
    """One usage that counts: steps of the meter, instant in microseconds since 1970 UTC."""

    customer: str
    meter: str
    steps: int
    at: int
    key: str | None = None
    attributes: str = ""


@dataclass
class Verdict:
    """What the model expects a record to answer."""

    standing: Line
    repeated: bool = False
    conflicting: bool = False


@dataclass
class Book:
    """Everything that was acknowledged, and what it must add up to."""

    lines: list[Line] = field(default_factory=list)
    keys: dict[tuple[str, str, str], Line] = field(default_factory=dict)
    open: dict[str, tuple[str, str]] = field(default_factory=dict)  # hold -> customer, meter
    resolved: dict[str, str] = field(default_factory=dict)  # hold -> settled, voided, expired
    conflicts: int = 0
    late: int = 0

    def record(self, line: Line) -> Verdict:
        """A usage arrives: the first one of a key counts, all others are repeats."""
        if line.key is not None:
            place = (line.customer, line.meter, line.key)
            first = self.keys.setdefault(place, line)
            if first is not line:
                differs = (first.steps, first.attributes) != (line.steps, line.attributes)
                self.conflicts += differs
                return Verdict(first, repeated=True, conflicting=differs)
        self.lines.append(line)
        return Verdict(line)

    def hold(self, name: str, customer: str, meter: str) -> None:
        """An action begins."""
        self.open[name] = (customer, meter)

    def resolve(self, name: str, outcome: str, lines: Iterable[Line] = ()) -> list[Verdict] | None:
        """An action ends; None when a person ended it before, and then nothing of it counts.

        After an expiry, which billed nothing here, all of it counts.
        """
        if name in self.resolved:
            late = list(lines)
            self.late += bool(late)
            return [self.record(line) for line in late] if self.resolved[name] == "expired" else None
        del self.open[name]
        self.resolved[name] = outcome
        return [self.record(line) for line in lines]

    def usage(
        self, customer: str, meter: str, since: int, until: int, bucket: Callable[[Line], object]
    ) -> dict[object, tuple[int, int]]:
        """(steps, lines) of [since, until) by what `bucket` says."""
        found: dict[object, tuple[int, int]] = {}
        for line in self.lines:
            if (line.customer, line.meter) == (customer, meter) and since <= line.at < until:
                steps, count = found.get(bucket(line), (0, 0))
                found[bucket(line)] = (steps + line.steps, count + 1)
        return found

    def totals(self) -> dict[tuple[str, str], tuple[int, int]]:
        """(lines, steps) of every customer and meter that has any."""
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for line in self.lines:
            count, steps = found.get((line.customer, line.meter), (0, 0))
            found[line.customer, line.meter] = (count + 1, steps + line.steps)
        return found


def group_of(line: Line, attribute: str) -> str | None:
    """The value that a line has for an attribute, as text."""
    value = json.loads(line.attributes).get(attribute) if line.attributes else None
    return None if value is None else str(value)
