"""The calls that report usage, found in the lowered program."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

from msgspec import structs

from tallystick.audit.corpus.lexical import Corpus
from tallystick.audit.models.knowledge import Knowledge, Sink
from tallystick.audit.program.constants import word
from tallystick.audit.program.program import Key, Program
from tallystick.audit.syntax.ir import Call, Expr, Function, Module
from tallystick.audit.trails import bodies, lookups, resources
from tallystick.audit.trails.labels import CLIENT, MEASURED, Labelling, Labels
from tallystick.audit.trails.statements import STATEMENT, constants, stated, with_imported

Nearness = Callable[[re.Pattern[str]], bool]
SAID = 10_000  # of an address, or a statement, what tells the provider stands near its start
RECEIVER = "@receiver"
HARMLESS = frozenset([MEASURED])
WAITED = frozenset(["awaited", "used", "returned", "assigned"])
ADDRESS = re.compile(  # of an address, or of a statement that is sent there
    r"(?i)url|uri|endpoint|path|base|host|api$|href|route|query|mutation|(?-i:^[A-Z][A-Z0-9_]+$)"
)
EVENT = frozenset(
    ["event_name", "eventName", "event_type", "eventType", "code", "feature_id", "featureId", "name", "type"]
)
NAMED = re.compile(r"[A-Z][A-Z0-9_.]+$")
NO_QUANTITY = re.compile(
    r"(?i)customer|subscri|org|user|account|tenant|subject|(?:^|_)ids?$|Ids?$|source|type|name|event|model|plan|status|date"
    r"|time|period|month|interval|(?:^|_)(?:since|until|start|end)$|_at$|At$|prompt|text$|content|language|query|endpoint|method|code|version|url|path|operation|currency|reason|feature|meter|email|kind|region|provider|title|description"
)


@dataclass(frozen=True)
class Site:
    """One reporting call."""

    key: Key
    call: Call
    sink: Sink
    quantity: Labels
    customer: Labels
    identified: bool
    stamped: bool
    stored: bool = False  # a row of the application's own, which something else sends


def sink_of(
    call: Call, knowledge: Knowledge, near: Nearness, module: Module, function: Function, whole: str
) -> Sink | None:
    """The sink model a call matches, given what stands near it and the text of its file."""
    fitting = knowledge.called(call.callee)
    table = bool(fitting) and resources.DATABASE.search(call.callee) is not None
    said: str | None = None  # once, whatever many rows ask
    for sink, text, nearness, kit in fitting:
        if table and text is None:
            continue
        if text is not None:
            if said is None:
                said = " ".join(addressed(one, module, function) for one in call.args)[:SAID]
            if not text.search(said):
                continue
        if nearness is not None and not near(nearness):
            continue
        if kit is not None and not (kit.search(whole) and (text is not None or _of_kit(call, kit, module))):
            continue
        return sink
    return None


def _of_kit(call: Call, kit: re.Pattern[str], module: Module) -> bool:
    """Whether a bare `track` is the kit's own: not where another module gives a function of this name."""
    sources = [one.source for one in module.imports if one.local == call.callee]
    return not sources or any(kit.search(one) for one in sources)


def event_of(program: Program, path: str, call: Call) -> Expr | None:
    """What a report counts under, where that is known: `event_name: "pages"`, or what its file gives to `PAGES`."""
    value = next((found for one in call.args if (found := _event(one)) is not None), None)
    if value is None or value.kind == "const":
        return value
    text = word(program, path, value)
    given = dict(program.modules[path].functions[0].assigns)
    return Expr("const", text) if text else given.get(value.text)


def _event(value: Expr, depth: int = 0) -> Expr | None:
    if depth > 4:
        return None
    for name, part in zip(value.keys, value.parts, strict=False):
        if name in EVENT and (part.kind == "const" or (part.kind == "name" and NAMED.match(part.text))):
            return part
    return next((found for part in value.parts if (found := _event(part, depth + 1)) is not None), None)


def addressed(value: Expr, module: Module, function: Function, depth: int = 0) -> str:
    """The words of a value; a name stands for what its file gives it, such as the address of a provider."""
    if depth > 4:
        return ""
    said = [value.text, *(addressed(part, module, function, depth + 1) for part in value.parts)]
    paths = _paths(value)
    said += [one.text for name, one in function.assigns if name in paths] if paths else []
    own = [one for name, one in function.assigns if name == value.text] if value.kind == "name" else []
    if own and (ADDRESS.search(value.text) or any(STATEMENT.search(constants(one)) for one in own)):
        said += [addressed(one, module, function, depth + 2) for one in own[:3]]
    elif value.kind == "name" and (kept := _statements(value.text, module)):
        said += kept
    elif value.kind == "name" and ADDRESS.search(value.text):
        last = value.text.rpartition(".")[2]
        given = [
            one
            for function in module.functions
            for name, one in function.assigns
            if name.rpartition(".")[2] == last
        ]
        said += [addressed(one, module, function, depth + 2) for one in given[:3]]
    return " ".join(said)


