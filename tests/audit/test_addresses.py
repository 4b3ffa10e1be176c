# ruff: noqa: E501
"""What the clock starts: by the address that a file stands for, by a settings file, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
DRAIN = (
    HEAD
    + """export async function drain() {
  const rows = await prisma.usageEvent.findMany({ where: { reported: false } });
  for (const row of rows) {
    await stripe.billing.meterEvents.create({ event_name: 'calls', identifier: row.id, payload: { stripe_customer_id: row.customer, value: String(row.count) } });
    await prisma.usageEvent.update({ where: { id: row.id }, data: { reported: true } });
  }
}
"""
)
FILES = {
    "app/routes/cron.usage-billing.tsx": ("../../src/drain", "loader"),
    "app/routes/cron.usage-billing/route.ts": ("../../../src/drain", "loader"),
    "app/routes/_jobs.cron.usage-billing.ts": ("../../src/drain", "action"),
    "src/routes/cron/usage-billing/+server.ts": ("../../../drain", "GET"),
    "src/pages/cron/usage-billing.ts": ("../../drain", "GET"),
    "api/cron/usage-billing.ts": ("../../src/drain", "GET"),
}


@pytest.mark.parametrize("path", FILES)
def test_a_clock_that_calls_the_address_of_a_file(tmp_path: Path, path: str) -> None:
    source, name = FILES[path]
    address = "/api/cron/usage-billing" if path.startswith("api/") else "/cron/usage-billing"
    tree = {
        "src/drain.ts": DRAIN,
        path: f"import {{ drain }} from '{source}';\nexport async function {name}() {{ await drain(); return new Response('ok'); }}\n",
    }
    for schedule, wanted in (("0 0 1 * *", {"scheduled_reporting"}), ("*/10 * * * *", set())):
        crons = f'{{"crons": [{{"path": "{address}", "schedule": "{schedule}"}}]}}'
        found = codes(
            audited(tmp_path / schedule.replace("/", "").replace(" ", ""), {**tree, "vercel.json": crons})
        )
        assert found == wanted, schedule


QUEUE = {
    "src/drain.ts": DRAIN,
    "worker.js": "const Queue = require('bull');\nconst { drain } = require('./src/drain');\nconst queue = new Queue('usage');\nqueue.process(async () => { await drain(); });\n",
    "start.js": "const config = require('config');\nconst Queue = require('bull');\nconst queue = new Queue('usage');\nqueue.add({}, { repeat: ASKED });\n",
}


@pytest.mark.parametrize(
    "asked", ["config.get('jobs.usage')", "{ cron: config.get('jobs.usage.cron') }", "config.jobs.usage"]
)
def test_a_settings_file_that_says_how_often(tmp_path: Path, asked: str) -> None:
    tree = {**QUEUE, "start.js": QUEUE["start.js"].replace("ASKED", asked)}
    for cron, wanted in (("0 22 * * *", {"scheduled_reporting"}), ("*/5 * * * *", set())):
        settings = f'{{"jobs": {{"usage": {{"cron": "{cron}"}}}}}}'
        found = codes(
            audited(
                tmp_path / cron.replace("/", "").replace(" ", ""), {**tree, "config/default.json": settings}
            )
        )
        assert found == wanted, cron


def test_a_job_that_a_package_has_a_command_for_is_run_by_hand(tmp_path: Path) -> None:
    job = DRAIN + "drain();\n"
    for name, command, wanted in (
        ("hand", "push-usage", {"scheduled_reporting"}),
        ("started", "start:usage", set()),
    ):
        manifest = f'{{"scripts": {{"{command}": "tsx src/jobs/push-usage.ts"}}}}'
        tree = {"package.json": manifest, "src/jobs/push-usage.ts": job}
        assert codes(audited(tmp_path / name, tree)) == wanted, name


TOTALS = (
    HEAD
    + """async function total(id) {
  const monthStart = `${new Date().toISOString().slice(0, 7)}-01`;
  return await db.select({ hours: sum(usageRows.hours) }).from(usageRows).where(BOUND);
}
export async function GET() {
  let reported = 0;
  for (const one of await db.select().from(billable)) {
    const used = await total(one.id);
    try {
      await stripe.subscriptionItems.createUsageRecord(one.item, { quantity: used.hours, action: 'set' });
      reported++;
    } catch (error) {
      console.error(error);
    }
  }
  return Response.json({ reported });
}
"""
)


def test_how_many_were_reported_is_no_mark_of_a_row(tmp_path: Path) -> None:
    """A running total of the month that runs is told again by the next run, and its last part never."""
    crons = '{"crons": [{"path": "/api/cron/usage", "schedule": "*/10 * * * *"}]}'
    text = TOTALS.replace("BOUND", "gte(usageRows.day, monthStart)")
    tree = {
        "app/api/cron/usage/route.ts": text,
        "vercel.json": crons,
        "package.json": '{"dependencies": {"stripe": "14.0.0"}}',
    }
    assert codes(audited(tmp_path, tree)) == {"scheduled_reporting"}
