# ruff: noqa: E501
"""Workers that wait for an event: of use where something sends it."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

WORKER = """import Stripe from 'stripe';
import { inngest } from './client';
const stripe = new Stripe(process.env.KEY!);
export const billOverage = inngest.createFunction(
  { id: 'bill-overage', retries: 3 },
  { event: 'EVENT' },
  async ({ event, step }) => {
    const org = await step.run('org', async () => db.from('orgs').select('*').eq('id', event.data.orgId).single());
    await step.run('bill', async () => {
      await stripe.invoiceItems.create({ customer: org.customer, amount: org.overage_cents, currency: 'usd', description: 'overage' });
    });
  }
);
"""
TYPES = "import { Inngest } from 'inngest';\ntype Events = { 'usage/cycle.ending': { data: { orgId: string } } };\nexport const inngest = new Inngest({ id: 'shop' });\n"
SERVE = "import { serve } from 'inngest/next';\nimport { inngest } from '@/lib/client';\nimport { billOverage } from '@/lib/worker';\nexport const { GET, POST, PUT } = serve({ client: inngest, functions: [billOverage] });\n"
BASE: Tree = {
    "package.json": '{"dependencies": {"next": "15", "inngest": "3", "stripe": "17.0.0"}}',
    "tsconfig.json": '{"compilerOptions": {"paths": {"@/*": ["./src/*"]}}}',
    "src/lib/client.ts": TYPES,
    "src/app/api/inngest/route.ts": SERVE,
}
SENDS = {
    "nothing": ("// await inngest.send({ name: 'usage/cycle.ending' });\n", {"never_reported"}),
    "only its type": ("type Ending = { name: 'usage/cycle.ending';\n data: { orgId: string } };\n", {"never_reported"}),
    "another that waits": ("await step.waitForEvent('x', { event: 'usage/cycle.ending', timeout: '1d' });\n", {"never_reported"}),
    "its name": ("await inngest.send({ name: 'usage/cycle.ending', data: { orgId: org.id } });\n", set()),
    "a name kept elsewhere": ("export const ENDING = 'usage/cycle.ending';\n", set()),
    "a name put together": ("await inngest.send({ name: `usage/cycle.${state}`, data: { orgId: org.id } });\n", set()),
}  # fmt: skip


@pytest.mark.parametrize("said", SENDS)
def test_an_event_that_nothing_sends(tmp_path: Path, said: str) -> None:
    text, wanted = SENDS[said]
    sender = f"import {{ inngest }} from '@/lib/client';\nexport async function POST(req: Request) {{\n  const org = await requireOrg(req);\n  {text}\n  return Response.json({{}});\n}}\n"
    worker = WORKER.replace("EVENT", "usage/cycle.ending")
    tree = {**BASE, "src/lib/worker.ts": worker, "src/app/api/close/route.ts": sender}
    assert codes(audited(tmp_path, tree)) == wanted


@pytest.mark.parametrize("event", ["stripe/invoice.created", "inngest/function.failed"])
def test_an_event_of_a_platform_needs_no_sender(tmp_path: Path, event: str) -> None:
    tree = {**BASE, "src/lib/worker.ts": WORKER.replace("EVENT", event)}
    assert "never_reported" not in codes(audited(tmp_path, tree))


TASK = """import stripe
from celery import shared_task
@shared_task(name="billing.report_usage_rows")
def report_usage_rows():
    for row in Usage.objects.filter(reported=False):
        stripe.SubscriptionItem.create_usage_record(row.item, quantity=row.quantity)
        row.update(reported=True)
"""
RUN = "from shop.tasks import report_usage_rows\n@app.post('/close')\ndef close(user=Depends(admin)):\n    STARTS\n    return {}\n"
STARTS = {
    "nothing": ("pass", {}, {"never_reported"}),
    "a remark": ("# report_usage_rows.delay()", {}, {"never_reported"}),
    "a request": ("report_usage_rows.delay()", {}, set()),
    "by its task": ("celery.send_task('billing.report_usage_rows')", {}, set()),
    "a crontab": ("pass", {"deploy/crontab": "*/5 * * * * celery call billing.report_usage_rows\n"}, set()),
    "a row of a table": ("pass", {"shop/settings.py": "INSTALLED_APPS = ['django_celery_beat']\n"}, set()),
}  # fmt: skip


@pytest.mark.parametrize("start", STARTS)
def test_a_task_that_nothing_starts(tmp_path: Path, start: str) -> None:
    text, more, wanted = STARTS[start]
    tree = {"requirements.txt": "stripe==10.0.0\ncelery\n", "shop/tasks.py": TASK, "shop/main.py": RUN.replace("STARTS", text), **more}  # fmt: skip
    assert codes(audited(tmp_path, tree)) == wanted


JOB = "class ReportUsageJob < ApplicationJob\n  def perform\n    Usage.where(reported_at: nil).find_each do |row|\n      Stripe::SubscriptionItem.create_usage_record(row.item, quantity: row.quantity)\n      row.update!(reported_at: Time.current)\n    end\n  end\nend\n"


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({}, {"never_reported"}),
        ({"config/recurring.yml": "usage:\n  class: ReportUsageJob\n  schedule: every 5 minutes\n"}, set()),
        ({"lib/close.rb": "class Close\n  def call\n    ReportUsageJob.perform_later\n  end\nend\n"}, set()),
    ],
)
def test_a_job_that_nothing_starts(tmp_path: Path, more: Tree, wanted: set[str]) -> None:
    assert codes(audited(tmp_path, {"app/jobs/report_usage_job.rb": JOB, **more})) == wanted
