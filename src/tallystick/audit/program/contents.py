"""What functions hold: values by name, and the functions that stand in them; each is gathered once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from tallystick.audit.syntax.ir import Expr, Module

Key = tuple[str, int]
Values = dict[str, list[Expr]]
FIELDS = ("self.", "this.")


class Contents:
    """The contents of functions, looked up by many."""

    def __init__(self, modules: Mapping[str, Module]) -> None:
        """Nothing is gathered yet."""
        self.modules = modules
        self.given, self.members, self.fields = cache(self._given), cache(self._members), cache(self._fields)
        self._nested = cache(self._by_parent)

    def inside(self, key: Key) -> list[Key]:
        """The functions that stand directly in a function, which is not the top of its file."""
        return self._nested(key[0]).get(key[1], []) if key[1] > 0 else []

    def below(self, key: Key) -> list[Key]:
        """The functions that stand in a function, however deep."""
        found = self.inside(key)
        return [*found, *(further for one in found for further in self.below(one))]

    def _by_parent(self, path: str) -> dict[int, list[Key]]:
        found: dict[int, list[Key]] = {}
        for index, function in enumerate(self.modules[path].functions):
            found.setdefault(function.parent, []).append((path, index))
        return found

    def _given(self, key: Key) -> Values:
        """What a function gives to each of its names, in order."""
        return _grouped(self.modules[key[0]].functions[key[1]].assigns)

    def _members(self, key: Key) -> Values:
        """The same by the last step of each name."""
        given = self.modules[key[0]].functions[key[1]].assigns
        return _grouped((name.rpartition(".")[2], value) for name, value in given)

    def _fields(self, path: str) -> Values:
        """What any function of a file gives to fields: `self.meter`, `this.meter`."""
        given = (pair for function in self.modules[path].functions for pair in function.assigns)
        return _grouped(pair for pair in given if pair[0].startswith(FIELDS))


def _grouped(pairs: Iterable[tuple[str, Expr]]) -> Values:
    found: Values = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found
