"""The documentation against the program: codes, options, exit codes, settings, and the files others run us by."""

from __future__ import annotations

import inspect
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tallystick.audit import config
from tallystick.audit.handbook import catalogue
from tallystick.audit.handbook import page as handbook
from tallystick.audit.report import FORMATS
from tallystick.cli import audit as command

ROOT = Path(__file__).parents[2]
README = (ROOT / "docs/audit/README.md").read_text()
FINDINGS = (ROOT / "docs/audit/findings.md").read_text()


def test_the_findings_page_is_the_catalogue() -> None:
    """`make audit-docs` was run after the last change."""
    assert handbook.render(catalogue.entries()) == FINDINGS


def test_every_code_is_documented_and_every_documented_code_exists() -> None:
    """One heading a code, each with its wrong and its right way."""
    headings = re.findall(r"^### (\S+)$", FINDINGS, re.MULTILINE)
    assert sorted(headings) == sorted(catalogue.codes())
    for entry in catalogue.entries():
        assert entry.title, entry.code
        assert len(entry.why) > 40, entry.code
        assert entry.wrong, entry.code
        assert entry.right, entry.code


def options() -> set[str]:
    """Every option the command takes."""
    found: set[str] = set()
    for name, parameter in inspect.signature(command.audit, eval_str=True).parameters.items():
        (info,) = parameter.annotation.__metadata__
        declared = (
            str(info.default),
            *(info.param_decls or ()),
        )  # typer takes the first name for the default
        if name != "path":
            found |= {one for one in declared if one.startswith("-")} or {f"--{name.replace('_', '-')}"}
    return found | {"--no-cache"}


def test_documented_options_are_the_options() -> None:
    """None missing, none invented."""
    table = README.split("## Options")[1].split("## Settings")[0]
    assert set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", table)) == options()


def test_options_in_examples_exist() -> None:
    """Every `tallystick audit` line in the documentation can be typed."""
    lines = re.findall(r"tallystick audit [^`\n]*", README + FINDINGS)
    used = {option for line in lines for option in re.findall(r"(?<!\S)--[a-z-]+", line)}
    assert used <= options() | {"--help"}


def test_documented_settings_are_accepted() -> None:
    """The example is a real settings file, and shows every key."""
    example = tomllib.loads(README.split("```toml\n")[1].split("```")[0])["audit"]
    config.parse(example, "example", catalogue.codes())
    assert set(example) == set(config.KEYS)
    assert set(example["models"]) == set(config.MODEL_KEYS)


def test_documented_exit_codes_and_formats() -> None:
    """The table, the command's own help and the list of formats agree."""
    table = README.split("## Exit codes")[1].split("## Options")[0]
    assert re.findall(r"^\| (\d+) \|", table, re.MULTILINE) == ["0", "1", "2", "3", "4", "70"]
    help_text = inspect.getdoc(command.audit) or ""
    assert re.findall(r"(?<!-)\b(\d+) ", help_text) == ["0", "1", "2", "3", "4", "70"]
    formats = README.split("## Formats")[1]
    assert re.findall(r"^\| `(\w+)` \|", formats, re.MULTILINE) == list(FORMATS)
    assert tuple(FORMATS) == command.FORMATS


def test_the_action_is_sound() -> None:
    """Inputs and outputs are the documented ones; no input reaches a script as text."""
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    assert action["runs"]["using"] == "composite"
    section = README.split("Inputs:")[1].split("The job summary")[0]
    inputs, outputs = section.split("Outputs:")
    assert re.findall(r"`([\w-]+)`", inputs) == list(action["inputs"])
    assert re.findall(r"`([\w-]+)`", outputs) == list(action["outputs"])
    for step in action["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
        assert step.get("shell") == "bash" or "uses" in step


def test_the_pre_commit_hook_looks_at_the_whole_tree() -> None:
    """It is one run over everything, not one per changed file."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["entry"] == "tallystick audit"
    assert hook["language"] == "python"
    assert hook["pass_filenames"] is False
    assert hook["require_serial"] is True


@pytest.mark.parametrize("name", ["docs/audit/README.md", "docs/audit/findings.md"])
def test_links_lead_somewhere(name: str) -> None:
    """Every relative link and every anchor exists."""
    text = (ROOT / name).read_text()
    anchors = {
        re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", text, re.M)
    }
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif "://" not in target:
            assert ((ROOT / name).parent / target).exists(), target
