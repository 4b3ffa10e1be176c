"""The command line as a newcomer uses it: real processes, a real sandbox, documented exit codes."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import stripe

from tallystick.sandbox import Sandbox

Run = Callable[..., "subprocess.CompletedProcess[str]"]

APP = """
from fastapi import Depends, FastAPI, Header
from tallystick import Tally
from tallystick.integrations.fastapi import install

tally = Tally.from_config()
app = FastAPI()
install(app, tally, exempt={"/health": "probe"})

@app.get("/health")
def health(): ...

@app.post("/chat")
@tally.metered("ai_tokens", customer=Depends(lambda: "org_1"), quantity=7)
def chat(): ...

@app.post("/leak")
def leak(): ...
"""


RECORD = """
from tallystick import Tally

with Tally.from_config() as tally:
    tally.record("ai_tokens", 42, customer="org_1")
"""


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start() as made:
        yield made


@pytest.fixture
def run(tmp_path: Path, sandbox: Sandbox) -> Run:
    """Run `tallystick …` in a folder with a configuration, against the sandbox."""
    environ = {
        **os.environ,
        "TALLYSTICK_STORE": f"sqlite:///{tmp_path / 'usage.db'}",
        "STRIPE_API_KEY": "sk_test_command_line",
        "STRIPE_API_BASE": sandbox.url,
        "COLUMNS": "200",
    }

    def call(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tallystick", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env={**environ, **changes}, capture_output=True, text=True, timeout=120
        )

    assert call("init").returncode == 0
    return call


def test_from_nothing_to_a_tie_out(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """init, stripe apply, link, record, relay, status, usage, tieout, verify: each with its exit code."""
    assert run("doctor").returncode == 1
    assert "ai_tokens" in run("stripe", "plan", "--price", "ai_tokens=0.0015").stdout
    assert run("stripe", "apply", "--price", "ai_tokens=0.0015", "--price", "api_calls=1").returncode == 0
    assert run("doctor").returncode == 0
    customer = sandbox.provision(customers=["Acme"])["customers"]["Acme"]
    with (tmp_path / "links.csv").open("w", newline="") as rows:
        csv.writer(rows).writerow(["org_1", customer])
    assert json.loads(run("link", "--csv", "links.csv", "--json").stdout) == {"org_1": customer}
    script = tmp_path / "record.py"
    script.write_text(RECORD)
    environ = {**os.environ, "TALLYSTICK_STORE": f"sqlite:///{tmp_path / 'usage.db'}"}
    subprocess.run([sys.executable, str(script)], cwd=tmp_path, env=environ, check=True)
    assert json.loads(run("status", "--json").stdout)["undelivered"] == 1
    assert run("tieout").returncode == 1
    assert json.loads(run("relay", "--once").stdout)["dispatches"] == 1
    assert json.loads(run("tieout", "--json").stdout)[0]["difference"] == "0"
    assert run("tieout").returncode == 0
    [told] = [r["key"] for r in sandbox.requests() if r["path"].endswith("/meter_events")]
    found = json.loads(run("explain", told, "--json").stdout)
    assert [d["state"] for d in found["dispatches"]] == ["accepted"]
    assert [e["quantity"] for e in found["entries"]] == ["42"]
    assert json.loads(run("usage", "org_1", "ai_tokens", "--json").stdout)[0]["quantity"] == "42"
    assert run("verify").returncode == 0
    assert run("holds").returncode == 0
    metrics = run("status", "--format", "prometheus")
    assert metrics.returncode == 0
    assert 'tallystick_undelivered_entries{tenant="default",mode="test"} 0\n' in metrics.stdout
    assert run("status", "--format", "xml").returncode == 2
    assert run("doubts").returncode == 0
    assert run("doubts", "decide", "evt_x", "--reason", "r", "--by", "me").returncode == 1
    assert run("redrive", "--all").returncode == 1


def test_an_application_that_cuts_over(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """Shadow, which `status` says, with the application's own calls; then the cut, from which on we report."""
    config = tmp_path / "tallystick.toml"
    before = config.read_text()
    run("stripe", "apply", "--price", "ai_tokens=0.0015", "--price", "api_calls=1")
    customer = sandbox.provision(customers=["Acme"])["customers"]["Acme"]
    run("link", "org_1", customer)
    record = tmp_path / "record.py"
    record.write_text(RECORD)
    environ = {**os.environ, "TALLYSTICK_STORE": f"sqlite:///{tmp_path / 'usage.db'}"}

    def use() -> dict[str, str]:
        subprocess.run([sys.executable, str(record)], cwd=tmp_path, env=environ, check=True)
        run("relay", "--once")
        [balance] = json.loads(run("tieout", "--json").stdout)
        return {name: balance[name] for name in ("excluded", "delivered", "provider", "difference")}

    config.write_text(before.replace("[delivery]", "[delivery]\nshadow = true"))
    assert "records, and sends nothing" in run("status").stdout
    assert use() == {"excluded": "42", "delivered": "0", "provider": "0", "difference": "42"}
    key = {"base_addresses": {"api": sandbox.url}}
    stripe.StripeClient("sk_test_of_the_application", **key).v1.billing.meter_events.create(  # type: ignore[arg-type]
        {"event_name": "ai_tokens", "payload": {"stripe_customer_id": customer, "value": "42"}}
    )
    assert run("tieout").returncode == 0
    cut = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(days=1)
    line = f"report_from = {cut:%Y-%m-%dT%H:%M:%SZ}\n"
    config.write_text(before.replace("[meters.api_calls]", line + "[meters.api_calls]"))
    assert "shadow" not in run("status").stdout
    assert f"from {cut:%Y-%m-%d %H:%M} UTC" in run("status").stdout
    assert use()["delivered"] == "42"


