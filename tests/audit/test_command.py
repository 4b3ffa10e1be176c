"""The command as a user meets it: options, streams, files, exit codes. The engine is a stand-in here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import msgspec
import pytest
from samples import failing, passing, skipping

from tallystick.audit.model import Report
from tallystick.cli.audit import destinations
from tallystick.cli.entry import main
from tallystick.errors import ConfigError

Run = Callable[..., tuple[int, str, str]]


class Stand:
    """An engine that finds what it is told to find."""

    def __init__(self) -> None:
        self.report: Report = failing().report
        self.problem: Exception | None = None
        self.given: dict[str, object] = {}

    def audit(self, root: Path, files: object, **options: object) -> Report:
        self.given = {"root": root, "files": files, **options}
        if self.problem:
            raise self.problem
        return self.report


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    stand = Stand()
    module = ModuleType("tallystick.audit.engine")
    module.audit = stand.audit  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tallystick.audit.engine", module)
    return stand


@pytest.fixture
def run(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Run:
    (tmp_path / "main.py").write_text("x = 1\n")
    monkeypatch.setattr("tallystick.cli.auditing.cache_folder", lambda root: "")

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tallystick", "audit", *arguments])
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as exited:
            main()
        captured = capsys.readouterr()
        status = exited.value.code
        return status if isinstance(status, int) else 0, captured.out, captured.err

    return call


def test_the_verdict_is_the_exit_code(run: Run, stand: Stand) -> None:
    """Findings on standard output, nothing on standard error when nobody watches."""
    status, out, err = run()
    assert (status, err) == (1, "")
    assert " FAIL " in out
    assert "\x1b" not in out
    stand.report = passing().report
    assert run()[0] == 0
    stand.report = skipping().report
    assert run()[0] == 0
    assert run("--require-metering")[0] == 3
    stand.report = failing().report
    assert run("--strict-coverage")[0] == 4
    assert run("--exit-zero")[0] == 0


def test_the_engine_gets_the_tree_and_the_settings(run: Run, stand: Stand, tmp_path: Path) -> None:
    """The option outranks the file, the file outranks the default."""
    run()
    assert stand.given["files"] == ("main.py",)
    assert stand.given["profile"] == "durable"
    (tmp_path / "tallystick.toml").write_text('[audit]\nprofile = "strict"\nexclude = ["main.py"]\n')
    run()
    assert (stand.given["profile"], stand.given["files"]) == ("strict", ("tallystick.toml",))
    run("--profile", "durable", "--isolated")
    assert stand.given["profile"] == "durable"


def test_several_formats_at_once(run: Run, tmp_path: Path) -> None:
    """Each output belongs to the format before it; what has none goes to standard output."""
    status, out, _ = run(
        "-f", "json", "-o", "a.json", "--format=sarif", "--output=b.sarif", "--format", "github"
    )
    assert status == 1
    assert out.startswith("::error ")
    assert json.loads((tmp_path / "a.json").read_text())["verdict"] == "fail"
    assert json.loads((tmp_path / "b.sarif").read_text())["version"] == "2.1.0"
    _, out, _ = run("-f", "html", "-o", "page.html")
    assert out == ""
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "xml"], "no such format"),
        (["-f", "json", "-f", "sarif"], "standard output is taken by json"),
        (["-o", "x", "-o", "y"], "no --format stands before it"),
        (["--profile", "loose"], "durable, strict"),
        (["--fail-on", "never"], "verdict, high"),
        (["--explain", "nothing"], "--rules"),
        (["--config", "none.toml"], "cannot be read"),
        (["--baseline", "none.json"], "--write-baseline"),
        (["--diff", "nowhere"], "no such revision"),
        (["missing"], "no such file or folder"),
        (["-f", "json", "-o", "no/such/folder.json"], "check the path"),
        (["--write-baseline", "b.json", "--diff", "HEAD"], "leave out"),
    ],
)
def test_a_mistake_of_the_user_is_one_line_and_two(run: Run, arguments: list[str], words: str) -> None:
    """One line on standard error, exit code 2."""
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("tallystick audit: ")
    assert words in err


def test_a_mistake_of_ours_is_seventy(run: Run, stand: Stand) -> None:
    """Never taken for a verdict."""
    stand.problem = RuntimeError("boom")
    status, out, err = run()
    assert (status, out) == (70, "")
    assert "internal error (RuntimeError): nothing was decided" in err


def test_a_baseline_from_writing_to_passing(run: Run, stand: Stand, tmp_path: Path) -> None:
    """Write it, then the same tree exits with 0; something new exits with 1."""
    assert run("--write-baseline", "known.json")[0] == 0
    status, out, _ = run("--baseline", "known.json")
    assert status == 0
    assert "4 known from the baseline" in out
    first = stand.report.findings[0]
    moved = msgspec.structs.replace(first, function="other")
    stand.report = msgspec.structs.replace(stand.report, findings=(*stand.report.findings, moved))
    assert run("--baseline", "known.json")[0] == 1


def test_an_inline_suppression_counts(run: Run, stand: Stand, tmp_path: Path) -> None:
    """A comment in the tree reaches the verdict; one without a reason is reported."""
    finding = msgspec.structs.replace(
        failing().report.findings[0],
        place=msgspec.structs.replace(failing().report.findings[0].place, path="main.py", line=1, end_line=1),
    )
    stand.report = msgspec.structs.replace(failing().report, findings=(finding,))
    (tmp_path / "main.py").write_text(
        "x = 1  # tallystick: ignore[client_supplied_quantity] only our worker calls it\n"
    )
    status, out, _ = run()
    assert (status, " PASS " in out) == (0, True)
    (tmp_path / "main.py").write_text("x = 1  # tallystick: ignore[client_supplied_quantity]\n")
    status, out, _ = run()
    assert (status, "suppression_without_reason" in out) == (1, True)


def test_quiet_prints_nothing(run: Run) -> None:
    """The exit code is the answer."""
    assert run("-q") == (1, "", "")


def test_rules_and_explanations(run: Run) -> None:
    """Every code is listed, and each has its page."""
    _, listed, _ = run("--rules")
    assert "unused_suppression" in listed
    status, out, _ = run("--explain", "unused_suppression")
    assert status == 0
    assert "Wrong" in out
    assert "Right" in out


def test_pairs_of_format_and_output() -> None:
    """The rule itself, without the command."""
    pairs = destinations(["-fjson", "-ox", "-f", "text"], ["json", "text"], [Path("x")])
    assert pairs == [("json", Path("x")), ("text", None)]
    assert destinations([], [], [Path("x")]) == [("text", Path("x"))]
    with pytest.raises(ConfigError):
        destinations([], ["text", "json"], [])


def test_starting_is_quick() -> None:
    """The command line answers before anything heavy is loaded."""
    script = (
        "import sys; sys.argv = ['tallystick', 'audit', '--help']; from tallystick.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = ('tree_sitter', 'pathspec', 'tallystick.audit', 'msgspec', 'rich.console')\n"
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert out.startswith("Usage: tallystick audit")
    assert out.splitlines()[-1] == "[]"
