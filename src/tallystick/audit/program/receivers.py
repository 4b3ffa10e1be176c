"""Whose method a call through a variable or a field means: told by what it was made of, or by its name."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec import structs

from tallystick.audit.program.classes import does_nothing
from tallystick.audit.program.contents import FIELDS
from tallystick.audit.syntax.ir import NOTHING, Call, Expr, Import
from tallystick.audit.syntax.searches import finite

if TYPE_CHECKING:
    from tallystick.audit.program.program import Key, Program

STANDING_IN = re.compile(r"(?i)^(?:mock|fake|stub|noop|dummy|null)|(?:mock|fake|stub)$")
IN_MEMORY = re.compile(  # where another does it as well
    r"^(?i:in_?memory|disabled|console|recording|spy)|^[mM]em(?:ory)?(?:[sS]tore|[rR]epo|[sS]torage|[bB]ackend|[qQ]ueue)"
)
INJECTS = frozenset(["Depends", "Security", "Provide", "Inject", "Annotated"])
CONTAINERS = frozenset(["app", "resolve", "make", "makeWith"])
TYPE = re.compile(r"^[\"'*&?\s]*(?:(?:Annotated|Optional|Final|Union)\[\s*[\"']?)?(?:\w+[.\\])*(\w+)")
NEW = re.compile(r"new[A-Z]")  # how Go names what makes a type that its package keeps to itself
MADE = finite(r"^(?:New)?[A-Z]\w*[a-z]\w*$")

HEARS = "OnEvent"
ENQUEUES = frozenset(["enqueue", "async_task", "enqueue_call", "schedule", "send_task", "delay_on_commit"])
LISTENS = re.compile(
    r"^(?:on|on_event|OnEvent|listen\w*|subscribe\w*|subscriber|handle[sr]?|event_handler|listens_to|observe[sr]?)$"
)
EMITS = re.compile(
    r"^(?:a?emit|publish|dispatch|fire|trigger|notify|send|raise_event|emit_event|publish_event)(?:_async|Async)?$"
)


ON = re.compile(r"\.(?:on|once|addListener|subscribe)$")
OUTSIDE = re.compile(  # of a stream, a socket, a process: told by nobody here
    r"^(?:message|data|error|end|close|open|finish|exit|connect(?:ion)?|disconnect|ready|request|response|drain|abort|change|click)$"
)


RUBY = (".rb", ".rake")
PUT_OFF = re.compile(r"^perform_(?:later|async|now|in|at|inline)$")
CONSTRUCTORS = ("constructor", "__init__")
SIGNATURE = re.compile(r"\.si?$")  # of Celery: `group(task.s(n))`
WORDLESS = frozenset(["delay", "apply_async", "bind", "default"])


def steps(path: str, callee: str) -> list[str]:
    """The names a dotted callee goes through, without what only says when, or makes the object first."""
    said = callee.replace("()", "")
    if path.endswith(RUBY):
        parts = ["perform" if PUT_OFF.match(one) else one for one in said.split(".")]
        return [one for one in parts[:-1] if one not in ("new", "set")] + parts[-1:]
    if path.endswith(".py"):
        said = SIGNATURE.sub("", said)
    parts = said.removesuffix(".call").removesuffix(".apply").split(".")
    return [one for one in parts if one not in WORDLESS] or parts


def _spelled(name: str) -> str:
    """One spelling for `UsageReporter`, `usage_reporter`, `usageReporter`."""
    return name.replace("_", "").lower()


def held(program: Program, caller: Key, parts: list[str]) -> list[Key]:
    """The method of the class that a variable or a field is of: by what it was made of, or by its name."""
    owners = _owners(program, parts[-1])
    if not owners:
        return []
    ending = caller[0][caller[0].rfind(".") :]
    here = [(key, names) for key, names in owners.items() if key[0].endswith(ending)]
    name = ".".join(parts[:-1])
    made = _made(program, caller, name)
    for asked in map(_spelled, (*made, _typed(program, caller, name), parts[-2])):
        exact = [key for key, names in here if asked in names]
        found = exact or [key for key, names in here if names[0].endswith(asked)]
        if found and len(asked) > 3:
            return found if len(found) == 1 else []
    return []


def stands_in(owner: str) -> bool:
    """Whether a class stands in for another that does it: in tests, and where nothing is set up."""
    return STANDING_IN.search(owner) is not None or IN_MEMORY.match(owner) is not None


def _owners(program: Program, method: str) -> dict[Key, tuple[str, str]]:
    """The classes that have a method of this name, stand-ins left aside, alone and behind their folder's name."""
    if method not in program.owners:
        found = {}
        for key in program.by_name.get(method, ()):
            owner = program.function(key).owner
            if not STANDING_IN.match(owner):
                name = _spelled(owner.removesuffix("Impl"))
                found[key] = (name, posixpath.basename(posixpath.dirname(key[0])) + name)
        real = {
            key: names
            for key, names in found.items()
            if not IN_MEMORY.match(names[0]) and not does_nothing(program.function(key))
        }
        program.owners[method] = real or found
    return program.owners[method]