REPORTED = "v1.billing.meter.error_report_triggered"
NO_METER = "v1.billing.meter.no_meter_found"


def test_the_doctor_looks_for_the_webhook(run: Run, sandbox: Sandbox) -> None:
    """None, of the wrong style, without one of the events, with both (by two of them), then switched off."""
    run("stripe", "apply", "--price", "ai_tokens=0.0015", "--price", "api_calls=1")
    client = stripe.StripeClient("sk_test_command_line", base_addresses={"api": sandbox.url})
    places = client.v2.core.event_destinations

    def webhook(code: int, secret: str = "whsec_x") -> dict[str, str]:
        answer = run("doctor", "--json", STRIPE_WEBHOOK_SECRET=secret)
        assert answer.returncode == code
        [found] = [check for check in json.loads(answer.stdout) if check["subject"] == "webhook"]
        assert (found["ok"], bool(found["fix"])) == (code == 0, code == 1)
        return dict(found)

    def make(style: str, *events: str) -> str:
        where = {"url": "http://127.0.0.1:9/"}
        about: Any = {"name": style, "type": "webhook_endpoint", "webhook_endpoint": where}
        return places.create({**about, "event_payload": style, "enabled_events": [*events]}).id

    assert "only the relay asks" in webhook(0, secret="")["message"]
    assert f"{REPORTED} and {NO_METER} to nobody" in webhook(1)["message"]
    make("snapshot", "*")
    assert f"{REPORTED} and {NO_METER} to nobody" in webhook(1)["message"]
    first = make("thin", REPORTED)
    assert f"pushes {NO_METER} to nobody" in webhook(1)["message"]
    make("thin", NO_METER)
    webhook(0)
    places.disable(first)
    found = webhook(1)
    assert found["message"] == f"event destination {first} is disabled"
    assert "enable it again" in found["fix"]
    make("thin", REPORTED, NO_METER)
    webhook(0)


def test_the_doctor_compares_the_clocks(run: Run, sandbox: Sandbox) -> None:
    run("stripe", "apply", "--price", "ai_tokens=0.0015", "--price", "api_calls=1")
    assert "agree to within a minute" in run("doctor").stdout
    sandbox.advance(90)
    answer = run("doctor", "--json")
    assert answer.returncode == 1
    [miss] = [check for check in json.loads(answer.stdout) if not check["ok"]]
    assert (miss["subject"], "NTP" in miss["fix"]) == ("clock", True)


