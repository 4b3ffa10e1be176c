"""Reporters that other code may well call, in a way that was not followed: no proof that nothing does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tallystick.audit.program.classes import SHARING
from tallystick.audit.program.program import Key
from tallystick.audit.syntax.ir import Expr

if TYPE_CHECKING:
    from tallystick.audit.case.case import Case
    from tallystick.audit.trails.trails import Trail

BELOW = 4  # tables within tables


def unfollowed(case: Case, trail: Trail) -> bool:
    """Whether other code names what a way starts with, and each member of an object on it."""
    key = trail.top
    owner = case.program.function(key).owner
    if len(owner) > 3 and owner != "default" and key[0].endswith(SHARING) and not _is_made(case, key):
        return False  # of a class that nobody makes or names, no method is called
    members = [one for one, _ in trail.hops if one != key and _is_member(case, one)]
    named = all(case.named_elsewhere(one) for one in (key, *members))
    return named and not _shelved_for_nobody(case, key)


def _is_member(case: Case, key: Key) -> bool:
    function = case.program.function(key)
    return function.parent > 0 and function.via < 0 and bool(function.name)


def _shelved_for_nobody(case: Case, key: Key) -> bool:
    """Whether a function is only kept in a table that nothing takes anything from."""
    name, text = case.program.function(key).name, case.corpus.sources[key[0]]
    if not name or case.corpus.mentioned(name, key[0]):
        return False
    given = case.program.function((key[0], 0)).assigns
    tables = [table for table, value in given if value.kind == "object" and _holds(value, name)]
    return bool(tables) and all(
        len(re.findall(rb"\b" + re.escape(one).encode() + rb"\b", text)) == 1
        and not case.corpus.mentioned(one, key[0])
        for one in tables
    )


def _holds(value: Expr, name: str, depth: int = 0) -> bool:
    """Whether a table, or one in it, has a function of this name."""
    return any(
        (one.kind == "name" and one.text == name) or (depth < BELOW and _holds(one, name, depth + 1))
        for one in value.parts
    )


def _is_made(case: Case, key: Key) -> bool:
    one = (key[0], case.program.function(key).owner)
    classes = case.program.classes
    made = any(classes.around(at) != one for at, _ in case.program.instances.constructions.get(one, ()))
    return made or bool(classes.heirs.get(one)) or case.corpus.mentioned(one[1], one[0])
