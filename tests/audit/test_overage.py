# ruff: noqa: E501
"""Overage charged through a gateway without meters: billing where the clock starts it, a purchase where a customer does."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.model import Verdict

COMMAND = """<?php
namespace App\\Console\\Commands;
use App\\Services\\OverageService;
class ChargeOverage extends Command
{
    protected $signature = 'billing:charge {--month=}';
    public function handle(OverageService $overage): int
    {
        foreach (Company::all() as $company) { $overage->charge($company); }
        return self::SUCCESS;
    }
}
"""
SERVICE = """<?php
namespace App\\Services;
class OverageService
{
    public function charge($company)
    {
        $order = "order-{$company->id}";
        return $this->gateway->createPayment($order, $company->extra * 5, 'USD', $company->email, ['type' => 'KIND', 'company' => $company->id]);
    }
}
"""
CONSOLE = "<?php\nuse Illuminate\\Support\\Facades\\Schedule;\nSchedule::command('billing:charge')->WHEN;\n"
LARAVEL: Tree = {"artisan": "#!/usr/bin/env php\n", "app/Console/Commands/ChargeOverage.php": COMMAND}


@pytest.mark.parametrize(
    ("kind", "when", "verdict"),
    [
        ("overage", "monthlyOn(1, '08:00')", Verdict.FAIL),
        ("overage", "everyFifteenMinutes()", Verdict.PASS),
        ("renewal", "monthlyOn(1, '08:00')", Verdict.SKIP),
        ("coverage", "monthlyOn(1, '08:00')", Verdict.SKIP),
    ],
)
def test_a_gateway_that_is_told_to_charge_overage(
    tmp_path: Path, kind: str, when: str, verdict: Verdict
) -> None:
    tree = {**LARAVEL, "app/Services/OverageService.php": SERVICE.replace("KIND", kind), "routes/console.php": CONSOLE.replace("WHEN", when)}  # fmt: skip
    report = audited(tmp_path, tree)
    assert report.verdict is verdict, report.findings
    assert codes(report) == ({"scheduled_reporting"} if verdict is Verdict.FAIL else set())


def test_what_a_customer_orders_is_a_purchase(tmp_path: Path) -> None:
    """An overage pack that is bought in a request is paid in advance."""
    route = "app.post('/packs', requireUser, async (req, res) => {\n  const order = await gateway.createPayment({ quantity: req.body.packs, description: 'overage pack' });\n  res.json(order);\n});\n"
    assert audited(tmp_path, {"server.ts": route}).verdict is Verdict.SKIP


CHARGE = """const OVERAGE_CENTS = 100;
export async function charge(env, subscription, cents) {
  const response = await fetch(`${env.API}/subscriptions/${subscription}/charge`, { method: 'POST', body: JSON.stringify({ product_price: cents }) });
  if (!response.ok) throw new Error('refused');
}
export async function closeMonth(env) {
  for (const row of await env.DB.prepare('SELECT * FROM overage_charges WHERE status = ?').bind('pending').all()) {
    await charge(env, row.subscription_id, row.over * OVERAGE_CENTS);
  }
}
"""
WORKER = "import { closeMonth } from './overage';\nexport default { async scheduled(event, env, ctx) { ctx.waitUntil(closeMonth(env)); } };\n"


@pytest.mark.parametrize(
    ("cron", "wanted"), [("20 3 * * *", {"scheduled_reporting"}), ("*/20 * * * *", set())]
)
def test_an_amount_on_a_subscription(tmp_path: Path, cron: str, wanted: set[str]) -> None:
    """`waitUntil` keeps a run by the clock alive, whatever it is given."""
    tree = {"overage.ts": CHARGE, "index.ts": WORKER, "wrangler.toml": f'[triggers]\ncrons = ["{cron}"]\n'}
    assert codes(audited(tmp_path, tree)) == wanted


BEAT = """from celery import Celery
app = Celery("shop")
app.conf.beat_schedule = {
    "charge": {"task": ("shop.tasks"
                        ".charge_overage"),
               "schedule": WHEN, "kwargs": {}},
}
"""
TASK = """from shop.celery_app import app
@app.task(name="shop.tasks.charge_overage")
def charge_overage():
    for row in unbilled():
        paddle.create_transaction(customer_id=row.customer_id, items=[{"price_id": "pri_overage", "quantity": row.extra}])
"""


@pytest.mark.parametrize(
    ("when", "wanted"), [('{"hour": 2, "minute": 0}', {"scheduled_reporting"}), ("300.0", set())]
)
def test_a_beat_whose_task_is_named_in_two_lines(tmp_path: Path, when: str, wanted: set[str]) -> None:
    report = audited(tmp_path, {"shop/celery_app.py": BEAT.replace("WHEN", when), "shop/tasks.py": TASK})
    assert codes(report) == wanted
    assert not wanted or any("every day" in one.message for one in report.findings)