def test_a_restored_ledger_is_recovered(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """anchor, relay, a backup put back, status, recover: each with its exit code."""
    config = tmp_path / "tallystick.toml"
    config.write_text(config.read_text() + '\n[store]\nanchor = "outside/anchor.json"\n')
    run("stripe", "apply", "--price", "ai_tokens=0.0015", "--price", "api_calls=1")
    run("link", "org_1", sandbox.provision(customers=["Acme"])["customers"]["Acme"])
    record = tmp_path / "record.py"
    record.write_text(RECORD)
    environ = {**os.environ, "TALLYSTICK_STORE": f"sqlite:///{tmp_path / 'usage.db'}"}

    def use() -> None:
        subprocess.run([sys.executable, str(record)], cwd=tmp_path, env=environ, check=True)
        run("relay", "--once")

    use()
    assert run("anchor").returncode == 0
    for name in ("usage.db", "usage.db-wal"):
        if (tmp_path / name).exists():
            shutil.copy(tmp_path / name, tmp_path / f"kept-{name}")
    use()
    for name in ("usage.db", "usage.db-wal"):
        (tmp_path / name).unlink(missing_ok=True)
        if (tmp_path / f"kept-{name}").exists():
            shutil.copy(tmp_path / f"kept-{name}", tmp_path / name)
    use()
    assert [row["total"] for row in sandbox.totals()] == ["84"], "the third is recorded and not sent"
    assert run("status").returncode == 1
    assert "or this one was restored" in run("status", "--json").stdout
    assert run("recover").returncode == 2, "the totals are given time"
    shown = run("recover", "--settled", "--json")
    assert shown.returncode == 1
    assert [row["quantity"] for row in json.loads(shown.stdout)["found"]] == ["42"]
    assert run("recover", "--settled", "--apply").returncode == 0
    run("relay", "--once")
    assert [row["total"] for row in sandbox.totals()] == ["126"]
    assert run("anchor").returncode == run("status").returncode == run("tieout").returncode == 0
    assert "nothing to recover" in run("recover").stderr


HOLDS = """
from tallystick import Tally

tally = Tally.from_config()
for number in range(3):
    tally.action("ai_tokens", customer="org_1", key=f"job {number}").__enter__()._state = None
"""


def test_open_holds_are_decided_by_name(run: Run, tmp_path: Path) -> None:
    """Three actions whose process vanished: one is settled, one voided, and an entry is put right."""
    script = tmp_path / "holds.py"
    script.write_text(HOLDS)
    environ = {**os.environ, "TALLYSTICK_STORE": f"sqlite:///{tmp_path / 'usage.db'}"}
    subprocess.run([sys.executable, str(script)], cwd=tmp_path, env=environ, check=True)
    found = json.loads(run("holds", "--json").stdout)
    assert [(h["customer"], h["meter"], h["overdue"]) for h in found] == [("org_1", "ai_tokens", "")] * 3
    by = ("--reason", "seen in the log", "--by", "Grace")
    settled = run("holds", "settle", found[0]["id"], "--quantity", "12", *by)
    assert settled.stdout.startswith(f"settled {found[0]['id']}; 12 of ai_tokens (e")
    assert run("holds", "void", found[1]["id"], *by).stdout == f"voided {found[1]['id']}\n"
    again = run("holds", "void", found[0]["id"], *by)
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)
    assert "was settled by Grace before (seen in the log)" in again.stderr
    entry = settled.stdout.split("(")[1].rstrip(")\n")
    assert "-2 of ai_tokens" in run("correct", entry, "--quantity", "10", *by).stdout
    assert "it says that already" in run("correct", entry, "--quantity", "10", *by).stdout
    assert json.loads(run("usage", "org_1", "ai_tokens", "--json").stdout)[0]["quantity"] == "10"
    assert len(json.loads(run("holds", "list", "--json").stdout)) == 1
    assert json.loads(run("holds", "--overdue", "--json").stdout) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("holds", "burn"), "holds 'burn' is not known"),
        (("holds", "void"), "say which"),
        (("holds", "settle", "e00-1"), "--quantity N"),
        (("holds", "settle", "e00-1", "--quantity", "many"), "'many' is not a number"),
        (("holds", "void", "e00-1", "--reason", "r", "--by", "b"), "'e00-1' is not an entry's id"),
        (
            ("correct", "e00-1", "--quantity", "1", "--reason", "r", "--by", "b"),
            "'e00-1' is not an entry's id",
        ),
        (("init",), "exists"),
        (("usage", "org_1", "nope"), "no meter 'nope'"),
        (("routes", "--app", "nowhere:app"), "--app nowhere:app"),
        (("migrate", "--sql", "oracle"), "'oracle'"),
        (("stripe", "plan", "--price", "ai_tokens"), "'ai_tokens' is not meter=cents"),
        (("redrive",), "tallystick redrive IDENTIFIER"),
        (("explain", "ts0-1"), "'ts0-1' names no dispatch of this ledger"),
        (("link", "org_1"), "tallystick link org_1 cus_"),
    ],
)
def test_bad_input_gets_one_line(run: Run, arguments: tuple[str, ...], words: str) -> None:
    """What was wrong, which value, what to do; never a traceback."""
    answer = run(*arguments)
    assert answer.returncode in (1, 2)
    assert words in answer.stderr
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"TALLYSTICK_STORE": ""}, "set TALLYSTICK_STORE"),
        ({"TALLYSTICK_STORE": "mysql://x"}, "'mysql://x' is not known"),
        ({"TALLYSTICK_STORE": "sqlite:////dev/shm/usage.db"}, "tmpfs"),
        ({"STRIPE_API_KEY": "sk_live_command_line"}, "live and test never mix"),
        ({"STRIPE_API_KEY": "pk_test_x"}, "not a secret key"),
        ({"TALLYSTICK_CONFIG": "none.toml"}, "none.toml does not exist"),
    ],
)
def test_unsafe_or_wrong_settings_are_refused(run: Run, changes: dict[str, str], words: str) -> None:
    """Nothing starts on settings that lose data, or that mix live and test."""
    answer = run("status", **changes)
    assert answer.returncode == 2
    assert words in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_an_unknown_key_of_the_configuration_is_refused(run: Run, tmp_path: Path) -> None:
    """A typing error in the file does not pass in silence."""
    (tmp_path / "tallystick.toml").write_text("[meters.x]\nformular = 'sum'\n")
    answer = run("status")
    assert answer.returncode == 2
    assert "formular" in answer.stderr


