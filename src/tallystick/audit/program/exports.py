"""What files give away: the functions behind imported names, through the files that hand them on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallystick.audit.program.injected import wrapped
from tallystick.audit.syntax.ir import Import

if TYPE_CHECKING:
    from tallystick.audit.program.program import Key, Program

REEXPORTS = 40  # files that hand a function on to each other


class Exports:
    """The functions that the files of a program export."""

    def __init__(self, program: Program) -> None:
        """Nothing is looked for yet."""
        self.program = program
        self.found: dict[tuple[str, str, str], list[Key]] = {}

    def through(self, path: str, found: Import, rest: list[str]) -> list[Key]:
        """What an import, or a member of it, means."""
        source, name = found.source, found.name
        if path.endswith(".py"):
            joined = f"{source}{'' if source.endswith('.') else '.'}{name}"
            whole = self.program.resolver.resolve(path, joined if name != "*" else source)
            if whole in self.program.modules:
                return self.inside(whole, rest[0] if rest else "", rest[1:])
        target = self.program.resolver.resolve(path, source)
        if target not in self.program.modules:
            return []
        if name == "*":
            return self.inside(target, rest[0] if rest else "default", rest[1:])
        return self.inside(target, name, rest)

    def whole(self, path: str, name: str) -> list[Key]:
        """The functions of a module that is imported as a whole under this name."""
        found = self.program.imports[path].get(name)
        target = (
            self.program.resolver.resolve(path, found.source)
            if found is not None and found.name == "*"
            else ""
        )
        functions = self.program.modules[target].functions if target in self.program.modules else ()
        return [(target, index) for index, one in enumerate(functions) if one.exported and one.name]

    def required(self, path: str, specifier: str) -> list[Key]:
        """The function that a file exports as a whole."""
        target = self.program.resolver.resolve(path, specifier)
        return self.inside(target, "default", []) if target in self.program.modules else []

    def inside(self, path: str, name: str, rest: list[str], depth: int = 0) -> list[Key]:
        """The function `name` (or its member `rest`) as exported by a module, through re-exports; memoised."""
        asked = (path, name, ".".join(rest))
        if asked not in self.found:
            self.found[asked] = []  # a module that re-exports itself in a circle finds nothing there
            self.found[asked] = self._exported(path, name, rest, depth)
        return self.found[asked]

    def _exported(self, path: str, name: str, rest: list[str], depth: int) -> list[Key]:
        module = self.program.modules[path]
        names = self.program.local[path]
        if rest and rest[-1] in names:
            return [(path, names[rest[-1]][0])]
        if name in names:
            return [(path, names[name][0])]
        if depth > REEXPORTS:
            return []
        made = wrapped(self.program, path, name) if not rest else []
        if made:
            return made
        if name == "default":
            alias = next(
                (one.name for one in module.reexports if one.local == "default" and not one.source), ""
            )
            if alias in names or not alias:
                return [(path, names[alias][0])] if alias else []
            name = alias
        for one in module.reexports:
            if one.local in (name, "*"):
                target = self.program.resolver.resolve(path, one.source) if one.source else path
                if target in self.program.modules and (target != path or one.name != name):
                    found = self.inside(target, name if one.local == "*" else one.name, rest, depth + 1)
                    if found:
                        return found
        taken = self.program.imports[path].get(name)
        if taken is not None:
            below = (
                self.program.resolver.resolve(path, f"{taken.source.rstrip('.')}.{taken.name}")
                if path.endswith(".py")
                else ""
            )
            if (
                below in self.program.modules and below != path and rest
            ):  # `from . import usage`: a module of the package
                return self.inside(below, rest[0], rest[1:], depth + 1)
            target = self.program.resolver.resolve(path, taken.source)
            if target in self.program.modules and target != path:
                return self.inside(target, taken.name if taken.name != "*" else "default", rest, depth + 1)
        return []
