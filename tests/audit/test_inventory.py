"""The walk and the reading of one file: what is taken, left out, lost; and that nothing hostile gets through."""

from __future__ import annotations

import os
import subprocess
import tracemalloc
from pathlib import Path

import pytest
from trees import ending

from tallystick.audit.inventory import Inventory, LeftOutError, Limits, Selection, UnreadableError, read, walk
from tallystick.errors import ConfigError


def plant(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def commit(root: Path) -> None:
    for arguments in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"],
    ):
        subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True)


APPLICATION = {
    "app/api/chat/route.ts": "export const POST = 1",
    "app/api/build/route.ts": "export const POST = 1",
    "src/vendor/bill.ts": "export const a = 1",
    "vercel.json": "{}",
    "main.py": "x = 1",
    "notes.md": "words",
    "vendor/lib.js": "1",
    "dist/index.js": "1",
    "node_modules/a/index.js": "1",
    "static/app.min.js": "1",
    "types/api.d.ts": "declare const a: 1",
    "ignored/secret.py": "x = 1",
    ".gitignore": "ignored/\n*.log\n",
    "pkg/.gitignore": "*.py\n!kept.py\n",
    "pkg/dropped.py": "x = 1",
    "pkg/kept.py": "x = 1",
}
TAKEN = (
    "app/api/build/route.ts",
    "app/api/chat/route.ts",
    "main.py",
    "pkg/kept.py",
    "src/vendor/bill.ts",
    "vercel.json",
)


@pytest.mark.parametrize("by_git", [True, False])
def test_git_and_the_own_walk_take_the_same_files(tmp_path: Path, by_git: bool) -> None:
    """Ignored, vendored, built and generated files stay out; a route folder called build does not."""
    plant(tmp_path, APPLICATION)
    if by_git:
        commit(tmp_path)
    found = walk(tmp_path)
    assert found.files == TAKEN
    assert found.unread == ()
    assert dict(found.left_out)["vendored"] >= 1


def test_an_untracked_file_counts_and_a_deleted_one_is_no_loss(tmp_path: Path) -> None:
    """What git does not know yet is read; what is only in its index is not missed."""
    commit(plant(tmp_path, {"a.py": "", "gone.py": ""}))
    (tmp_path / "gone.py").unlink()
    (tmp_path / "new.py").write_text("")
    assert walk(tmp_path) == Inventory(files=("a.py", "new.py"))


def test_a_tree_that_the_enclosing_repository_ignores_is_still_walked(tmp_path: Path) -> None:
    """A checkout inside an ignored folder is audited, not reported as empty."""
    commit(plant(tmp_path, {".gitignore": "scratch/\n", "scratch/app/main.py": ""}))
    assert walk(tmp_path / "scratch" / "app").files == ("main.py",)


@pytest.mark.parametrize("by_git", [True, False])
def test_languages_without_a_reader_are_lost_coverage(tmp_path: Path, by_git: bool) -> None:
    """One line for each, and none for what the user leaves out."""
    names = ["core/src/lib.rs", "core/src/main.rs", "Billing.cs", "old/Usage.cs", "target/debug/build.rs"]
    root = plant(tmp_path, dict.fromkeys(names, "x") | {"main.py": "x = 1"})
    if by_git:
        commit(root)
    found = walk(root, Selection(exclude=("old/",)))
    assert found.files == ("main.py",)
    assert found.unread == (
        ("Billing.cs", "C# is not read (1 in all)"),
        ("core/src/lib.rs", "Rust is not read (2 in all)"),
    )


def test_include_and_exclude_speak_gitignore(tmp_path: Path) -> None:
    """Both narrow the walk; exclude wins."""
    plant(tmp_path, {"api/a.py": "", "api/legacy/b.py": "", "web/c.ts": ""})
    assert walk(tmp_path, Selection(include=("api",), exclude=("**/legacy/",))).files == ("api/a.py",)
    with pytest.raises(ConfigError, match="exclude"):
        walk(tmp_path, Selection(exclude=("!",)))


def test_links_are_never_followed(tmp_path: Path) -> None:
    """Out of the tree: lost coverage. Inside: the target is read as itself. A loop ends."""
    outside = plant(tmp_path / "outside", {"secret.py": "KEY = 1", "more/x.py": ""})
    root = plant(tmp_path / "root", {"a.py": ""})
    (root / "leak.py").symlink_to(outside / "secret.py")
    (root / "folder").symlink_to(outside / "more")
    (root / "same.py").symlink_to(root / "a.py")
    (root / "loop").symlink_to(root)
    found = walk(root)
    assert found.files == ("a.py",)
    assert found.unread == (("leak.py", "link that leaves the tree: not followed"),)
    with pytest.raises(UnreadableError):
        read(root, "leak.py")


