"""House rules that a reader of the tree relies on, checked on the syntax tree."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "tallystick"
FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_and_functions_stay_short(path: Path) -> None:
    """Files stay under 400 lines and functions at most 70."""
    text = path.read_text()
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno <= 70, node.name


@pytest.mark.parametrize(
    "path", sorted((SOURCE / "audit").rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE))
)
def test_the_auditor_stands_alone(path: Path) -> None:
    """The auditor imports nothing of tallystick but `errors` and itself."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        for name in names:
            if name.startswith("tallystick"):
                assert name.startswith(("tallystick.audit", "tallystick.errors")), name
