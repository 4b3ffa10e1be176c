"""docs/sandbox.md says what there is: its tables are compared, its code is run."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from tallystick.sandbox import Sandbox
from tallystick.sandbox.faults import SHARES, Rule
from tallystick.sandbox.hell import faults
from tallystick.sandbox.switches import Switches

PAGE = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text()
pytest_plugins = ["pytester"]


def table(heading: str) -> list[list[str]]:
    """The rows of the table whose header has that first cell."""
    block = re.search(rf"^\| {heading} \|.*\n\|[-| ]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert block is not None, heading
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in block[1].splitlines()]


def names(rows: list[list[str]]) -> list[str]:
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row[0])]


def test_every_fate_is_listed() -> None:
    assert names(table("fate")) == [fate.value for fate in SHARES]


def test_every_word_of_a_rule_is_listed() -> None:
    assert set(names(table("word of a rule"))) == set(Rule.__struct_fields__) - {"fate"}


def test_every_switch_is_listed_with_its_default() -> None:
    shown = {row[0].strip("`"): row[1].strip("`") for row in table("switch")}

    def written(value: object) -> str:
        if value is None:
            return "none"
        return str(value).lower() if isinstance(value, bool) else str(value)

    defaults = Switches()
    assert shown == {name: written(getattr(defaults, name)) for name in Switches.__struct_fields__}


def test_every_command_is_listed(sandbox: Sandbox) -> None:
    with pytest.raises(Exception, match="no command 'nothing'") as caught:
        sandbox.tell("nothing")
    there = re.findall(r"[a-z_]+", str(caught.value).partition("there are ")[2].partition('"')[0])
    assert set(names(table("command"))) == set(there)


def test_hell_is_everything_but_what_the_page_says() -> None:
    shares = msgspec.structs.asdict(faults(0))
    assert {fate.value for fate in SHARES if not shares[fate.value]} == {"swallow"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_test_of_the_page_passes(pytester: pytest.Pytester) -> None:
    """The example for users, as a user has it."""
    pytester.makepyfile(blocks("python")[0])
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_the_code_of_the_page_runs() -> None:
    """The other blocks, one after the other."""
    for block in blocks("python")[1:]:
        exec(compile(block, "docs/sandbox.md", "exec"), {})


def test_the_commands_of_the_page_are_understood() -> None:
    """Each fault on the page is one that there is."""
    texts = re.findall(r'--fault "([^"]+)"', PAGE)
    assert len(texts) == 3
    assert all(isinstance(Rule.parse(text), Rule) for text in texts)
