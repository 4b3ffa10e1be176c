"""The official command-line client from npm on the sandbox: a second client that knows nothing of the first.

Optional: without npm, or when npm cannot install the client, these are skipped and say why (`pytest -rs`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tallystick.sandbox import Sandbox
from tests.sandbox.conftest import DAY, START

pytestmark = pytest.mark.npm

PACKAGE = "@stripe/cli@1.52.0"
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client, installed for these tests alone."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"did not run: npm is not on the PATH; install Node.js 18 or newer to try {PACKAGE}")
    folder = tmp_path_factory.mktemp("stripe-cli")
    command = [
        npm,
        "install",
        "--prefix",
        str(folder),
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        PACKAGE,
    ]
    installed = subprocess.run(command, capture_output=True, text=True, timeout=180)
    if installed.returncode != 0:
        words = (installed.stderr.strip().splitlines() or ["no word why"])[0]
        pytest.skip(f"did not run: npm could not install {PACKAGE}: {words}")
    return folder / "node_modules" / "@stripe" / "cli" / "bin" / "shim.js"


@pytest.fixture
def run(binary: Path, sandbox: Sandbox, tmp_path: Path) -> Run:
    """Run `stripe …` against the sandbox; its JSON."""
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "STRIPE_CLI_TELEMETRY_OPTOUT": "1"}

    def stripe(*words: str) -> Any:
        command = [
            "node",
            str(binary),
            *words,
            "--api-key",
            "sk_test_command_line",
            "--api-base",
            sandbox.url,
        ]
        done = subprocess.run(
            command,
            env={"PATH": os.environ["PATH"], **home},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return stripe


def test_from_a_meter_to_an_invoice(run: Run, sandbox: Sandbox) -> None:
    """Meter, price, customer, subscription, events by v1 and v2, summary, draft, final."""
    formula = ["-d", "default_aggregation[formula]=sum"]
    meter = run("billing", "meters", "create", "--display-name", "T", "--event-name", "tokens", *formula)
    price = run(
        "post", "/v1/prices", "-d", "currency=usd", "-d", "unit_amount_decimal=0.5",
        "-d", "product_data[name]=T", "-d", "recurring[interval]=month",
        "-d", "recurring[usage_type]=metered", "-d", f"recurring[meter]={meter['id']}",
    )  # fmt: skip
    customer = run("customers", "create", "--name", "Acme")["id"]
    run("subscriptions", "create", "--customer", customer, "-d", f"items[0][price]={price['id']}")
    payload = ["-d", f"payload[stripe_customer_id]={customer}", "-d", "payload[value]=5"]
    event = ["billing", "meter_events", "create", "--event-name", "tokens", "-d", "identifier=one", *payload]
    assert run(*event)["identifier"] == "one"
    assert "already exists" in run(*event)["error"]["message"]
    body = {"event_name": "tokens", "payload": {"stripe_customer_id": customer, "value": "2"}}
    assert (
        run("post", "/v2/billing/meter_events", "-d", json.dumps(body))["object"] == "v2.billing.meter_event"
    )
    window = ["-d", f"start_time={START}", "-d", f"end_time={START + 60}", "-d", f"customer={customer}"]
    [summary] = run("get", f"/v1/billing/meters/{meter['id']}/event_summaries", *window)["data"]
    assert summary["aggregated_value"] == 7
    sandbox.advance(31 * DAY)
    [draft] = run("invoices", "list", "--customer", customer)["data"]
    assert (draft["status"], draft["total"]) == ("draft", 4)  # 7 × 0.5 = 3.5, half up
    assert run("invoices", "finalize_invoice", draft["id"])["status"] == "open"


def test_a_test_clock(run: Run, sandbox: Sandbox) -> None:
    """Made, advanced, deleted."""
    clock = run("test_helpers", "test_clocks", "create", "--frozen-time", str(START))
    target = str(START + DAY)
    moving = run("test_helpers", "test_clocks", "advance", clock["id"], "--frozen-time", target)
    assert moving["status_details"]["advancing"]["target_frozen_time"] == START + DAY
    assert run("delete", f"/v1/test_helpers/test_clocks/{clock['id']}", "--confirm")["deleted"]