def test_routes_lists_what_the_guard_sees(run: Run, tmp_path: Path) -> None:
    """Exit code 1 while a route is undeclared."""
    (tmp_path / "main.py").write_text(APP)
    answer = run("routes", "--app", "main:app", "--json")
    found = {route["path"]: route for route in json.loads(answer.stdout)}
    assert answer.returncode == 1
    assert found["/chat"]["meters"] == ["ai_tokens"]
    assert found["/health"]["exempt"] == "probe"
    assert (
        json.loads(run("status", "--app", "main:app", "--json").stdout)["settings"]["trusted to the client"]
        == "nothing"
    )
    assert found["/leak"]["problem"] == "neither metered nor exempt"


def test_the_relay_process_stops_gracefully(run: Run, tmp_path: Path, sandbox: Sandbox) -> None:
    """SIGTERM ends `tallystick relay` with exit code 0."""
    environ = {
        **os.environ,
        "TALLYSTICK_STORE": f"sqlite:///{tmp_path / 'usage.db'}",
        "STRIPE_API_KEY": "sk_test_command_line",
        "STRIPE_API_BASE": sandbox.url,
    }
    command = [sys.executable, "-m", "tallystick", "relay"]
    relay = subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True)
    assert relay.stderr is not None
    assert "relay running" in relay.stderr.readline()
    relay.send_signal(signal.SIGTERM)
    assert relay.wait(30) == 0
    relay.stderr.close()


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_the_printed_schema_is_the_schema(run: Run, dialect: str, postgres_url: str, tmp_path: Path) -> None:
    """`migrate --sql` for Alembic and Django: after running it nothing is left to migrate."""
    import sqlite3

    import psycopg

    from tallystick.storage import migrations

    text = run("migrate", "--sql", dialect).stdout
    if dialect == "sqlite":
        with sqlite3.connect(tmp_path / "other.db") as file:
            file.executescript(text)
            assert migrations.migrate(file.cursor(), dialect) == []
    else:
        with psycopg.connect(postgres_url) as server:
            server.execute(text.encode())
            assert migrations.migrate(server.cursor(), dialect) == []


def test_without_extras_each_command_says_what_to_install(tmp_path: Path) -> None:
    """A plain install lists its commands; one that needs an extra names it in one line."""
    extras = ["stripe", "httptools", "pathspec", "tree_sitter", "fastapi"]
    block = f"import sys; sys.modules.update(dict.fromkeys({extras}))\n"
    run = block + "sys.argv[0] = 'tallystick'; from tallystick.cli import main; main()"
    (tmp_path / "tallystick.toml").write_text("[meters.tokens]\n")
    store = f"sqlite:///{tmp_path / 'usage.db'}"
    environ = {**os.environ, "STRIPE_API_KEY": "sk_test_x", "TALLYSTICK_STORE": store}
    for arguments, extra in (("sandbox", "sandbox"), ("doctor", "stripe"), ("demo", ""), ("audit", "audit")):
        command = [sys.executable, "-c", run, arguments]
        answer = subprocess.run(
            command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60
        )
        assert answer.returncode == 2, answer.stderr
        assert f"tallystick[{extra}" in answer.stderr
        assert answer.stderr.count("\n") == 1
    command = [sys.executable, "-c", run, "--help"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60).returncode == 0
