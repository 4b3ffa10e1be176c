"""The main job, small: every difference is zero on both stores, through an outage, three SIGKILLs, lost clients."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def test_the_demo_balances(store_url: str, tmp_path: Path) -> None:
    """Exit code 0, all differences zero, every call accounted for."""
    store = [] if store_url.startswith("sqlite") else ["--store", store_url]
    command = [sys.executable, "-m", "tallystick", "demo", "--calls", "1500", "--seed", "3", "--json", *store]
    answer = subprocess.run(
        command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=300
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    report = json.loads(answer.stdout)
    assert report["balanced"]
    assert report["wrong_calls"] == []
    [tokens, calls] = report["lines"]
    unanswered = report["unanswered_recorded"] + report["unanswered_lost"]
    others = sum(report["other_answers"].values()) + report["abandoned"]
    assert calls["calls_answered"] + unanswered + others == 1500
    assert report["streams"] == 300
    assert report["abandoned"] >= 5
    received, billed, whole = report["abandoned_tokens"]
    assert 0 < received < whole
    assert 0 < billed < whole
    assert tokens["recorded"] == tokens["delivered"] == tokens["provider"] != "0"
    assert list(tmp_path.iterdir()) == [] or store_url.startswith("sqlite")


def test_the_demo_balances_from_hell(tmp_path: Path) -> None:
    """The provider loses replies, rejects, stalls and refuses all the time; still nothing differs at the end."""
    command = [sys.executable, "-m", "tallystick", "demo", "--calls", "800", "--provider-from-hell", "--json"]
    answer = subprocess.run(
        command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=300
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    [tokens, calls] = json.loads(answer.stdout)["lines"]
    assert tokens["recorded"] == tokens["delivered"] == tokens["provider"] != "0"
    assert calls["recorded"] == calls["delivered"] == calls["provider"]
