"""What a validated value can hold: the fields that its schema names, and no others."""

from __future__ import annotations

import re

from tallystick.audit.program.program import Key, Program
from tallystick.audit.syntax.ir import Expr

PARSED = re.compile(r"^([A-Za-z_]\w*)\.(?:parse|safeParse|parseAsync|validateSync)$")
FIELDS = re.compile(r"(?:^|\.)(?:object|strictObject)$")


def lacks(program: Program, key: Key, value: Expr, field: str) -> bool:
    """Whether a value went through a schema that has no such field: `{ tenant, ...schema.parse(body) }`."""
    made = _given(program, key, value.text) if value.kind == "name" else value
    hit = PARSED.match(made.text) if made is not None and made.kind == "call" else None
    schema = _schema(program, key[0], hit[1]) if hit else None
    return schema is not None and field not in schema.keys and "..." not in schema.keys


def _given(program: Program, key: Key, name: str) -> Expr | None:
    holder: Key | None = key
    while holder is not None:
        function = program.function(holder)
        given = [value for one, value in function.assigns if one == name]
        if given:
            return given[0] if len(given) == 1 else None
        holder = (holder[0], function.parent) if function.parent >= 0 else None
    return None


def _schema(program: Program, path: str, name: str) -> Expr | None:
    """The object of fields of a schema that this file makes, or another from which it takes it."""
    found = program.imports[path].get(name)
    if found is not None:
        path, name = program.resolver.resolve(path, found.source), found.name
    module = program.modules.get(path)
    made = [value for one, value in module.functions[0].assigns if one == name] if module is not None else []
    if len(made) != 1 or made[0].kind != "call" or not FIELDS.search(made[0].text):
        return None
    return next((one for one in made[0].parts if one.kind == "object"), None)
