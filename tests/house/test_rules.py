"""What must be absent from the sources (docs: ARCHITECTURE.md), as small checks on the syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "tallystick"
TESTS = Path(__file__).parents[1]
FILES = [path for path in sorted(SOURCE.rglob("*.py")) if path.relative_to(SOURCE).parts[0] != "audit"]
STATIONS = [
    path for path in FILES if path.relative_to(SOURCE).parts[0] not in ("sandbox", "demo", "cli", "testing")
]


def station(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0]


def calls(path: Path) -> Iterator[tuple[str, int]]:
    """Every called name, dotted as it is written, with its line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(SOURCE)) for path in paths]


@pytest.mark.parametrize("path", STATIONS, ids=names(STATIONS))
def test_only_storage_ends_transactions(path: Path) -> None:
    """One owner of commit: no `.commit()` or `.rollback()` elsewhere."""
    if station(path) != "storage":
        found = [
            (name, line) for name, line in calls(path) if name.rpartition(".")[2] in ("commit", "rollback")
        ]
        assert found == []


@pytest.mark.parametrize("path", STATIONS, ids=names(STATIONS))
def test_time_chance_and_environment_come_through_ports(path: Path) -> None:
    """Clock, random source and environment are read in `values/` and in `app/` only."""
    if station(path) in ("values", "app"):
        return
    forbidden = {
        "time.time",
        "time.time_ns",
        "time.monotonic",
        "datetime.now",
        "datetime.utcnow",
        "date.today",
    }
    forbidden |= {"os.urandom", "os.getenv", "uuid.uuid4", "random.random", "random.Random", "time.sleep"}
    assert [(name, line) for name, line in calls(path) if name in forbidden] == []
    text = path.read_text()
    assert "os.environ" not in text
    assert "import random" not in text


@pytest.mark.parametrize("path", STATIONS, ids=names(STATIONS))
def test_no_floats_near_quantities(path: Path) -> None:
    """Where quantities live there is no `float(...)` and no float literal."""
    if station(path) not in ("values", "meters", "ledger"):
        return
    exempt = {"ledger/commit.py", "ledger/ledger.py"}  # patience, in seconds
    if str(path.relative_to(SOURCE)) in exempt:
        return
    tree = ast.parse(path.read_text())
    literals = [
        n.lineno for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, float)
    ]
    assert literals == []
    assert [line for name, line in calls(path) if name == "float"] == []


@pytest.mark.parametrize("path", STATIONS, ids=names(STATIONS))
def test_stripe_stays_in_its_folder(path: Path) -> None:
    """No Stripe type outside `providers/stripe`."""
    if "providers/stripe" in path.as_posix():
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert all(alias.name.split(".")[0] != "stripe" for alias in node.names)
        if isinstance(node, ast.ImportFrom) and not node.level:
            assert (node.module or "").split(".")[0] != "stripe"


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_no_mutable_state_at_module_level(path: Path) -> None:
    """Modules hold constants: a list or dict of theirs is never changed, and none starts empty."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            empty = isinstance(node.value, ast.List | ast.Dict | ast.Set) and not ast.unparse(
                node.value
            ).strip("[]{}")
            made = isinstance(node.value, ast.Call) and ast.unparse(node.value.func) in (
                "list",
                "dict",
                "set",
                "deque",
            )
            assert not empty, node.lineno
            assert not made, node.lineno


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_no_global_statement(path: Path) -> None:
    """Nothing rebinds a module's names."""
    assert not any(isinstance(node, ast.Global) for node in ast.walk(ast.parse(path.read_text())))


def test_tests_do_not_sleep() -> None:
    """Time goes through the clock port, waiting through events."""
    found = [
        f"{path.relative_to(TESTS)}:{line}"
        for path in TESTS.rglob("*.py")
        if "fixtures" not in path.parts
        for name, line in calls(path)
        if name == "time.sleep"
    ]
    assert found == []


def test_tests_do_not_time() -> None:
    """How long something takes is for benchmarks to say: a machine may be busy."""
    clocks = ("time.perf_counter", "time.monotonic", "time.process_time", "time.time", "timeit.repeat")
    found = [
        f"{path.relative_to(TESTS)}:{line}"
        for path in TESTS.rglob("test_*.py")
        for name, line in calls(path)
        if name in clocks
    ]
    assert found == []


def test_every_station_says_what_it_owns() -> None:
    """Each folder's README: owns, does not own, invariants."""
    for folder in sorted({path.parent for path in FILES if path.parent.parent == SOURCE}):
        text = (folder / "README.md").read_text()
        assert all(word in text for word in ("Owns:", "Does not own:", "Invariants:")), folder.name
