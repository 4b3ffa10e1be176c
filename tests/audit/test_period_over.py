# ruff: noqa: E501
"""Usage that is told to a meter only when the invoice of its period is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

HOOK = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\napp.post('/hook', async (req, res) => {\n  const event = stripe.webhooks.constructEvent(req.rawBody, req.headers['stripe-signature'], secret);\n  switch (event.type) {\n    case 'customer.updated': await sync(event); break;\n    case 'EVENT': {\n      const invoice = event.data.object;\n      const org = await db.org.findFirst({ where: { customer: invoice.customer } });\n      const used = await db.call.count({ where: { org: org.id } });\n      TOLD\n      break;\n    }\n  }\n  res.json({ received: true });\n});\n"
METER = "await stripe.billing.meterEvents.create({ event_name: 'calls', identifier: invoice.id, payload: { stripe_customer_id: org.customer, value: String(used) } });"
STAMPED = METER.replace("identifier", "timestamp: invoice.period_end - 1, identifier")
ITEM = "await stripe.invoiceItems.create({ customer: org.customer, invoice: invoice.id, quantity: used, price: OVERAGE });"
LATE = {"scheduled_reporting"}


@pytest.mark.parametrize(
    ("event", "told", "wanted"),
    [
        ("invoice.created", METER, LATE),
        ("invoice.paid", METER, LATE),
        ("invoice.created", STAMPED, set()),
        ("invoice.created", ITEM, set()),
        ("checkout.session.completed", METER, set()),
    ],
)
def test_told_when_the_invoice_is_there(tmp_path: Path, event: str, told: str, wanted: set[str]) -> None:
    assert (
        codes(audited(tmp_path, {"server.ts": HOOK.replace("EVENT", event).replace("TOLD", told)})) == wanted
    )


def test_told_on_another_way_as_well(tmp_path: Path) -> None:
    shared = (
        METER.replace("invoice.id", "key")
        .replace("org.customer", "customer")
        .replace("String(used)", "String(used)")
    )
    helper = f"import {{ stripe }} from './stripe';\nexport async function tell(customer, used, key) {{\n  {shared}\n}}\n"
    ask = "app.post('/call', requireUser, async (req, res) => {\n  const out = await ring(req.user);\n  await tell(req.user.customer, out.minutes, out.id);\n  res.json(out);\n});\n"
    hook = (
        "import { tell } from './tell';\n"
        + HOOK.replace("EVENT", "invoice.created").replace(
            "TOLD", "await tell(org.customer, used, invoice.id);"
        )
        + ask
    )
    assert codes(audited(tmp_path, {"tell.ts": helper, "server.ts": hook})) == set()
