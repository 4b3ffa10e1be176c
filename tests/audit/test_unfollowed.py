# ruff: noqa: E501
"""Where the way to a reporter is lost, that is no proof that nothing reports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from trees import audited, codes

METER = "import './seats';\nimport Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\nexport class UsageMeter { async tellUsage(customer: string, count: number, key: string) { await stripe.billing.meterEvents.create({ event_name: 'x', identifier: key, payload: { stripe_customer_id: customer, value: String(count) } }); } }\n"
SEATS = "export class SeatMeter { async tellUsage(customer: string, count: number, key: string) { await db.seats.update(customer, count); } }\n"
ROUTE = "import './meter';\nimport { SeatMeter } from './seats';\nconst seats = new SeatMeter();\nMADE;\nexpress().post('/run', requireUser, async (req, res) => { const out = await llm(req.body.p); CALL(req.user.customer, out.n, out.id); res.json(out); });\n"


@pytest.mark.parametrize(
    ("made", "call"),
    [
        ("plugins.load(UsageMeter)", "await pluginOf(req).tellUsage"),
        ("plugins.load(UsageMeter)", "await seats.tellUsage"),
        ("plugins.load(SeatMeter)", "await seats.tellUsage"),
        ("plugins.load(SeatMeter)", "await later"),
    ],
)
def test_a_way_that_is_not_followed(tmp_path: Path, made: str, call: str) -> None:
    """Of a class that is made somewhere, nothing is said to be dead; of one that nobody makes, it is."""
    text = ROUTE.replace("MADE", made).replace("CALL", call)
    if "UsageMeter" in made:
        text = f"import {{ UsageMeter }} from './meter';\n{text}"
    report = audited(tmp_path, {"meter.ts": METER, "seats.ts": SEATS, "app.ts": text})
    assert codes(report) == {"never_reported"}
    said = [one.message for one in report.findings if one.code == "never_reported"]
    assert ("be followed" in said[0]) is ("UsageMeter" in made)


def test_the_advice_is_followed_as_it_is_given(tmp_path: Path) -> None:
    """The sentence has the name as the settings want it, and with that the way is known."""
    text = ROUTE.replace("MADE", "plugins.load(UsageMeter)").replace("CALL", "await pluginOf(req).tellUsage")
    tree = {
        "meter.ts": METER,
        "seats.ts": SEATS,
        "app.ts": f"import {{ UsageMeter }} from './meter';\n{text}",
    }
    report = audited(tmp_path, tree)
    assert "to tellUsage, which reports usage" in report.detail
    assert "`meter-functions` of `[audit.models]`" in report.detail
    (tmp_path / "tallystick.toml").write_text('[audit.models]\nmeter-functions = ["tellUsage"]\n')
    command = [sys.executable, "-m", "tallystick", "audit", "--no-cache", "-f", "json", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert json.loads(done.stdout)["verdict"] == "pass", done.stderr


def test_what_a_script_makes_use_of(tmp_path: Path) -> None:
    """A server that runs all the time reports; a script that starts the same is no schedule."""
    started = "import { start } from '../src/start';\nstart();\n"
    tree = {
        "src/start.ts": "import { UsageMeter } from './meter';\nexport function start() { new Poller({ each: async (row) => { await new UsageMeter().tellUsage(row.customer, row.n, row.id); } }).run(); }\n",
        "src/meter.ts": METER.replace("import './seats';\n", ""),
        "src/server.ts": started.replace("../src/start", "./start"),
        "scripts/usage.ts": started,
    }
    assert codes(audited(tmp_path / "both", tree)) == set()
    del tree["src/server.ts"]
    assert codes(audited(tmp_path / "script", tree)) == {"scheduled_reporting"}


SHOP = "import './meter';\nexpress().post('/run', requireUser, async (req, res) => { res.json(await llm(req.body.p)); });\nexport const meters = [new UsageMeter()];\n"
OTHERS = {
    "an interface": ("export interface Meter {\n  tellUsage(customer: string): Promise<void>;\n}\n", True),
    "another class": ("export class Seats {\n  public async tellUsage(customer: string) { await db.seats.update(customer); }\n}\n", True),
    "a call of what is not known": ("export interface Meter {\n  tellUsage(customer: string): Promise<void>;\n}\nfor (const one of loaded) {\n  await one\n    .tellUsage(customer);\n}\n", False),
    "a name of it": ("export const calls = ['tellUsage'];\nfor (const call of calls) await one[call](customer);\n", False),
}  # fmt: skip


@pytest.mark.parametrize("how", OTHERS)
def test_others_that_are_called_the_same(tmp_path: Path, how: str) -> None:
    """That other code defines a method of the name is no sign that anything calls this one."""
    text, dead = OTHERS[how]
    tree = {
        "meter.ts": METER.replace("import './seats';\n", ""),
        "other.ts": text,
        "app.ts": f"import {{ UsageMeter }} from './meter';\n{SHOP}",
    }
    found = [one for one in audited(tmp_path, tree).findings if one.code == "never_reported"]
    assert any("nothing in the application calls" in one.message for one in found) is dead