def shelved(program: Program, caller: str, found: Import, parts: list[str]) -> list[Key]:
    """`services.usage.track`: a method of what another file keeps in an object, `{ usage: new UsageService() }`."""
    target = program.resolver.resolve(caller, found.source) if len(parts) == 3 else ""
    if target not in program.modules:
        return []
    given = program.contents.given((target, 0))
    kept = [
        part
        for name in dict.fromkeys((found.name, found.local))
        for value in given.get(name, ())
        for key, part in zip(value.keys, value.parts, strict=False)
        if key == parts[1]
    ]
    kept += [value for one in kept if one.kind == "name" for value in given.get(one.text, ())]
    owners = {one.text.rpartition(".")[2] for one in kept if one.kind == "call"}
    methods = [key for key in program.by_name.get(parts[2], ()) if program.function(key).owner in owners]
    return methods if len(methods) == 1 else []


def produced(program: Program, caller: Key, factory: str, method: str) -> list[Key]:
    """`getMeter().report`: the method of the one class that the factory makes, stand-ins left aside."""
    made: set[str] = set()
    for key in program.targets(caller, factory):
        function = program.function(key)
        values = [*function.returns, *(value for _, value in function.assigns)]
        made |= {value.text.rpartition(".")[2] for value in values if value.kind == "call"}
    owners = {name for name in made if MADE.match(name) and not STANDING_IN.match(name)}
    found = [key for key in program.by_name.get(method, ()) if program.function(key).owner in owners]
    return found if len(found) == 1 else []


def supplied(program: Program, caller: Key, parts: list[str]) -> list[Key]:
    """`deps.report` where `deps = given ?? defaults()`: what the object that the factory gives has under this name."""
    module, holder = program.modules[caller[0]], caller[1]
    while len(parts) == 2 and holder >= 0:
        for value in program.contents.given((caller[0], holder)).get(parts[0], ()):
            calls = (one.text for one in (value, *value.parts) if one.kind == "call")
            for factory in (one for one in calls if "." not in one):
                made = [
                    (key[0], index)
                    for key in program.targets((caller[0], holder), factory)
                    for index in program.local[key[0]].get(parts[1], ())
                    if program.modules[key[0]].functions[index].parent == key[1] > 0
                ]
                if len(made) == 1:
                    return made
        holder = module.functions[holder].parent
    return []


def own(program: Program, caller: Key, name: str) -> list[Key]:
    """`settle` inside a method of Ruby or Java: another method of the same class, without its object."""
    if not caller[0].endswith((*RUBY, ".java")):
        return []
    functions, holder = program.modules[caller[0]].functions, caller[1]
    while functions[holder].parent > 0:
        holder = functions[holder].parent
    owner = functions[holder].owner
    return [
        (caller[0], one)
        for one in program.local[caller[0]].get(name, ())
        if owner and functions[one].owner == owner and (caller[0], one) != caller
    ]


def fellow(program: Program, caller: Key, parts: list[str]) -> list[Key]:
    """`s.Run` inside a Go method: another method of the same type."""
    if not caller[0].endswith(".go") or len(parts) != 2:
        return []
    functions, holder = program.modules[caller[0]].functions, caller[1]
    while functions[holder].parent > 0:
        holder = functions[holder].parent
    owner, folder = functions[holder].owner, posixpath.dirname(caller[0])
    found = [
        key
        for key in program.by_name.get(parts[1], ())
        if owner and program.function(key).owner == owner and posixpath.dirname(key[0]) == folder
    ]
    return found if len(found) == 1 else []


