"""The kept answer is used only while it is still the right one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from samples import failing, hostile

from tallystick.audit.cache.answers import Answers
from tallystick.audit.config import Models, Settings
from tallystick.audit.model import Profile

FILES = ("a.py", "b.py")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    for name in FILES:
        (tmp_path / "tree" / name).write_text("x = 1\n")
    return tmp_path / "tree"


def answers(tree: Path, settings: Settings | None = None, files: tuple[str, ...] = FILES) -> Answers:
    return Answers(str(tree.parent / "cache"), tree, files, settings or Settings())


def rewritten(tree: Path) -> None:
    status = (tree / "a.py").stat()
    (tree / "a.py").write_text("x = 2\n")
    os.utime(tree / "a.py", ns=(status.st_atime_ns, status.st_mtime_ns))


def replaced(tree: Path) -> None:
    (tree / "other").write_text("x = 3\n")
    (tree / "other").replace(tree / "a.py")


CHANGES = {
    "rewritten with its time set back": rewritten,
    "replaced": replaced,
    "gone": lambda tree: (tree / "a.py").unlink(),
}


def test_an_unchanged_tree_keeps_its_answer(tree: Path) -> None:
    """The very same report comes back."""
    assert answers(tree).get() is None
    answers(tree).put(failing().report)
    assert answers(tree).get() == failing().report


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_file_forgets_it(tree: Path, change: Callable[[Path], None]) -> None:
    """By any change of the file, its time stamp forged or not."""
    answers(tree).put(failing().report)
    change(tree)
    assert answers(tree).get() is None


def test_other_files_or_settings_forget_it(tree: Path) -> None:
    """What the engine reads decides."""
    answers(tree).put(failing().report)
    assert answers(tree, files=("a.py",)).get() is None
    assert answers(tree, Settings(profile=Profile.STRICT)).get() is None
    assert answers(tree, Settings(models=Models(meter_functions=("book",)))).get() is None


@pytest.mark.parametrize("damage", [b"", b"\xff" * 100, msgspec.msgpack.encode(("key", {}))])
def test_a_damaged_file_is_no_answer(tree: Path, damage: bytes) -> None:
    """Nothing is believed that does not decode."""
    answers(tree).put(failing().report)
    (tree.parent / "cache" / "answer.msgpack").write_bytes(damage)
    assert answers(tree).get() is None


def test_what_cannot_be_kept_is_not_kept(tree: Path) -> None:
    """Broken names, a folder in the way, or no folder at all: no answer, no error."""
    answers(tree).put(hostile().report)
    assert answers(tree).get() is None
    (tree.parent / "cache" / "answer.msgpack").mkdir(parents=True, exist_ok=True)
    answers(tree).put(failing().report)
    nowhere = Answers("", tree, FILES, Settings())
    nowhere.put(failing().report)
    assert nowhere.get() is None
