"""OpenMeter and Lago as a user meets them: commands, real processes, a kill, both stores."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tallystick.sandbox import Sandbox

CONFIG = """
[meters.tokens]
hold = false
[meters.gb]
decimals = 3
hold = false
[delivery]
relay = "process"
budget_ms = 100
[provider]
kind = "{kind}"
{rest}
"""
RECORD = """
from decimal import Decimal
from tallystick import Tally

tally = Tally.from_config()
while True:
    tally.record("tokens", 3, customer="org_a")
    tally.record("gb", Decimal("0.001"), customer="org_b")
    print("x", flush=True)
"""
REST = {"openmeter": "duplicate_window_hours = 24", "lago": ""}
SETTINGS: dict[str, dict[str, int]] = {"openmeter": {"deduplicate_seconds": 86400}, "lago": {}}

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start() as made:
        yield made


@pytest.fixture(params=["openmeter", "lago"])
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def environ(kind: str, sandbox: Sandbox, store_url: str, tmp_path: Path) -> dict[str, str]:
    """A folder with a configuration, and the variables that go with it."""
    (tmp_path / "tallystick.toml").write_text(CONFIG.format(kind=kind, rest=REST[kind]))
    prefix = kind.upper()
    ours = {f"{prefix}_API_KEY": "a-key", f"{prefix}_API_BASE": f"{sandbox.url}/{kind}"}
    without = {name: text for name, text in os.environ.items() if not name.startswith("STRIPE_")}
    return {**without, **ours, "TALLYSTICK_STORE": store_url, "COLUMNS": "200"}


@pytest.fixture
def run(environ: dict[str, str], tmp_path: Path) -> Run:
    def call(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tallystick", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env={**environ, **changes}, capture_output=True, text=True, timeout=120
        )

    return call


def record_and_kill(environ: dict[str, str], folder: Path, reads: int, code: str = RECORD) -> int:
    """Run the recording application, kill it after so many records; how many it acknowledged."""
    command = [sys.executable, "-c", code]
    application = subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True)
    assert application.stdout is not None
    lines = sum(bool(application.stdout.readline()) for _ in range(reads))
    os.kill(application.pid, signal.SIGKILL)
    return lines + application.communicate()[0].count("x")


def test_record_relay_kill_restart_tie_out(
    run: Run, environ: dict[str, str], sandbox: Sandbox, kind: str, tmp_path: Path
) -> None:
    """Set up by command, record, lose replies, kill, restart: the stand-in's total is the ledger's total."""
    assert run("migrate").returncode == 0
    assert run("doctor").returncode == 1
    assert "tokens" in run(kind, "plan").stdout
    assert run(kind, "apply").returncode == 0
    assert "nothing is missing" in run(kind, "plan").stdout
    sandbox.tell(kind, settings=SETTINGS[kind], customers={"their_a": "pro", "their_b": "pro"})
    assert run("link", "org_a", "their_a").returncode == 0
    assert run("link", "org_b", "their_b").returncode == 0
    assert run("doctor").returncode == 0, run("doctor").stdout
    acknowledged = record_and_kill(environ, tmp_path, 5)
    sandbox.faults(lose_reply=30, half_answer=10, rate_limit=10, seed=3)
    acknowledged += record_and_kill(environ, tmp_path, 25)
    assert run("relay", "--once", "--wait", "3").returncode == 0
    sandbox.faults()
    assert run("relay", "--once", "--wait", "60").returncode == 0
    assert run("status").returncode == 0
    rows = json.loads(run("tieout", "--json").stdout)
    assert [row for row in rows if Decimal(row["difference"])] == []
    recorded = {(row["customer"], row["meter"]): Decimal(row["recorded"]) for row in rows}
    assert recorded["org_a", "tokens"] >= 3 * acknowledged
    counted = {(row["customer"], row["meter"]): Decimal(row["total"]) for row in sandbox.tell(kind)["totals"]}
    ours = {"their_a": "org_a", "their_b": "org_b"}
    assert {(ours[c], m): total for (c, m), total in counted.items()} == recorded
    assert run("verify").returncode == 0


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_another_providers_command_says_what_to_set(run: Run, kind: str) -> None:
    """One line, exit code 2; without a key usage is recorded and the doctor says what is missing."""
    answer = run("stripe", "plan")
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)
    assert "[provider] kind = 'stripe'" in answer.stderr
    assert run("migrate").returncode == 0
    bare = {f"{kind.upper()}_API_KEY": "", f"{kind.upper()}_API_BASE": ""}
    assert "LAGO_API_KEY" in run("lago", "plan", **bare).stderr
    checks = json.loads(run("doctor", "--json", **bare).stdout)
    assert [check["subject"] for check in checks if not check["ok"]] == ["key"]