def around(program: Program, caller: Key) -> Iterator[Key]:
    """A function and those it stands in, from the inside out."""
    path, holder = caller
    while holder >= 0:
        yield path, holder
        holder = program.modules[path].functions[holder].parent


def _given(program: Program, caller: Key, name: str) -> Iterator[Expr]:
    """What a name was given: in the functions around the caller, and for a field anywhere in its file."""
    for key in around(program, caller):
        yield from program.contents.given(key).get(name, ())
    if name.startswith(FIELDS):
        yield from program.contents.fields(caller[0]).get(name, ())


def _made(program: Program, caller: Key, name: str) -> list[str]:
    """The class whose instance a name was given: `reporter = UsageReporter(store)`, `= Depends(get_reporter)`."""
    for value in _given(program, caller, name):
        last = value.text.rpartition(".")[2]
        if value.kind != "call":
            continue
        if last in CONTAINERS and value.parts:
            asked, _, mark = value.parts[0].text.rpartition(".")
            if mark == "class":  # `app(UsageReporter::class)`
                return [asked.rpartition(".")[2]]
        if caller[0].endswith(".go") and NEW.match(last):
            return [last[3:], last[3].lower() + last[4:]]
        if not MADE.match(last):
            wrapped = _wrapped(program, caller[0], value)
            if wrapped:
                return wrapped
            continue
        if last not in INJECTS:
            return _of_package(value.text)
        asked = next((one.text for one in value.parts[:1]), "")
        owner = asked if MADE.match(asked) else _product(program, caller, asked)
        if owner:
            return [owner]
    return []


def foreign(program: Program, caller: Key, name: str) -> bool:
    """Whether a name is of a class from outside the tree: `const stripe = new Stripe(key)`."""
    for value in _given(program, caller, name):
        taken = (
            program.imports[caller[0]].get(value.text)
            if value.kind == "call" and MADE.match(value.text)
            else None
        )
        if taken is not None and program.resolver.resolve(caller[0], taken.source) not in program.modules:
            return True
    return False


def _of_package(constructor: str) -> list[str]:
    """`billing.NewHandler`: the type behind its package's name, where many packages have one, and alone."""
    package, _, last = constructor.rpartition(".")
    plain = last.removeprefix("New")
    return [package.rpartition(".")[2] + plain, plain] if package and last.startswith("New") else [plain]


def _wrapped(program: Program, path: str, value: Expr) -> list[str]:
    """What Go makes in a helper that ends the program at an error: `must(billing.New(db))`, `must(func() …)`."""
    for one in value.parts if path.endswith(".go") else ():
        literal = program.literal(path, one)
        for each in program.function(literal).returns if literal is not None else (one,):
            if each.kind == "call" and MADE.match(each.text.rpartition(".")[2]):
                return _of_package(each.text)
    return []


def _product(program: Program, caller: Key, factory: str) -> str:
    """The one class that a factory of the tree returns."""
    returned = [one for key in program.targets(caller, factory) for one in program.function(key).returns]
    made = {one.text.rpartition(".")[2] for one in returned if one.kind == "call"}
    return next(iter(made)) if len(made) == 1 and MADE.match(next(iter(made))) else ""


def _typed(program: Program, caller: Key, name: str) -> str:
    """The class that is written as the type of a parameter, or of one a constructor keeps in a field."""
    last = name.rpartition(".")[2]
    near = [*around(program, caller)]
    if last != name:  # a field: only constructors are asked
        near = [key for key in near if program.function(key).name in CONSTRUCTORS]
    if name.startswith(FIELDS):
        own = sorted(one for word in CONSTRUCTORS for one in program.local[caller[0]].get(word, ()))
        near += [(caller[0], one) for one in own]
    for key in near:
        for one in program.function(key).bindings:
            hit = TYPE.match(one.kind) if one.name == last and not one.path else None
            if hit is not None and MADE.match(hit[1]):
                return hit[1]
    return ""


