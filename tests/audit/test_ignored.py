"""`.gitignore` where there is no git: bounded, whatever stands in it, and what is not applied is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import ending

from tallystick.audit.inventory import walk
from tallystick.audit.inventory.listing import PATTERNS, UNAPPLIED


def plant(root: Path, ignored: str, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("export const a = 1;\n")
    (root / ".gitignore").write_text(ignored)


def test_as_many_patterns_as_any_tree_has_are_applied(tmp_path: Path) -> None:
    """Remarks and empty lines are none."""
    lines = "".join(f"# {number}\n\nf{number}.ts\n" for number in range(PATTERNS))
    plant(tmp_path, lines, "f0.ts", f"f{PATTERNS - 1}.ts", "kept.ts")
    found = walk(tmp_path)
    assert (found.files, found.unread) == (("kept.ts",), ())


def test_more_patterns_are_lost_coverage(tmp_path: Path) -> None:
    """What they would have left out is read: rather too much than too little."""
    lines = "".join(f"f{number}.ts\n" for number in range(100_000))
    plant(tmp_path, lines, "f0.ts", "f99999.ts", *(f"d{number}/a.ts" for number in range(200)))
    with ending():
        found = walk(tmp_path)
    assert found.unread == ((".gitignore", UNAPPLIED),)
    assert "f99999.ts" in found.files
    assert "f0.ts" not in found.files


def test_patterns_of_folders_in_folders_add_up(tmp_path: Path) -> None:
    """Each path is compared with those of all folders above it."""
    path = tmp_path
    for number in range(30):
        path = path / f"d{number}"
        plant(path, "".join(f"x{one}\n" for one in range(PATTERNS // 4)), "a.ts")
    unread = walk(tmp_path).unread
    assert len(unread) == 30 - 4
    assert {reason for _, reason in unread} == {UNAPPLIED}


@pytest.mark.parametrize(
    ("pattern", "lost"),
    [
        ("report.[0-9]*.[0-9]*.[0-9]*.[0-9]*.ts", False),
        ("**/**/*.log.*", False),
        ("*a*a*a*a*a*a*a*b", True),
        ("**/*a/*a/*a/*a/*a/*a/*b", True),
    ],
)
def test_stars_beyond_any_use_are_lost_coverage(pattern: str, lost: bool, tmp_path: Path) -> None:
    """Each of them multiplies the ways to match a name of the same letters."""
    plant(tmp_path, f"{pattern}\nother.ts\n", "a" * 200 + ".ts", "report.1.2.3.4.ts", "other.ts")
    with ending():
        found = walk(tmp_path)
    assert found.unread == (((".gitignore", UNAPPLIED),) if lost else ())
    assert "other.ts" not in found.files


def test_a_malformed_pattern_ignores_nothing(tmp_path: Path) -> None:
    """And the others go on to count."""
    plant(tmp_path, "!\n\\\nother.ts\n", "other.ts", "kept.ts")
    assert walk(tmp_path).files == ("kept.ts",)
