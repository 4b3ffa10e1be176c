"""Which file gives an exported name what it stands for, through all that only hand it on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tallystick.audit.program.program import Program

MOST = 300  # files that are asked for one name
Place = tuple[str, str]  # a file, and a name there


class Givers:
    """Lookup of the places where names get what one asks for: a value, a class."""

    def __init__(self, program: Program, gives: Callable[[str, str], bool]) -> None:
        """Nothing is looked for yet."""
        self.program = program
        self.gives = gives
        self.found: dict[Place, Place | None] = {}

    def of(self, path: str, name: str) -> Place | None:
        """The file that gives a name it exports, and the name there; looked for once."""
        asked = (path, name)
        if asked not in self.found:
            self.found[asked] = self._search(asked)
        return self.found[asked]

    def _search(self, asked: Place) -> Place | None:
        seen, waiting = {asked}, [asked]
        while waiting and len(seen) <= MOST:
            at = waiting.pop()
            if at[0] in self.program.modules:
                if self.gives(*at):
                    return at
                below = [one for one in self._handed_on(*at) if one not in seen]
                seen.update(below)
                waiting += reversed(below)
        return None

    def _handed_on(self, path: str, name: str) -> Iterator[Place]:
        for one in self.program.modules[path].reexports:
            if one.local in (name, "*") and (one.source or one.name != name):
                target = self.program.resolver.resolve(path, one.source) if one.source else path
                yield target, name if one.local == "*" else one.name
        taken = self.program.imports[path].get(name)
        if taken is not None and taken.name != "*":
            yield self.program.resolver.resolve(path, taken.source), taken.name
