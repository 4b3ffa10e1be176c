"""Usage drained by the clock, wherever a scheduler is written: once a day is too late, every few minutes is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from clocks import PYTHON, PYTHON_CLOCKS
from clocks_elsewhere import LARAVEL, OTHER_CLOCKS
from trees import Tree, audited, codes

from tallystick.audit.model import Verdict

CLOCKS = {**PYTHON_CLOCKS, **OTHER_CLOCKS}


def at(name: str, when: str) -> Tree:
    base, written, _, _ = CLOCKS[name]
    return {path: text.replace("WHEN", when) for path, text in {**base, **written}.items()}


@pytest.mark.parametrize("name", CLOCKS)
def test_a_slow_clock_is_found(tmp_path: Path, name: str) -> None:
    report = audited(tmp_path, at(name, CLOCKS[name][2]))
    assert report.verdict is Verdict.FAIL, report.endpoints
    assert "scheduled_reporting" in codes(report), report.findings


@pytest.mark.parametrize("name", CLOCKS)
def test_a_quick_clock_passes(tmp_path: Path, name: str) -> None:
    report = audited(tmp_path, at(name, CLOCKS[name][3]))
    assert report.verdict is Verdict.PASS, (report.findings, report.endpoints)


ALONE = "from shop.drain import report_usage\n\nif __name__ == '__main__':\n    report_usage()\n"
STARTED = {
    "a process file": {"Procfile": "worker: python scripts/report.py\n"},
    "a crontab": {"crontab": "*/5 * * * * python scripts/report.py\n"},
}


def test_a_script_that_nothing_starts_reports_nothing(tmp_path: Path) -> None:
    report = audited(tmp_path, {**PYTHON, "scripts/report.py": ALONE})
    assert report.verdict is Verdict.FAIL
    assert "scheduled_reporting" in codes(report), report.findings


@pytest.mark.parametrize("how", STARTED)
def test_a_script_that_is_started_passes(tmp_path: Path, how: str) -> None:
    report = audited(tmp_path, {**PYTHON, "scripts/report.py": ALONE, **STARTED[how]})
    assert report.verdict is Verdict.PASS, report.findings


def test_an_artisan_command_that_nothing_schedules(tmp_path: Path) -> None:
    command = CLOCKS["php kernel command signature"][1]["app/Console/Commands/ReportUsage.php"]
    report = audited(tmp_path, {**LARAVEL, "app/Console/Commands/ReportUsage.php": command})
    assert "scheduled_reporting" in codes(report), report.findings
