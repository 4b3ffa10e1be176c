"""Findings outlive their process, and are counted until a person closes them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tallystick import Catalogue, Tally
from tallystick.errors import ActionError, LedgerError
from tallystick.storage import open_store


def reopened(url: str) -> Tally:
    return Tally(open_store(url, auto_migrate=True), Catalogue())


def test_another_process_sees_them(store_url: str) -> None:
    with reopened(store_url) as first:
        first.find("key_conflict", "ada", "one")
        first.find("key_conflict", "ada", "two")
        first.find("key_conflict", "bob", "three")
        assert first.noted.open() == [], "noting never waits"
    with reopened(store_url) as second:
        second.find("key_conflict", "ada", "four")
        second.noted.keep()
        found = {k.subject: (k.message, k.count) for k in second.noted.open()}
        assert found == {"ada": ("four", 3), "bob": ("three", 1)}


def test_closed_by_name_and_opened_again(store_url: str) -> None:
    with reopened(store_url) as tally:
        tally.find("key_conflict", "ada", "one")
        tally.noted.keep()
        with pytest.raises(ActionError, match="give a name"):
            tally.noted.close("key_conflict", "ada", by=" ")
        assert tally.noted.close("key_conflict", "ada", by="Grace") == 1
        assert tally.noted.close("key_conflict", "ada", by="Grace") == 0
        assert tally.noted.open() == []
        tally.find("key_conflict", "ada", "again")
        tally.noted.keep()
        assert [(k.message, k.count) for k in tally.noted.open()] == [("again", 2)]


def test_what_cannot_be_kept_now_is_kept_later(store_url: str) -> None:
    with reopened(store_url) as tally:
        write = tally.ledger.store.write

        def away(**_: Any) -> Any:
            raise LedgerError("away")

        tally.ledger.store.write = away  # type: ignore[method-assign]
        tally.find("late_settle", "ada", "one")
        assert tally.noted.keep() == 0
        tally.ledger.store.write = write  # type: ignore[method-assign]
        assert tally.noted.keep() == 1
        assert [k.message for k in tally.noted.open()] == ["one"]


def test_on_the_command_line(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'usage.db'}"
    (tmp_path / "tallystick.toml").write_text("[meters.tokens]\n")
    with reopened(url) as tally:
        tally.find("late_settle", "ada", "a hold was voided before its action ended")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tallystick", "findings", *arguments]
        environ = {"TALLYSTICK_STORE": url, "PATH": "", "COLUMNS": "160"}
        import os

        return subprocess.run(
            command, cwd=tmp_path, env={**os.environ, **environ}, capture_output=True, text=True, timeout=60
        )

    listed = run()
    assert listed.returncode == 1
    assert "late_settle" in listed.stdout
    assert run("close", "late_settle").stderr.count("\n") == 1
    assert "1 finding(s) closed" in run("close", "late_settle", "--by", "Grace").stdout
    assert run().returncode == 0
