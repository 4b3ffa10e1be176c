"""Node types by role, over all grammars: their names do not clash."""

from __future__ import annotations

CALLS = frozenset(
    [
        "call_expression",
        "new_expression",
        "call",
        "function_call_expression",
        "member_call_expression",
        "nullsafe_member_call_expression",
        "scoped_call_expression",
        "object_creation_expression",
        "method_invocation",
    ]
)
FUNCTIONS = frozenset(
    [
        "function_declaration",
        "generator_function_declaration",
        "arrow_function",
        "function_expression",
        "method_definition",
        "function_definition",
        "lambda",
        "method_declaration",
        "anonymous_function",
        "func_literal",
        "method",
        "singleton_method",
        "lambda_expression",
        "block",
        "do_block",
        "constructor_declaration",
        "anonymous_function_creation_expression",
    ]
)
CLASSES = frozenset(
    [
        "class_declaration",
        "class_definition",
        "class",
        "abstract_class_declaration",
        "interface_declaration",
        "module",
        "trait_declaration",
        "class_expression",
    ]
)
MEMBERS = {
    "member_expression": ("object", "property"),
    "attribute": ("object", "attribute"),
    "selector_expression": ("operand", "field"),
    "member_access_expression": ("object", "name"),
    "nullsafe_member_access_expression": ("object", "name"),
    "scoped_property_access_expression": ("scope", "name"),
    "class_constant_access_expression": ("", ""),
    "field_access": ("object", "field"),
    "scope_resolution": ("scope", "name"),
}
NAMES = frozenset(
    [
        "identifier",
        "this",
        "self",
        "super",
        "property_identifier",
        "variable_name",
        "constant",
        "name",
        "field_identifier",
        "private_property_identifier",
        "type_identifier",
        "instance_variable",
        "package_identifier",
        "qualified_name",
        "import",
    ]
)
STRINGS = frozenset(
    [
        "string",
        "string_literal",
        "interpreted_string_literal",
        "raw_string_literal",
        "encapsed_string",
        "simple_symbol",
        "hash_key_symbol",
        "concatenated_string",
        "string_content",
        "heredoc",
    ]
)
CONSTANTS = frozenset(
    [
        "number",
        "true",
        "false",
        "null",
        "none",
        "undefined",
        "integer",
        "float",
        "int_literal",
        "float_literal",
        "decimal_integer_literal",
        "boolean",
        "nil",
        "regex",
        "True",
        "False",
        "None",
        "decimal_floating_point_literal",
    ]
)
ALONE = frozenset(
    ["assignment", "body_statement", "else", "if_modifier", "program", "then", "unless_modifier"]
)
OBJECTS = frozenset(
    ["object", "dictionary", "hash", "array_creation_expression", "composite_literal", "literal_value"]
)
PAIRS = frozenset(["pair", "array_element_initializer", "keyed_element", "keyword_argument"])
AWAITS = frozenset(["await_expression", "await", "yield_expression"])  # a generator hands it to who awaits it
WRAPS = frozenset(
    [
        "parenthesized_expression",
        "as_expression",
        "non_null_expression",
        "satisfies_expression",
        "type_assertion",
        "argument",
        "expression_list",
        "literal_element",
        "cast_expression",
        "reference_assignment_expression",
    ]
)
ASKS = frozenset(
    [
        "if_statement",
        "elif_clause",
        "else_if_clause",
        "if",
        "unless",
        "elsif",
        "if_modifier",
        "unless_modifier",
    ]
)
NEGATIONS = frozenset(
    ["not_operator", "unary", "unary_op_expression", "binary_expression", "boolean_operator", "binary"]
)
ASSIGNS = frozenset(
    [
        "variable_declarator",
        "assignment_expression",
        "assignment",
        "short_var_declaration",
        "augmented_assignment_expression",
        "augmented_assignment",
        "operator_assignment",
        "assignment_statement",
        "named_expression",
        "public_field_definition",
    ]
)
LOOPS = {  # by type: the fields of what a round is given, and of what it is taken from
    "for_in_statement": ("left", "right"),
    "for_statement": ("left", "right"),
    "for_in_clause": ("left", "right"),
    "for": ("pattern", "value"),
    "range_clause": ("left", "right"),
    "enhanced_for_statement": ("name", "value"),
}
TRIES = frozenset(["try_statement", "try_with_resources_statement", "begin"])
CATCHES = frozenset(["catch_clause", "except_clause", "except_group_clause", "rescue"])
SKIPPED = frozenset(
    [
        "type_annotation",
        "type_parameters",
        "type_arguments",
        "interface_declaration",
        "type_alias_declaration",
        "comment",
    ]
)
