"""One walk over a tree-sitter tree that fills a module."""

from __future__ import annotations

import re

from msgspec.structs import replace
from tree_sitter import Node

from tallystick.audit.syntax import classes, dropped, tables
from tallystick.audit.syntax.drafts import Context, Draft, assigned, filled, recorded, rounds, started
from tallystick.audit.syntax.expressions import (
    annotated,
    arguments,
    arguments_of,
    callee,
    child_of,
    expression,
    given_otherwise,
    is_bare_call,
    named,
    served_otherwise,
    text_of,
    unwrapped,
)
from tallystick.audit.syntax.grammars import grammar_of, parsable, parsed
from tallystick.audit.syntax.imports import Imports
from tallystick.audit.syntax.ir import NOTHING, Expr, Handler, Module
from tallystick.audit.syntax.patterns import catch_kind, directive_of, flags_of
from tallystick.audit.syntax.rest import RUBY_CHECKS, Rest
from tallystick.audit.syntax.returned import (
    PIPED,
    SETTLING,
    STATEMENTS,
    called_back,
    caught,
    checked,
    piped,
    refused,
    settled,
    stood_in,
)
from tallystick.audit.syntax.tasks import LATER, is_answered, is_joined, is_settled, is_value, stands_for

DEEPEST = 220
GATHERING = re.compile(r"^Promise\.(?:all|race|any|allSettled)$|^asyncio\.gather$")
CHAINED = frozenset(["then", "catch", "finally"])
SCRIPTS = frozenset(["typescript", "tsx"])
UNTYPED = frozenset(["python", "ruby", "php"])
SUPPRESS = re.compile(rb"with\s+(?:contextlib\.)?suppress\(")
HEARING = frozenset(
    ["then", "catch", "finally", "on", "once", "addListener", "addEventListener", "forEach", "map"]
)
HANDED_ON = re.compile(rb"^(?:next|reject|done|cb|callback)$")
BLOCKS = frozenset(["block", "do_block"])
GRAPH = frozenset(["Query", "Mutation", "Subscription"])  # what a schema's resolvers lie under
ANONYMOUS = frozenset(["handler", "handle", "resolve", "execute", "run", "default"])
SPAWNING = re.compile(
    r"(?:^|\.)(?:waitUntil|after|unstable_after|create_task|ensure_future|run_coroutine_threadsafe|start_soon)$"
)
PROTOTYPE = re.compile(r"^(\w+)\.prototype\b")