def heard(program: Program, path: str) -> Iterator[tuple[str, Key]]:
    """Who listens to an emitter of the process: `bus.on("used", async ({ customer }) => …)`."""
    for index, function in enumerate(program.modules[path].functions):
        for call in function.calls if path.endswith((".ts", ".js", ".mjs", ".cjs")) else ():
            word, given = call.args[0] if call.args else None, call.args[1:2]
            if (
                word is None
                or word.kind != "const"
                or not ON.search(call.callee)
                or OUTSIDE.search(word.text)
            ):
                continue
            for one in given:
                literal = program.literal(path, one)
                targets = program.targets((path, index), one.text) if one.kind == "name" else []
                yield from ((f"'{word.text}'", key) for key in ([literal] if literal else targets))


def tabled(program: Program, caller: Key, callee: str) -> list[Key]:
    """`providers[name].send(…)`, `HANDLERS.get(kind)(event)`: what each member of a table does under that name."""
    parts = callee.replace(".get()", ".[]").replace("()", "").split(".")
    if "[]" not in parts[1:]:
        return []
    at = parts.index("[]", 1)
    found: list[Key] = []
    for where, one in _members(program, caller, parts[at - 1]):
        for step in parts[at + 1 :]:
            if one.kind == "call" and MADE.match(one.text):  # `{ stripe: new StripeMeter() }`
                found += [
                    key for key in program.by_name.get(step, ()) if program.function(key).owner == one.text
                ]
            one = dict(zip(one.keys, one.parts, strict=False)).get(step, NOTHING)
        literal = program.literal(where[0], one)
        plain = one.kind == "name" and "[]" not in one.text  # a table may have itself in it
        found += [literal] if literal else program.targets(where, one.text) if plain else []
    return list(dict.fromkeys(found))


def picked(program: Program, caller: Key, name: str) -> list[Key]:
    """`const handle = HANDLERS[kind]` before `handle(event)`: each member of the table."""
    values = [value for key in around(program, caller) for value in program.contents.given(key).get(name, ())]
    values += [part for value in values if value.kind == "mix" for part in value.parts]
    said = [one.text for one in values if one.kind == "name" and one.text.endswith(".[]")]
    said += [f"{one.text}()" for one in values if one.kind == "call" and one.text.endswith(".get")]
    return [key for one in said for key in tabled(program, caller, one)]


def _members(program: Program, caller: Key, name: str) -> list[tuple[Key, Expr]]:
    """The values of the tables that have this name here, or in the file that it is imported from."""
    places = [(key, name) for key in dict.fromkeys((caller, (caller[0], 0)))]
    taken = program.imports[caller[0]].get(name)
    target = program.resolver.resolve(caller[0], taken.source) if taken is not None else ""
    places += [((target, 0), taken.name)] if taken is not None and target in program.modules else []
    found = []
    for key, one in places:
        for value in program.contents.members(key).get(one, ()):
            pairs = value.parts[:1] if value.kind == "call" and value.text == "Map" else ()
            found += [(key, part) for part in value.parts if value.kind == "object"]
            found += [(key, pair.parts[-1]) for each in pairs for pair in each.parts if len(pair.parts) == 2]
    return found


def told(program: Program, path: str, call: Call) -> list[tuple[Key, Call]]:
    """Who a call means by a word: `emit("used", n=1)`, and arq's `enqueue_job("bill", n)`."""
    first = call.args[0] if call.args else None
    words = ("const", "name") if path.endswith(".ts") else ("const",)
    if first is None or first.kind not in words or not path.endswith((".py", ".ts", ".js", ".mjs", ".cjs")):
        return []
    method = call.callee.rpartition(".")[2]
    if (
        method in ENQUEUES and path.endswith(".py") and "." in first.text
    ):  # `queue.enqueue("billing.tasks.report", n)`
        place, _, name = first.text.rpartition(".")
        file = place.replace(".", "/") + ".py"
        named = [key for key in program.by_name.get(name, ()) if f"/{key[0]}".endswith(f"/{file}")]
        return [(key, structs.replace(call, args=call.args[1:])) for key in named] if len(named) == 1 else []
    if method == "enqueue_job" and path.endswith(".py"):  # the first parameter is the worker's own context
        found = [key for key in program.by_name.get(first.text, ()) if key[0].endswith(".py")]
        return [(key, call) for key in found] if len(found) == 1 else []
    return _emitted(program, call, method, first.text)


def _emitted(program: Program, call: Call, method: str, event: str) -> list[tuple[Key, Call]]:
    given = structs.replace(call, args=call.args[1:])
    return [(key, given) for key in program.listeners.get(f"'{event}'", ())] if EMITS.search(method) else []
