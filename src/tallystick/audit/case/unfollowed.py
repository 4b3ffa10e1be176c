"""Reporters that other code may well call, in a way that was not followed: no proof that nothing does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallystick.audit.corpus.lexical import ASIDE
from tallystick.audit.program.classes import SHARING
from tallystick.audit.program.program import COMMON, Key

if TYPE_CHECKING:
    from tallystick.audit.case.case import Case


def unfollowed(case: Case, key: Key) -> bool:
    """Whether other code names a function; of a class that nobody makes or names, no method is called."""
    owner = case.program.function(key).owner
    if len(owner) > 3 and owner != "default" and key[0].endswith(SHARING) and not _is_made(case, key):
        return False
    return case.named_elsewhere(key)


def _is_made(case: Case, key: Key) -> bool:
    one = (key[0], case.program.function(key).owner)
    classes = case.program.classes
    made = any(classes.around(at) != one for at, _ in case.program.instances.constructions.get(one, ()))
    return made or bool(classes.heirs.get(one)) or case.corpus.mentioned(one[1], one[0])


def called_openly(case: Case, key: Key) -> bool:
    """Whether what reports is made, and a method of its name is called on something that is not known."""
    name, owner = case.program.function(key).name, case.program.function(key).owner
    unmade = key[0].endswith(SHARING) and not _is_made(
        case, key
    )  # elsewhere interfaces are all that is known
    if name in COMMON or not owner or unmade:
        return False
    return any(
        call.callee.rpartition(".")[2] == name and not case.program.targets((path, index), call.callee)
        for path, module in case.program.modules.items()
        if not ASIDE.search(path)
        for index, function in enumerate(module.functions)
        for call in function.calls
    )