class Lowering:
    """The walk over one file."""

    def __init__(self, path: str, source: bytes) -> None:
        """Nothing is read yet."""
        self.path = path
        self.grammar = grammar_of(path)
        self.source = source
        self.drafts = [Draft("", flags=flags_of(b""))]
        self.imports = Imports()
        self.classes: list[tuple[str, tuple[str, ...]]] = []
        self.above: list[Node] = []  # what is being walked
        self.rest = Rest(b"")
        self.cut = False  # something lies deeper than the walk goes

    def module(self) -> Module:
        """The lowered file."""
        source = parsable(self.grammar, self.source)
        self.rest = Rest(source)
        tree = parsed(self.grammar, source)
        self.drafts[0].end_line = tree.root_node.end_point[0] + 1
        self.children(tree.root_node, Context())
        return Module(
            self.path,
            self.grammar,
            tuple(draft.finished() for draft in self.drafts),
            tuple(self.imports.names),
            tuple(self.imports.reexports),
            directive_of(source),
            tree.root_node.has_error or self.cut,
            tuple(self.classes),
        )

    def children(self, node: Node, context: Context) -> None:
        """Walk all named children in the same context."""
        plainly = context.state == "inner" and context.answered is None
        inner = context if plainly else replace(context, state="inner", answered=None)
        for child in node.named_children:
            self.walk(child, inner)

    def walk(self, node: Node, context: Context) -> None:
        """Visit one node, no deeper than the stack bears."""
        if node.named_child_count == 0 and node.type != "lambda":
            if self.grammar == "ruby" and is_bare_call(node):
                self.drafts[context.function].calls.append(recorded(node, named(node), (), context))
            return
        if len(self.above) > DEEPEST:
            self.cut = True
            return
        self.above.append(node)
        self.visit(node, context)
        self.above.pop()

    def statement(self) -> Node | None:
        """The statement that is being walked."""
        return next((one for one in reversed(self.above) if one.type in STATEMENTS), None)

    def visit(self, node: Node, context: Context) -> None:
        """Dispatch on the role of the node."""
        kind = node.type
        if kind in tables.SKIPPED:
            return
        if kind in tables.CALLS:
            self.call(node, context)
        elif kind in tables.FUNCTIONS and not (kind in BLOCKS and self.grammar != "ruby"):
            outer = self.rest.end
            self.rest.end = outer if kind in BLOCKS else node.end_byte
            self.function(node, context)
            self.rest.end = outer
        elif kind in tables.ASSIGNS:
            self.assignment(node, context)
        elif kind in tables.TRIES:
            self.attempt(node, context)
        elif kind in RUBY_CHECKS:
            for child in node.named_children:
                asked = child == node.child_by_field_name("condition")
                self.walk(child, replace(context, state="used" if asked else "inner", answered=None))
        elif kind == "rescue_modifier":
            kept = stood_in(node, context.state, self.rest)
            self.children_as(node, replace(context, handlers=(*context.handlers, kept)), context.state)
        elif kind in tables.AWAITS:
            self.children_as(node, context, "awaited" if context.state == "floating" else "used")
        elif kind in ("expression_statement", "statement", "defer_statement"):
            self.children_as(node, context, "floating")
        elif kind in tables.WRAPS:
            self.children_as(node, context, context.state)
        else:
            self.other(node, context)

    def other(self, node: Node, context: Context) -> None:
        """Everything that is not about calls and functions."""
        kind = node.type
        if kind in tables.CLASSES:
            name = text_of(node.child_by_field_name("name")) or context.name
            self.classes.append((name, classes.above(node)))
            shared = classes.inherited(node, (*context.decorators, *self.decorators(node)))
            said = dropped.declared(node) if self.grammar == "ruby" else ()
            self.children(node, replace(context, owner=name, decorators=shared, around=said))
        elif kind == "decorated_definition":
            self.decorated(node, context)
        elif kind == "enum_declaration" and self.grammar in SCRIPTS:
            self.drafts[0].assigns.append(classes.enumerated(node))
        elif kind in ("return_statement", "return"):
            inner = child_of(node, 0)
            self.drafts[context.function].returns.append(expression(inner) if inner is not None else NOTHING)
            self.children_as(node, context, "returned")
        elif kind in ("import_statement", "import_from_statement", "export_statement"):
            self.imports.statement(node)
            self.exported(node, context)
        elif kind in tables.PAIRS:
            self.pair(node, context)
        elif kind == "with_statement" and SUPPRESS.match(node.text or b""):
            handled = Handler(node.start_point[0] + 1, "log")
            self.children(node, replace(context, handlers=(*context.handlers, handled)))
        elif kind in tables.ASKS:
            self.condition(node, context)
        elif kind in tables.NEGATIONS and context.state == "used":
            self.children_as(node, context, "used")
        elif kind in ("go_statement", "unary_expression"):
            void = kind == "go_statement" or text_of(node).startswith("void ")
            spawned = replace(context, spawned=context.spawned or kind == "go_statement")
            self.children_as(node, spawned, "void" if void else context.state)
        else:
            if kind in tables.LOOPS or kind == "foreach_statement":
                self.drafts[context.function].assigns += rounds(node)
            self.children(node, context)

    def condition(self, node: Node, context: Context) -> None:
        """What is asked in a condition has been heeded."""
        asked = node.child_by_field_name("condition")
        for child in node.named_children:
            self.walk(child, replace(context, state="used" if child == asked else "inner", answered=None))

    def children_as(self, node: Node, context: Context, state: str) -> None:
        """Walk the children with a result use of their own."""
        inner = replace(context, state=state)
        for child in node.named_children:
            self.walk(child, inner)

    def exported(self, node: Node, context: Context) -> None:
        """What an export statement declares."""
        if node.type != "export_statement":
            return
        default = node.child_by_field_name("value") is not None or text_of(node).startswith("export default")
        value = node.child_by_field_name("value")
        if value is not None and unwrapped(value).type in tables.CALLS | tables.OBJECTS:
            self.drafts[0].assigns.append(("default", expression(value)))
        inner = replace(context, exported=True, name="default" if default else "")
        for child in node.named_children:
            if child.type != "decorator" or text_of(child).startswith("@Module("):
                owner = "default" if default and unwrapped(child).type in tables.OBJECTS else inner.owner
                self.walk(child, replace(inner, owner=owner, decorators=self.decorators(node)))

    def decorators(self, node: Node) -> tuple[Expr, ...]:
        """The decorators written among the children of a node."""
        own = [*node.named_children]
        own += [one for child in own if child.type == "modifiers" for one in child.named_children]
        found = [child for child in own if child.type in ("decorator", "annotation", "marker_annotation")]
        return tuple(annotated(one) for one in found)

    def decorated(self, node: Node, context: Context) -> None:
        """A Python definition with its decorators."""
        for child in node.named_children:
            own = context.decorators if child.type == "decorator" else self.decorators(node)
            self.walk(child, replace(context, decorators=own))

    def pair(self, node: Node, context: Context) -> None:
        """A key with a value: a function literal takes the key as its name."""
        key = node.child_by_field_name("key") or node.child_by_field_name("name") or child_of(node, 0)
        name = text_of(key).strip("\"'`:")
        if name in ANONYMOUS and context.via >= 0 and context.name:
            name = context.name  # `export const report = action({ handler })` is known as `report`
        owner = name if name in GRAPH else context.owner
        for child in node.named_children:
            if child != key:
                self.walk(child, replace(context, name=name, owner=owner, state="inner"))

    def assignment(self, node: Node, context: Context) -> None:
        """A name gets a value."""
        left = node.child_by_field_name("name") or node.child_by_field_name("left") or child_of(node, 0)
        right = node.child_by_field_name("value") or node.child_by_field_name("right")
        if left is None:
            return
        pairs = assigned(left, right)
        if right is None and node.type == "public_field_definition":
            pairs = classes.typed(node, text_of(left))
        self.drafts[context.function].assigns += pairs
        if self.grammar == "go":
            context = replace(context, handlers=(*context.handlers, *checked(node, left, self.rest)))
        text = text_of(left)
        exported = context.exported or text.startswith(("module.exports", "exports."))
        name = "default" if text == "module.exports" else text.rpartition(".")[2].lstrip("$")
        if right is not None:
            self.imports.required(left, right)
            if text.startswith(("module.exports", "exports.")):
                self.imports.handed_on(text, right)
            prototype = PROTOTYPE.match(text)  # `Meter.prototype.report = function () {}`
            owner = prototype[1] if prototype else context.owner
            inner = replace(context, name=name, exported=exported, state="assigned", owner=owner)
            if right.type in tables.OBJECTS and not owner:
                inner = replace(inner, owner=name)
            names = [name for name, _ in pairs]
            if right.type in tables.AWAITS:
                heeded = self.rest.is_heeded(node, names)
                answered = refused(self.statement(), names, self.rest)
                inner = replace(inner, state="assigned" if heeded else "floating", answered=answered)
            elif (
                self.grammar in UNTYPED and right.type in tables.CALLS and self.rest.is_forgotten(node, names)
            ):
                inner = replace(inner, state="floating")
            self.walk(right, inner)

    def attempt(self, node: Node, context: Context) -> None:
        """A try: what its body throws meets the catches."""
        children = node.named_children
        catches = [child for child in children if child.type in tables.CATCHES]
        worst = caught(catches, node, self.rest)
        body = node.child_by_field_name("body")
        for child in children:
            guarded = child == body or (body is None and child not in catches)
            inner = (*context.handlers, *worst) if guarded else context.handlers
            answers = node.type == "body_statement" and child == children[-1]  # what a method returns
            self.walk(child, replace(context, handlers=inner, state="returned" if answers else "inner"))

    def call(self, node: Node, context: Context) -> None:
        """Record a call and walk what it is made of."""
        name = self.imports.loaded(node, callee(node))
        draft = self.drafts[context.function]
        values = arguments_of(node)
        chained = name.rpartition(".")[2] in HEARING
        if context.state == "floating" and not chained and (told := called_back(arguments(node))):
            context = replace(context, state="used", handlers=(*context.handlers, told))
        if context.state == "floating" and is_answered(node, name):
            context = replace(context, state="used")
        joined = self.grammar == "python" and is_joined(node, name, context.state, self.rest)
        if joined:
            context = replace(context, state="used")
        ends = dropped.kept_in(self.grammar, node, name, context.state)
        context = replace(context, handlers=(*context.handlers, *ends)) if ends else context
        start = node.start_point
        index = len(draft.calls)
        draft.calls.append(recorded(node, name, values, context))
        draft.assigns += filled(node, name, values) if self.grammar == "go" else []
        self.imports.dynamic(name, values)
        self.receiver(node, name, context)
        if self.grammar == "python" and (meant := stands_for(node, name, values)) is not None:
            late = LATER.search(name) is not None and not joined
            draft.calls.append(recorded(node, *meant, replace(context, spawned=context.spawned or late)))
        gathering = GATHERING.match(name)
        state = context.state if gathering and context.state != "inner" else "inner"
        inner = replace(context, state=state, via=index, answered=None)
        if SPAWNING.search(name) and not joined:
            inner = replace(inner, spawned=True)
        if SETTLING.match(name) or is_settled(name, values):
            kept = settled(start[0] + 1, context.state, context.answered)
            inner = replace(inner, handlers=(*context.handlers, kept))
        for one in arguments(node):
            if gathering and one.type in ("array", "list"):
                self.children_as(one, inner, state)
            else:
                self.walk(one, inner)
        for block in node.named_children:
            if block.type in ("block", "do_block", "class_body"):
                self.walk(block, inner)

    def receiver(self, node: Node, name: str, context: Context) -> None:
        """Calls inside the callee: a promise chain hands on its fate."""
        method = name.rpartition(".")[2]
        target = node.child_by_field_name("function") or node.child_by_field_name("object")
        target = target or node.child_by_field_name("receiver")
        if target is None:
            return
        inner = replace(context, state="inner", name="", answered=None)
        if method in CHAINED:
            inner = replace(inner, state=context.state)
            if method == "catch":
                said = b"".join(one.text or b"" for one in arguments(node))
                kind = "rethrow" if HANDED_ON.match(said) else catch_kind(said)
                if kind == "log" and is_value(node):
                    kind = {"used": "respond", "returned": "signal"}.get(context.state, kind)
                inner = replace(inner, handlers=(*context.handlers, Handler(node.end_point[0] + 1, kind)))
        if method == "pipe":
            caught = tuple(
                piped(one) for one in arguments(node) if PIPED.match(text_of(one).partition("(")[0])
            )
            inner = replace(inner, state=context.state, handlers=(*context.handlers, *caught))
        if target.type in tables.MEMBERS:
            for child in target.named_children:
                self.walk(child, inner)
        else:
            self.walk(target, inner)

    def function(self, node: Node, context: Context) -> None:
        """A function of its own; catches around a definition do not guard its body unless it runs there."""
        given = self.decorators(node) + context.decorators
        if node.prev_named_sibling is not None and node.prev_named_sibling.type == "decorator":
            given += self._decorators_before(node)
        draft = started(node, replace(context, decorators=given))
        draft.assigns += classes.given(node)
        draft.exported = draft.exported or (not context.owner and self.grammar not in SCRIPTS)
        self.drafts.append(draft)
        index = len(self.drafts) - 1
        around = context.around if draft.name == "perform" else ()
        around += dropped.decorated(draft.decorators, draft.line)
        spawned = context.spawned and self.grammar == "go"
        inner = Context(function=index, owner=context.owner, spawned=spawned, handlers=around)
        draft.assigns += served_otherwise(node) if self.grammar in SCRIPTS else []
        for value in given_otherwise(node) if self.grammar in SCRIPTS else ():
            self.walk(value, replace(inner, state="assigned"))
        body = node.child_by_field_name("body")
        if body is None:
            self.children(node, inner)
            return
        if body.type == "body_statement":
            self.attempt(body, inner)  # Ruby: a method rescues without a begin
        elif body.type not in ("statement_block", "block", "compound_statement", "constructor_body"):
            draft.returns.append(expression(body))
            self.walk(body, replace(inner, state="returned"))
        else:
            self.children(body, inner)

    def _decorators_before(self, node: Node) -> tuple[Expr, ...]:
        found = []
        before = node.prev_named_sibling
        while before is not None and before.type == "decorator":
            found.append(expression(child_of(before, 0)))
            before = before.prev_named_sibling
        return tuple(found)


def lower(path: str, source: bytes) -> Module:
    """The module of one source file."""
    return Lowering(path, source).module()
