"""Stripe's interfaces as a user meets them: commands, real processes, faults, kills."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tallystick.sandbox import Sandbox
from tests.providers.old_account import never_moved
from tests.providers.test_processes import record_and_kill

CONFIG = """
[meters.tokens]
hold = false
[delivery]
relay = "process"
budget_ms = 100
[provider]
via = "{via}"
"""
RECORD = """
from tallystick import Tally

tally = Tally.from_config()
while True:
    tally.record("tokens", 3, customer="org_a")
    print("x", flush=True)
"""


def metered(sandbox: Sandbox) -> str:
    prices = {"tokens": {"formula": "sum", "unit_amount_decimal": "1"}}
    made: str = sandbox.provision(meters=prices, customers=["ada"])["customers"]["ada"]
    return made


@pytest.mark.parametrize("via", ["meter_events", "meter_events_v2", "meter_event_stream", "usage_records"])
def test_record_relay_kill_restart_tie_out(via: str, sqlite_url: str, tmp_path: Path) -> None:
    """Replies are lost, the application is killed twice: Stripe's total is the ledger's."""
    with Sandbox.start() as sandbox:
        (tmp_path / "tallystick.toml").write_text(CONFIG.format(via=via))
        environ = {
            **os.environ,
            "STRIPE_API_KEY": "sk_test_ways_in_processes",
            "STRIPE_API_BASE": sandbox.url,
            "TALLYSTICK_STORE": sqlite_url,
        }

        def run(*arguments: str) -> Any:
            command = [sys.executable, "-m", "tallystick", *arguments]
            return subprocess.run(
                command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120
            )

        customer = never_moved(sandbox.url) if via == "usage_records" else metered(sandbox)
        assert run("link", "org_a", customer).returncode == 0
        assert run("doctor").returncode == 0
        acknowledged = record_and_kill(environ, tmp_path, 5, RECORD)
        sandbox.faults(lose_reply=20, fail=10, fail_done=10, rate_limit=10, seed=3)
        acknowledged += record_and_kill(environ, tmp_path, 12, RECORD)
        sandbox.faults()
        assert run("relay", "--once", "--wait", "60").returncode == 0
        assert run("status").returncode == 0
        [row] = json.loads(run("tieout", "--json").stdout)
        assert (row["difference"], row["undelivered"]) == ("0", "0")
        assert Decimal(row["provider"]) == Decimal(row["recorded"]) >= 3 * acknowledged
        if via != "usage_records":
            assert [Decimal(each["total"]) for each in sandbox.totals()] == [Decimal(row["recorded"])]
