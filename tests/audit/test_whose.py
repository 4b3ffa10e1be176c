# ruff: noqa: E501
"""Whose row it is, and what a row holds: fields that a schema names, owners that are asked for, rows that only open."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

HEAD = (
    "import Stripe from 'stripe';\nimport { z } from 'zod';\nconst stripe = new Stripe(process.env.KEY!);\n"
)
SPREAD = (
    HEAD
    + """const schema = z.object({ FIELDS });
async function record(input) {
  await stripe.billing.meterEvents.create({ event_name: 'calls', identifier: input.id, payload: { stripe_customer_id: input.customerId, value: '1' } });
}
app.post('/run', requireUser, async (req, res) => {
  const body = schema.parse(req.body);
  const customerId = req.user.customerId;
  await record(GIVEN);
  res.json({});
});
"""
)
SPREADS = {
    ("id: z.string()", "{ customerId, ...body }"): set(),
    ("id: z.string(), customerId: z.string()", "{ ...body, customerId }"): set(),
    ("id: z.string(), customerId: z.string()", "{ customerId, ...body }"): {"client_supplied_customer"},
    ("id: z.string(), customerId: z.string()", "{ ...body }"): {"client_supplied_customer"},
}


@pytest.mark.parametrize("spread", SPREADS)
def test_a_field_that_overrules_what_is_spread(tmp_path: Path, spread: tuple[str, str]) -> None:
    fields, given = spread
    tree = {"server.ts": SPREAD.replace("FIELDS", fields).replace("GIVEN", given)}
    assert codes(audited(tmp_path, tree)) == SPREADS[spread]


OWNED = (
    HEAD
    + """export async function POST(request) {
  const session = await requireSession(request);
  const { itemId } = await request.json();
  const mine = await db.subscription.findFirst({ where: { userId: session.user.id } });
  ASKED
  const answer = await openai.responses.create({ input: 'x' });
  await stripe.subscriptionItems.createUsageRecord(itemId, { quantity: answer.usage.total_tokens, timestamp: answer.created });
  return Response.json(answer);
}
"""
)
ASKED = {
    "": True,
    "if (!itemId) return Response.json({ error: 'itemId is missing' }, { status: 400 });": True,
    "const item = await stripe.subscriptionItems.retrieve(itemId);\n  if (item.subscription !== mine.stripeId) {\n    return Response.json({ error: 'not yours' }, { status: 403 });\n  }": False,
    "if (mine.itemId !== itemId) throw new Error('Forbidden');": False,
}


@pytest.mark.parametrize("asked", ASKED)
def test_an_item_that_has_to_be_the_callers(tmp_path: Path, asked: str) -> None:
    tree = {
        "package.json": '{"dependencies": {"stripe": "14.0.0"}}',
        "app/api/run/route.ts": OWNED.replace("ASKED", asked),
    }
    assert ("client_supplied_customer" in codes(audited(tmp_path, tree))) is ASKED[asked]


DRAIN = (
    HEAD
    + """export async function GET() {
  const rows = await db.from('usage_tracking').select().eq('reported', false);
  for (const row of rows.data) {
    await stripe.billing.meterEvents.create({ event_name: 'minutes', identifier: row.id, payload: { stripe_customer_id: row.customer, value: String(row.minutes_used) } });
    await db.from('usage_tracking').update({ reported: true }).eq('id', row.id);
  }
  return Response.json({});
}
"""
)
CRON = '{"crons": [{"path": "/api/cron/usage", "schedule": "*/10 * * * *"}]}'


def test_a_row_that_only_opens_a_period_is_no_usage(tmp_path: Path) -> None:
    route = "export async function POST(request) {\n  const session = await requireSession(request);\n  const { error } = await db.from('usage_tracking').insert({ subscription_id: session.org.subscription, minutes_used: USED, minutes_included: session.org.plan.minutes });\n  if (error) console.error(error);\n  return Response.json({});\n}\n"
    for used, wanted in (("0", set()), ("await measured(session)", {"errors_swallowed"})):
        tree = {
            "app/api/cron/usage/route.ts": DRAIN,
            "vercel.json": CRON,
            "app/api/plan/route.ts": route.replace("USED", used),
        }
        assert codes(audited(tmp_path / str(len(used)), tree)) == wanted, used


BILLING = """import stripe
from fastapi import APIRouter, Depends
router = APIRouter(prefix="/billing")

@router.post("/usage")
def record(usage: Usage, user=Depends(current_user), db=Depends(get_db)):
    db.add(UsageRow(organization_id=user.organization_id, quantity=MANY))
    db.commit()
    return {"status": "recorded"}

@router.post("/invoice")
def invoice(user=Depends(current_user), db=Depends(get_db)):
    rows = db.query(UsageRow).filter(UsageRow.organization_id == user.organization_id).all()
    for row in rows:
        stripe.InvoiceItem.create(customer=user.stripe_customer_id, amount=row.cost, currency="usd", description="usage", idempotency_key=row.id)
    return stripe.Invoice.create(customer=user.stripe_customer_id, auto_advance=True)
"""


def test_rows_that_a_route_makes_an_invoice_of(tmp_path: Path) -> None:
    for many, wanted in (("usage.quantity", {"client_supplied_quantity"}), ("measured(user)", set())):
        tree = {"billing.py": BILLING.replace("MANY", many)}
        assert codes(audited(tmp_path / str(len(many)), tree)) == wanted, many
