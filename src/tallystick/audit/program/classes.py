"""The classes of a program: which one a name means, what it inherits, and which others do the same in another way."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING

from tallystick.audit.program.givers import Givers
from tallystick.audit.syntax.ir import Function

if TYPE_CHECKING:
    from tallystick.audit.program.program import Key, Program

Class = tuple[str, str]  # the file, and the name there
DEEPEST = 8  # bases above bases
HEIRS = 12  # of a base that more have, nothing is told by it
ABSTRACT = frozenset(["Protocol", "ABC", "ABCMeta"])
SHARING = (".ts", ".tsx", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".vue", ".svelte", ".py")


class Classes:
    """Lookup of classes by the names that files have for them."""

    def __init__(self, program: Program) -> None:
        """Gather what every file declares."""
        self.program = program
        self.givers = Givers(program, lambda path, name: self._is((path, name)))
        self.methods: dict[Class, dict[str, Key]] = defaultdict(dict)
        self.declared: dict[Class, tuple[str, ...]] = {}
        for path, module in program.modules.items():
            if not path.endswith(SHARING):
                continue  # other languages find a class by its name alone
            for name, above in module.classes:
                self.declared[path, name] = above
            for index, function in enumerate(module.functions):
                if function.owner and function.name and function.parent <= 0:
                    self.methods[path, function.owner].setdefault(function.name, (path, index))

    @cached_property
    def bases(self) -> dict[Class, list[Class]]:
        """What each class extends and implements, of this program."""
        return {
            one: [base for name in above if (base := self.named(one[0], name)) is not None and base != one]
            for one, above in self.declared.items()
            if above
        }

    @cached_property
    def heirs(self) -> dict[Class, list[Class]]:
        """The classes right below each."""
        found: dict[Class, list[Class]] = defaultdict(list)
        for one, bases in self.bases.items():
            for base in bases:
                found[base].append(one)
        return found

    def named(self, path: str, text: str) -> Class | None:
        """The class that a dotted name means in a file: its own, or an imported one under whatever name."""
        head, _, rest = text.partition(".")
        if not rest and self._is((path, head)):
            return path, head
        taken = self.program.imports.get(path, {}).get(head)
        if taken is None:
            return None
        if taken.name == "*":
            target = self.program.resolver.resolve(path, taken.source)
            return self.givers.of(target, rest) if rest and "." not in rest else None
        if path.endswith(".py") and rest:  # `from . import billing`: a module of the package
            joined = f"{taken.source}{'' if taken.source.endswith('.') else '.'}{taken.name}"
            return self.givers.of(self.program.resolver.resolve(path, joined), rest)
        target = self.program.resolver.resolve(path, taken.source)
        return None if rest else self.givers.of(target, taken.name)

    def _is(self, one: Class) -> bool:
        return one in self.declared or one in self.methods

    def around(self, key: Key) -> Class | None:
        """The class that a function, or what it stands in, is a method of."""
        functions = self.program.modules[key[0]].functions
        at = key[1]
        while at > 0:
            if functions[at].owner:
                return key[0], functions[at].owner
            at = functions[at].parent
        return None

    def method(self, one: Class, name: str, depth: int = 0) -> Key | None:
        """The method of a class, its own or inherited."""
        own = self.methods.get(one, {}).get(name)
        return own if own is not None else self.inherited(one, name, depth)

    def inherited(self, one: Class, name: str, depth: int = 0) -> Key | None:
        """The method that a class has from what it extends."""
        for base in self.bases.get(one, ()) if depth < DEEPEST else ():
            found = self.method(base, name, depth + 1)
            if found is not None:
                return found
        return None

    def meant(self, one: Class, name: str) -> list[Key]:
        """The methods that a call on one of a class may run: its own or inherited, and those of the classes below."""
        own = self.method(one, name)
        found = [own] if own is not None and not does_nothing(self.program.function(own)) else []
        fringe, seen = [one], {one}
        while fringe and len(seen) <= HEIRS:
            below = {heir for each in fringe for heir in self.heirs.get(each, ())} - seen
            found += [key for heir in sorted(below) if (key := self.methods.get(heir, {}).get(name))]
            seen |= below
            fringe = sorted(below)
        if len(seen) > HEIRS:
            found = found[:1]
        return found or ([own] if own is not None and not self.is_shared(one) else [])

    def is_shared(self, one: Class) -> bool:
        """Whether others are one of a class, and do what it declares."""
        above = {name.rpartition(".")[2] for name in self.declared.get(one, ())}
        return bool(above & ABSTRACT) or one in self.heirs


def does_nothing(function: Function) -> bool:
    """Whether a method only declares what others do: `raise NotImplementedError`, `...`."""
    raised = all(one.callee.rpartition(".")[2].endswith(("Error", "Exception")) for one in function.calls)
    return raised and not function.assigns and not function.returns
