"""The GitHub Action's own script, run as the runner would, with the command replaced by a recorder."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from samples import failing

from tallystick.audit.report import render

ROOT = Path(__file__).parents[2]
INPUTS = "AUDIT_PATH AUDIT_PROFILE AUDIT_FAIL_ON AUDIT_BASELINE AUDIT_DIFF AUDIT_STRICT AUDIT_REQUIRE".split()  # noqa: SIM905
RECORDER = """#!/bin/sh
printf '%s\\n' "$@" > "$RUNNER_TEMP/arguments"
[ -f "$RUNNER_TEMP/broken" ] && exit 2
while [ $# -gt 0 ]; do
  if [ "$1" = --output ]; then cp "$RUNNER_TEMP/sample.${2##*.}" "$2"; fi
  shift
done
exit 1
"""


@pytest.fixture
def runner(tmp_path: Path) -> Path:
    command = tmp_path / "tallystick" / "bin" / "tallystick"
    command.parent.mkdir(parents=True)
    command.write_text(RECORDER)
    command.chmod(0o755)
    for ending, name in (("json", "json"), ("sarif", "sarif"), ("md", "markdown")):
        (tmp_path / f"sample.{ending}").write_text(render(name, failing()))
    return tmp_path


def step(name: str) -> str:
    """One step's script."""
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    return str(next(one["run"] for one in action["runs"]["steps"] if one.get("name") == name))


def run(runner: Path, **inputs: str) -> dict[str, str]:
    """Run the audit step; returns its outputs."""
    environment = {name: inputs.get(name, "") for name in INPUTS}
    environment |= {
        "PATH": os.environ["PATH"],
        "RUNNER_TEMP": str(runner),
        "GITHUB_OUTPUT": str(runner / "output"),
        "GITHUB_STEP_SUMMARY": str(runner / "summary"),
    }
    subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step("Audit")], env=environment, check=True
    )
    return dict(line.split("=", 1) for line in (runner / "output").read_text().splitlines())


def test_outputs_and_summary(runner: Path) -> None:
    """The verdict and the counts are outputs, the Markdown report is the summary, the status is kept for the end."""
    outputs = run(runner, AUDIT_PATH=".")
    assert outputs["status"] == "1"
    assert (outputs["verdict"], outputs["endpoints"], outputs["reporting"], outputs["findings"]) == (
        "fail",
        "3",
        "2",
        "3",
    )
    assert Path(outputs["sarif"]).is_file()
    assert "2 of 3 metered endpoints" in (runner / "summary").read_text()


def test_inputs_become_options_and_nothing_else(runner: Path) -> None:
    """An input is one argument whatever it holds; the path cannot become an option."""
    run(
        runner,
        AUDIT_PATH="--exit-zero",
        AUDIT_PROFILE="strict",
        AUDIT_DIFF="main; rm -rf x",
        AUDIT_STRICT="true",
    )
    arguments = (runner / "arguments").read_text().splitlines()
    assert arguments[1:6] == ["--profile", "strict", "--diff", "main; rm -rf x", "--strict-coverage"]
    assert arguments[-2:] == ["--", "--exit-zero"]


def test_a_broken_run_keeps_its_status_and_uploads_nothing(runner: Path) -> None:
    """No report, no outputs but the status, which the last step ends with."""
    (runner / "broken").touch()
    assert run(runner, AUDIT_PATH=".") == {"status": "2"}
    ended = subprocess.run(["bash", "-c", step("Verdict")], env={"STATUS": "2"}, check=False)
    assert ended.returncode == 2