def test_a_folder_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    """Git's index still names the files behind it; a crafted index could name anything."""
    outside = plant(tmp_path / "outside", {"secret.py": "KEY = 1"})
    root = plant(tmp_path / "root", {"a.py": "", "lib/secret.py": ""})
    commit(root)
    (root / "lib/secret.py").unlink()
    (root / "lib").rmdir()
    (root / "lib").symlink_to(outside)
    found = walk(root)
    assert found.files == ("a.py",)
    assert ("lib/secret.py", "reached through a link: not followed") in found.unread
    for path in ("../outside/secret.py", str(outside / "secret.py")):
        with pytest.raises(UnreadableError, match="outside the tree"):
            read(root, path)


def test_hostile_names_are_carried_unharmed(tmp_path: Path) -> None:
    """Newlines, escapes and bytes that are no UTF-8 are only names."""
    names = [b"a\nb.py", b"esc\x1b[31m.py", b"bad\xff.py", b"-rf.py", b"quote'\".py"]
    for name in names:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(b"x = 1\n")
    found = walk(tmp_path)
    assert sorted(map(os.fsencode, found.files)) == sorted(names)
    assert all(read(tmp_path, name) == b"x = 1\n" for name in found.files)


def test_what_is_no_plain_file_is_lost_coverage(tmp_path: Path) -> None:
    """A pipe would block for ever, an unreadable folder hides code: both are said."""
    os.mkfifo(tmp_path / "pipe.py")
    assert walk(tmp_path).unread == (("pipe.py", "not a regular file"),)
    with pytest.raises(UnreadableError, match="not a regular file"):
        read(tmp_path, "pipe.py")


def test_an_unreadable_file_is_lost_coverage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permission denied is a reason, not a crash."""
    (tmp_path / "a.py").write_text("")

    def denied(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(UnreadableError, match="cannot be read: Permission denied"):
        read(tmp_path, "a.py")


def test_a_hundred_megabytes_are_not_read(tmp_path: Path) -> None:
    """The size is taken from the directory; even a direct read stops at the limit."""
    with open(tmp_path / "big.ts", "wb") as file:
        file.truncate(100 * 1024 * 1024)
    assert walk(tmp_path).unread == (("big.ts", "larger than 1 MB (100.0 MB)"),)
    tracemalloc.start()
    with pytest.raises(UnreadableError, match="larger"):
        read(tmp_path, "big.ts")
    assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    tracemalloc.stop()


def test_deep_folders_end_in_a_line(tmp_path: Path) -> None:
    """A thousand levels cost no recursion and no more than the limit."""
    here = os.getcwd()
    try:
        os.chdir(tmp_path)
        for _ in range(300):
            os.mkdir("d")
            os.chdir("d")
    finally:
        os.chdir(here)
    (reason,) = {reason for _, reason in walk(tmp_path).unread}
    assert reason == "folders nested deeper than 64"


def test_too_many_files_end_in_a_line(tmp_path: Path) -> None:
    """The number of files is bounded, and the rest is said to be unread."""
    plant(tmp_path, {f"m{number}.py": "" for number in range(20)})
    found = walk(tmp_path, limits=Limits(files=5))
    assert len(found.files) == 5
    assert "more than 5 files" in found.unread[0][1]


BOMBS = {
    "open brackets": b"(" * 1_000_000,
    "nested arrays": b"[" * 400_000 + b"]" * 400_000,
    "mixed": b"({[" * 300_000 + b"]})" * 300_000,
    "zigzag": b"(((" + b"(}" * 500_000,
    "staircase": b"".join(b"(" * depth + b")" * depth for depth in range(1, 1200)),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_parser_bombs_are_refused_in_bounded_time(tmp_path: Path, bomb: bytes) -> None:
    """Nesting that no parser should see is lost coverage."""
    (tmp_path / "bomb.ts").write_bytes(bomb)
    with ending(20), pytest.raises((UnreadableError, LeftOutError)):
        read(tmp_path, "bomb.ts")


def test_generated_and_minified_text_is_left_out(tmp_path: Path) -> None:
    """Told from the text, and only when the text says so about itself."""
    plant(
        tmp_path,
        {
            "a.ts": "// Code generated by protoc. DO NOT EDIT.\nexport const a = 1\n",
            "b.ts": "export const note = 'the client is @generated by a tool'\n",
            "c.js": "var a=function(b){return b};" * 2_000,
            "d.py": "x = 1\n\0",
        },
    )
    assert read(tmp_path, "b.ts")
    for name, kind in (("a.ts", "generated"), ("c.js", "minified")):
        with pytest.raises(LeftOutError, match=kind):
            read(tmp_path, name)
    with pytest.raises(UnreadableError, match="binary"):
        read(tmp_path, "d.py")


def test_git_cannot_be_made_to_run_a_program_of_the_tree(tmp_path: Path) -> None:
    """A file system monitor planted in the repository's own configuration is not started."""
    commit(plant(tmp_path, {"a.py": ""}))
    proof = tmp_path.parent / "proof"
    script = tmp_path / "evil.sh"
    script.write_text(f"#!/bin/sh\ntouch {proof}\n")
    script.chmod(0o755)
    subprocess.run(["git", "config", "core.fsmonitor", str(script)], cwd=tmp_path, check=True)
    assert "a.py" in walk(tmp_path).files
    assert not proof.exists()
