"""Classes of Django and Flask whose methods are routes: `Run.as_view()`, `router.register("runs", Runs)`."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.audit.program.program import Key, Program
from tallystick.audit.syntax.ir import Call

ANSWERS = (  # methods that the framework calls for a request, the view's own and those of its mixins
    "dispatch", "get", "post", "put", "patch", "delete", "list", "create", "retrieve", "update", "partial_update",
    "destroy", "perform_create", "perform_update", "perform_destroy", "form_valid",
)  # fmt: skip


def viewed(program: Program) -> Iterator[tuple[Key, str, int]]:
    """The methods behind each view, with the way they are reached by and where that is written."""
    for path, module in program.modules.items():
        for call in module.functions[0].calls if path.endswith(".py") else ():
            one = program.classes.named(path, _view(call))
            methods = (program.classes.method(one, name) for name in ANSWERS) if one is not None else ()
            yield from ((key, key[0], program.function(key).line) for key in methods if key is not None)


def _view(call: Call) -> str:
    """The class that a call makes a view of."""
    holder, _, last = call.callee.rpartition(".")
    if last == "as_view":
        return holder
    named = last == "register" and len(call.args) > 1 and call.args[1].kind == "name"
    return call.args[1].text if named else ""
