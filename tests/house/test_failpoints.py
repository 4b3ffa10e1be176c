"""Failpoints: every named place is in the sources exactly once, and every placed name is listed."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tallystick.values.failpoint import POINTS, failpoint, reached

SOURCE = Path(__file__).parents[2] / "src" / "tallystick"


def placed() -> Counter[str]:
    """The names of all `failpoint("…")` calls."""
    found: Counter[str] = Counter()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "failpoint":
                [name] = node.args
                assert isinstance(name, ast.Constant), f"{path}:{node.lineno}: the name must be a literal"
                found[str(name.value)] += 1
    return found


def test_every_failpoint_is_placed_once() -> None:
    assert placed() == Counter(dict.fromkeys(POINTS, 1))


def test_a_place_costs_nothing_to_speak_of() -> None:
    """Without the variable a place is an empty function: it asks for no name and calls nothing."""
    assert reached("") is failpoint
    assert failpoint.__code__.co_names == ()


def test_a_plan_that_names_no_place_is_refused() -> None:
    with pytest.raises(ValueError, match="no failpoint"):
        reached("gate.nowhere:1:KILL")


def test_the_process_ends_at_the_visit() -> None:
    code = (
        "from tallystick.values.failpoint import failpoint\n"
        "for n in range(5): print(n, flush=True); failpoint('gate.sent')"
    )
    environ = {**os.environ, "TALLYSTICK_FAILPOINT": "gate.sent:3:KILL"}
    run = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL
    assert run.stdout.split() == ["0", "1", "2"]
    assert run.stderr == "failpoint gate.sent\n"
