"""A reporter that nothing calls, beside credits: what is sold says whether anything is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited

from tallystick.audit.model import Verdict

METER = """import Stripe from 'stripe';
const stripe = new Stripe(process.env.KEY!);
export async function reportUsage(customer, n, id) {
  await stripe.billing.meterEvents.create({
    event_name: 'calls', identifier: id, payload: { stripe_customer_id: customer, value: String(n) },
  });
}
"""
CREDITS = "export async function buyCredits(user, pack) { await db.credit_packs.create({ user, pack }); }\n"
ROUTE = """import { start } from './plans';
// used to create a metered subscription
app.post('/subscribe', requireUser, async (req, res) => {
  await start(req.user.customer);
  log.info('SAID');
  res.json({});
});
"""


@pytest.mark.parametrize(
    ("said", "verdict"),
    [("Created metered subscription", Verdict.FAIL), ("Created subscription", Verdict.SKIP)],
)
def test_a_metered_subscription_is_sold_and_nothing_reports(
    tmp_path: Path, said: str, verdict: Verdict
) -> None:
    tree = {
        "meter.ts": METER,
        "credits.ts": CREDITS,
        "plans.ts": "export async function start(customer) { return await subscribe(customer); }\n",
        "server.ts": ROUTE.replace("SAID", said),
    }
    report = audited(tmp_path, tree)
    assert report.verdict is verdict, report.findings