def _statements(name: str, module: Module) -> list[str]:
    """What a statement says that the file keeps under a name, or imports by it."""
    given = (one for kept, one in module.functions[0].assigns if kept == name and one.kind != "name")
    return [said for one in given if STATEMENT.search(said := constants(one))]


def _paths(value: Expr) -> tuple[str, ...]:
    """Where an address that is a value of its own keeps its path: `address.Path = "/v1/events"`, `address.String()`."""
    head = value.text.removesuffix(".String").removesuffix(".toString").removesuffix(".href")
    return (f"{head}.Path", f"{head}.pathname") if value.kind in ("name", "call") and head else ()


def find(program: Program, labelling: Labelling, corpus: Corpus) -> list[Site]:
    """All reporting calls, in order."""
    found = []
    known = stated(program.modules, program.knowledge, program.resolver)
    for path in sorted(program.modules):
        module = with_imported(program.modules[path], known, program.resolver)
        whole = corpus.sources[path].decode("utf-8", "replace")
        for index, function in enumerate(module.functions):
            near = cache(partial(_stands_near, program, corpus, (path, index)))
            for call in function.calls:
                sink = sink_of(call, program.knowledge, near, module, function, whole)
                if sink is None or resources.is_own(program, corpus, (path, index), call):
                    continue
                handler = _decorated(program, (path, index), call) if sink.provider == "tallystick" else None
                found.append(
                    _above(call, sink, handler, (path, index), labelling)
                    if handler
                    else _site((path, index), call, sink, labelling)
                )
    return found


def _stands_near(program: Program, corpus: Corpus, key: Key, word: re.Pattern[str]) -> bool:
    """Whether a word stands in a function or, when that is only a wrapper, in one that calls it."""
    key = _outermost(program, key)
    callers = [edge.caller for edge in program.callers.get(key, ()) if key[1] and edge.caller[1]]
    for path, index in (key, *callers[:20]):
        function = program.function((path, index))
        text = corpus.text(path, function.line - 2, function.end_line)
        if word.search(text.decode("utf-8", "replace")):
            return True
    return False


def _outermost(program: Program, key: Key) -> Key:
    """The function that waits for what a literal does: `await retry(() => stripe.invoiceItems.create(item))`."""
    function = program.function(key)
    while function.via >= 0 and function.parent > 0:
        holder = (key[0], function.parent)
        if program.function(holder).calls[function.via].state not in WAITED:
            break
        key, function = holder, program.function(holder)
    return key


def _decorated(program: Program, key: Key, call: Call) -> Key | None:
    """The function that a decorator such as `@tally.metered(...)` stands above."""
    functions = program.modules[key[0]].functions
    under = [
        (one.line, index)
        for index, one in enumerate(functions)
        if one.line > call.line and any(given.text == call.callee for given in one.decorators)
    ]
    known = {value for one in functions for value in one.decorators if value.kind == "call"}
    if not under or Expr("call", call.callee, call.args) not in known:
        return None
    return key[0], min(under)[1]


def _above(call: Call, sink: Sink, handler: Key, holder: Key, labelling: Labelling) -> Site:
    """A decorator of our own: the customer comes from a dependency, the quantity from the answer, or from lambdas."""
    customer = _by_lambda("customer", call, handler, holder, labelling) or frozenset([("session", "")])
    quantity = _by_lambda("quantity", call, handler, holder, labelling) or frozenset([(MEASURED, "answer")])
    return Site(handler, call, sink, quantity, customer, True, True)


def _by_lambda(name: str, call: Call, handler: Key, holder: Key, labelling: Labelling) -> Labels:
    """What a lambda gives that stands for `name`; its parameters are the handler's, or the answer."""
    program = labelling.program
    given = {one.name: one for one in program.function(handler).bindings}
    found: set[tuple[str, str]] = set()
    for index, one in enumerate(program.modules[holder[0]].functions):
        if one.name != name or one.parent != holder[1] or one.via < 0:
            continue
        if program.function(holder).calls[one.via] != call:
            continue
        own = {f"{holder[0]}#{index}:{each.index}": each.name for each in one.bindings}
        for kind, text in (
            label for value in one.returns for label in labelling.of((holder[0], index), value)
        ):
            place, _, path = text.rpartition(":")
            if kind == "param" and own.get(place) in given:
                found.add((kind, f"{handler[0]}#{handler[1]}:{given[own[place]].index}:{path}"))
            elif kind != "param":
                found.add((kind, text))
    return frozenset(found)


