"""Import and re-export statements of ECMAScript and Python."""

from __future__ import annotations

import re

from tree_sitter import Node

from tallystick.audit.syntax.expressions import arguments, child_of, plain, text_of
from tallystick.audit.syntax.ir import Expr, Import

LOADED = re.compile(r"import\(\s*[\"'`]([^\"'`]+)[\"'`]\s*\)")


class Imports:
    """What a file takes from others and hands on."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.names: list[Import] = []
        self.reexports: list[Import] = []

    def statement(self, node: Node) -> None:
        """One import or export statement."""
        if node.type == "import_from_statement":
            self._python_from(node)
        elif node.type == "import_statement" and node.child_by_field_name("source") is None:
            self._python(node)
        elif node.type == "import_statement":
            self._clause(node, plain(node.child_by_field_name("source") or node))
        elif node.type == "export_statement":
            self._export(node)

    def _python(self, node: Node) -> None:
        for child in node.named_children:
            name = child.child_by_field_name("name") or child
            alias = child.child_by_field_name("alias")
            source = text_of(name)
            self.names.append(Import(text_of(alias) if alias else source, source, "*"))

    def _python_from(self, node: Node) -> None:
        source = text_of(node.child_by_field_name("module_name"))
        for child in node.children_by_field_name("name"):
            name = child.child_by_field_name("name") or child
            alias = child.child_by_field_name("alias")
            self.names.append(Import(text_of(alias) if alias else text_of(name), source, text_of(name)))
        if any(child.type == "wildcard_import" for child in node.named_children):
            self.reexports.append(Import("*", source, "*"))

    def _clause(self, node: Node, source: str) -> None:
        clause = next((child for child in node.named_children if child.type == "import_clause"), None)
        for child in clause.named_children if clause is not None else []:
            if child.type == "identifier":
                self.names.append(Import(text_of(child), source, "default"))
            elif child.type == "namespace_import":
                self.names.append(Import(text_of(child_of(child, 0)), source, "*"))
            elif child.type == "named_imports":
                for one in child.named_children:
                    name = text_of(one.child_by_field_name("name"))
                    alias = text_of(one.child_by_field_name("alias"))
                    self.names.append(Import(alias or name, source, name))

    def _export(self, node: Node) -> None:
        source = node.child_by_field_name("source")
        clause = next((child for child in node.named_children if child.type == "export_clause"), None)
        where = plain(source) if source is not None else ""
        if clause is None:
            if source is not None:
                self.reexports.append(Import("*", where, "*"))
            elif text_of(node).startswith("export default"):
                self._default(node)
            return
        for one in clause.named_children:
            name = text_of(one.child_by_field_name("name"))
            alias = text_of(one.child_by_field_name("alias"))
            self.reexports.append(Import(alias or name, where, name))

    def _default(self, node: Node) -> None:
        """`export default handler` and `export default function handler() {}`: the name that stands for the module."""
        value, declared = node.child_by_field_name("value"), node.child_by_field_name("declaration")
        name = declared.child_by_field_name("name") if declared is not None else None
        if value is not None and value.type == "identifier":
            name = value
        if name is not None:
            self.reexports.append(Import("default", "", text_of(name)))

    def required(self, left: Node, right: Node) -> None:
        """`const x = require("…")` and `const { a, b: c } = await import("…")`."""
        text = text_of(right)[:300].removeprefix("await ").strip()
        if not text.startswith(("require(", "import(", "import_module(", "importlib.import_module(")):
            return
        self._taken(left, text.partition("(")[2].partition(")")[0].strip().strip("\"'`"))

    def _taken(self, left: Node, source: str) -> None:
        """A whole module under a name, or what a pattern takes out of it."""
        if left.type == "identifier":
            self.names.append(Import(text_of(left), source, "*"))
        for child in left.named_children if left.type == "object_pattern" else []:
            key = child.child_by_field_name("key") or child
            value = child.child_by_field_name("value") or child
            self.names.append(Import(text_of(value), source, text_of(key)))

    def loaded(self, node: Node, callee: str) -> str:
        """`(await import("…")).report(…)` calls `report`; `import("…").then(({ report }) => …)` names it."""
        last = callee.removeprefix("import().")
        source = LOADED.search(text_of(node)[:300])
        if last == callee or source is None:
            return callee
        if last == "then":
            for one in arguments(node)[:1]:
                given = one.child_by_field_name("parameter") or child_of(one, 0)
                given = (
                    child_of(given, 0) if given is not None and given.type == "formal_parameters" else given
                )
                given = given.child_by_field_name("pattern") or given if given is not None else None
                if given is not None:
                    self._taken(given, source[1])
        elif last.isidentifier():
            self.names.append(Import(last, source[1], last))
            return last
        return callee

    def handed_on(self, left: str, right: Node) -> None:
        """`module.exports = handler`, `module.exports = { a, b: c, ...require("./d") }`, `exports.a = b`."""
        name = "default" if left == "module.exports" else left.rpartition(".")[2]
        if name == "default" and right.type == "object":
            for child in right.named_children:
                value = child.child_by_field_name("value") or child
                self._member_of(text_of(child.child_by_field_name("key") or child), value)
        else:
            self._member_of(name, right)

    def _member_of(self, name: str, value: Node) -> None:
        """One name that a CommonJS module gives away."""
        if value.type == "spread_element":
            name, value = "*", child_of(value, 0) or value
        said = text_of(value)[:300]
        whole = next((one.source for one in self.names if (one.local, one.name) == (said, "*")), "")
        if name == "*" and whole:
            self.reexports.append(Import("*", whole, "*"))
        elif said.startswith("require("):
            source = said.partition("(")[2].partition(")")[0].strip("\"'` ")
            self.reexports.append(Import(name, source, "*" if name == "*" else "default"))
        elif value.type in ("identifier", "shorthand_property_identifier") and name != "*":
            self.reexports.append(Import(name, "", said))
        elif (
            value.child_by_field_name("name") is not None and name != "*"
        ):  # `module.exports = function meter() {}`
            self.reexports.append(Import(name, "", text_of(value.child_by_field_name("name"))))

    def dynamic(self, callee: str, values: tuple[Expr, ...]) -> None:
        """A bare `import("…")` or `require("…")` used in place."""
        if callee in ("import", "require") and values and values[0].kind == "const":
            self.names.append(Import("", values[0].text, "*"))
