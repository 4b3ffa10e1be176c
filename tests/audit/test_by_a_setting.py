# ruff: noqa: E501
"""How often something runs is the default of a setting of the environment."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

REPORT = """import Stripe from 'stripe';
import { db } from './db';
const stripe = new Stripe(process.env.KEY!);
export async function report() {
  for (const row of await db.usage.findMany({ where: { sentAt: null } })) {
    await stripe.billing.meterEvents.create({ event_name: 'runs', identifier: row.id, payload: { stripe_customer_id: row.customer, value: String(row.n) } });
    await db.usage.update({ where: { id: row.id }, data: { sentAt: new Date() } });
  }
}
"""
QUEUED = """import { Queue, Worker } from 'bullmq';
import { report } from './report';
const EVERY = LENGTH
async function main() {
  new Worker('usage', report, { connection });
  const queue = new Queue('usage', { connection });
  await queue.upsertJobScheduler('usage-meter', { every: EVERY }, { name: 'meter' });
}
main();
"""
TIMED = "import { report } from './report';\nconst EVERY = LENGTH\nsetInterval(report, EVERY);\n"
ROUTE = "app.post('/run', requireUser, async (req, res) => { await db.usage.create({ data: { customer: req.user.customer, n: 1 } }); res.json({}); });\n"
DAILY = [
    "Number(process.env.USAGE_EVERY || 24 * 60 * 60 * 1000);",
    "Number(process.env.USAGE_EVERY ?? 86_400_000);",
    "Number(process.env.USAGE_EVERY) || 24 * 60 * 60 * 1000; // once a day",
    "parseInt(process.env.USAGE_EVERY || '86400000', 10)",
    "parseInt(process.env.USAGE_HOURS ?? '24', 10) * 3600 * 1000;",
    "(Number(process.env.USAGE_HOURS) || 24) * 60 * 60 * 1000;",
    "24 * 60 * 60 * 1000;",
]
OFTEN = [
    "Number(process.env.USAGE_EVERY || 60 * 1000);",
    "parseInt(process.env.USAGE_MINUTES ?? '5', 10) * 60 * 1000;",
    "Number(process.env.USAGE_HOURS) * 60 * 60 * 1000;",
]


def tree(worker: str, length: str) -> Tree:
    return {
        "src/report.ts": REPORT,
        "src/worker.ts": worker.replace("LENGTH", length),
        "src/server.ts": "import { db } from './db';\n" + ROUTE,
    }


@pytest.mark.parametrize("worker", [QUEUED, TIMED])
@pytest.mark.parametrize("length", DAILY)
def test_once_a_day_by_default(tmp_path: Path, worker: str, length: str) -> None:
    assert codes(audited(tmp_path, tree(worker, length))) == {"scheduled_reporting"}


@pytest.mark.parametrize("length", OFTEN)
def test_often_by_default_or_not_said(tmp_path: Path, length: str) -> None:
    assert codes(audited(tmp_path, tree(QUEUED, length))) == set()
