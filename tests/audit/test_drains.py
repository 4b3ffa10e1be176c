"""A counter that a frequent job sends: what was not sent stays in the difference, unless the job forgets it."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

CRONTAB = "*/15 * * * * root sh /send.sh\n"
SCRIPT = "curl -fsS -X POST http://api:8000/admin/usage/send\n"
ROUTE = """from fastapi import FastAPI
from meters import send_all
app = FastAPI()

@app.post("/admin/usage/send")
async def send():
    await send_all()
"""
JOB = """import stripe

async def send_all():
    for meter in await Meter.all():
        try:
            {amount}
            stripe.billing.MeterEvent.create(
                event_name="calls", identifier=f"{{meter.id}}:{{meter.synced}}",
                payload={{"stripe_customer_id": meter.customer_id, "value": str(amount)}},
            )
            meter.synced = meter.value
            await meter.save()
        except Exception:
            log.error("meter %s", meter.id)
            continue
"""
AMOUNTS = {
    "amount = meter.value - meter.synced": set(),
    "amount = meter.take()": {"errors_swallowed"},
}


@pytest.mark.parametrize("amount", AMOUNTS)
def test_what_is_left_of_a_counter_is_sent_the_next_time(tmp_path: Path, amount: str) -> None:
    """The total less what was told already; a counter that is emptied first has nothing left."""
    report = audited(
        tmp_path,
        {
            "deploy/cron/send.txt": CRONTAB,
            "deploy/cron/send.sh": SCRIPT,
            "app.py": ROUTE,
            "meters.py": JOB.format(amount=amount),
        },
    )
    assert codes(report) == AMOUNTS[amount], report.findings


HOURLY = """import Stripe from 'stripe';
const stripe = new Stripe(process.env.KEY!);
export async function sendTotals() {
  for (const team of await prisma.team.findMany()) {
    const total = await used(team);
    await stripe.subscriptionItems.createUsageRecord(team.item, { quantity: total, timestamp: 'now', action: 'set' });
  }
}
const used = async (team) => prisma.call.count({ where: { teamId: team.id, createdAt: { gte: team.open
  ? new Date(team.SINCE * 1000) : monthStart() } } });
"""


@pytest.mark.parametrize(
    ("since", "wanted"), [("current_period_start", {"scheduled_reporting"}), ("settledUntil", set())]
)
def test_a_total_of_the_running_period_forgets_its_end(tmp_path: Path, since: str, wanted: set[str]) -> None:
    """Also where a helper of the job counts it."""
    report = audited(
        tmp_path,
        {
            "package.json": '{"dependencies": {"stripe": "^16"}}',
            "vercel.json": '{"crons": [{"path": "/api/cron/totals", "schedule": "0 * * * *"}]}',
            "app/api/cron/totals/route.ts": "import { sendTotals } from '../../../../lib/totals';\n"
            "export async function GET() { await sendTotals(); return Response.json({}); }\n",
            "lib/totals.ts": HOURLY.replace("SINCE", since),
        },
    )
    assert codes(report) == wanted, report.findings