def _site(key: Key, call: Call, sink: Sink, labelling: Labelling) -> Site:
    body = structs.replace(
        call, args=tuple(bodies.written_out(labelling.program, key, one) for one in call.args)
    )
    quantity = _picked(key, call, body, sink.quantity, labelling)
    customer = _picked(key, call, body, sink.customer, labelling)
    quantity = frozenset(one for one in quantity if one not in customer or one[0] != "param")
    return Site(
        key,
        call,
        sink,
        quantity,
        customer,
        _has(call, sink.identifier) or _has(body, sink.identifier),
        _has(call, sink.timestamp) or _has(body, sink.timestamp),
    )


def _picked(key: Key, call: Call, body: Call, places: tuple[str, ...], labelling: Labelling) -> Labels:
    found: set[tuple[str, str]] = set()
    for place in places:
        if place == RECEIVER:
            found |= labelling.of(key, _receiver(labelling.program, key, call))
            continue
        for value in _at(body if place.startswith("*") else call, place):
            found |= labelling.of(key, value)
    for one in call.args if places else ():
        found |= _spread(key, one, places, labelling)
    return frozenset(found)


def _receiver(program: Program, key: Key, call: Call) -> Expr:
    """What a report is a method of: `$user->reportMeterEvent(…)`."""
    owner = call.callee.rpartition(".")[0]
    if not owner.endswith("()"):
        return Expr("name", owner)
    return lookups.within(program, key, call.callee, owner.removesuffix("()")) or Expr("call", owner)


def _spread(key: Key, value: Expr, places: tuple[str, ...], labelling: Labelling) -> Labels:
    """A payload given as a name: read the field below it."""
    if value.kind != "name":
        return frozenset()
    found: set[tuple[str, str]] = set()
    for place in places:
        if not place.startswith(("#", "*", "@")) and "*" not in place:
            labels = labelling.of(key, value, place)
            found |= {one for one in labels if one[0] in (CLIENT, "param", "session", "stored")}
    return frozenset(found)


def _at(call: Call, place: str) -> list[Expr]:
    """The argument values at a place such as `payload.value`, `#0`, `*quantity`, `payload.*`."""
    if place.startswith("#"):
        index, _, rest = place[1:].partition(".")
        if int(index) >= len(call.args):
            return []
        value = call.args[int(index)]
        if rest:
            return _below(value, rest.split("."))
        return [value] if value.kind != "object" else []
    if place.startswith("*"):
        return [one for value in call.args for one in _anywhere(value, place[1:].split("."))]
    return [one for value in call.args for one in _below(value, place.split("."))]


def _below(value: Expr, steps: list[str]) -> list[Expr]:
    if not steps or (steps == ["*"] and value.kind == "name"):
        return [value]
    if value.kind in ("call", "mix") and value.parts and not value.keys:
        return [one for part in value.parts for one in _below(part, steps)] if value.kind == "call" else []
    found = []
    for name, part in zip(value.keys, value.parts, strict=False):
        if _fits(name, steps[0]):
            found += _below(part, steps[1:])
        elif name == "..." and part.kind == "name":
            found.append(Expr("name", ".".join([part.text, *(s for s in steps if "*" not in s)])))
    return found


def _fits(name: str, step: str) -> bool:
    if step == "*":
        return not NO_QUANTITY.search(name)
    if "*" in step:
        return step.strip("*").lower() in name.lower()
    return _bare(name) == _bare(step)


def _bare(name: str) -> str:
    """A key without the spelling of its language: `StripeCustomerId`, `stripe_customer_id`."""
    return name.replace("_", "").strip("[]").lower()


def _anywhere(value: Expr, steps: list[str], depth: int = 0) -> list[Expr]:
    if depth > 6:
        return []
    found = _below(value, steps) if value.kind == "object" else []
    for part in value.parts:
        found += _anywhere(part, steps, depth + 1)
    return found


def _has(call: Call, places: tuple[str, ...]) -> bool:
    return any(_at(call, place) for place in places) or any(one.kind == "name" for one in call.args[:1])
