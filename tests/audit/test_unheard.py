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
