# ruff: noqa: E501
"""Overage that is billed when the invoice is announced: some days of the period are still to come."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
BILL = f"{HEAD}export async function billOverage(invoice) {{\n  const used = await db.usageEvents.count({{ where: {{ customer: invoice.customer, at: {{ lt: new Date() }} }} }});\n  await stripe.invoiceItems.create({{ customer: invoice.customer, quantity: used - 100, price: OVERAGE }});\n}}\n"
HOOK = """import { billOverage } from './overage';
app.post('/hook', async (req, res) => {
  const event = stripe.webhooks.constructEvent(req.rawBody, req.headers['stripe-signature'], secret);
  BODY
  res.json({ received: true });
});
"""
LATE = {"scheduled_reporting"}
CALL = "await billOverage(event.data.object);"
BODIES = {
    f"switch (event.type) {{\n    case 'customer.updated': await sync(event); break;\n    case 'invoice.upcoming':\n      {CALL}\n      break;\n  }}": LATE,
    f"if (event.type === 'invoice.upcoming') {{\n    {CALL}\n  }}": LATE,
    f"if (event.type !== 'invoice.upcoming') return res.end();\n  {CALL}": LATE,
    f"switch (event.type) {{\n    case 'invoice.upcoming':\n      await notify(event);\n      break;\n    case 'invoice.created':\n      {CALL}\n      break;\n  }}": set(),
    f"switch (event.type) {{\n    case 'invoice.created':\n    case 'invoice.upcoming':\n      {CALL}\n      break;\n  }}": set(),
    f"if (event.type === 'invoice.upcoming') {{\n    await notify(event);\n  }}\n  {CALL}": set(),
    f"if (event.type === 'invoice.upcoming') {{\n    {CALL}\n  }}\n  if (event.type === 'invoice.created') {{\n    {CALL}\n  }}": set(),
}


@pytest.mark.parametrize("body", BODIES)
def test_billed_when_the_invoice_is_announced(tmp_path: Path, body: str) -> None:
    tree = {"overage.ts": BILL, "server.ts": HOOK.replace("BODY", body)}
    assert codes(audited(tmp_path, tree)) == BODIES[body]


RUBY = """class HooksController < ApplicationController
  def create
    event = Stripe::Webhook.construct_event(request.body.read, request.headers["Stripe-Signature"], ENV["SECRET"])
    case event.type
    when "customer.updated" then CustomerSync.new.call(event)
    when "EVENT" then OverageBilling.new.bill(event.data.object)
    end
    head :ok
  end
end
"""
SERVICE = """class OverageBilling
  def bill(invoice)
    used = UsageEvent.where(customer: invoice.customer).count
    Stripe::InvoiceItem.create(customer: invoice.customer, quantity: used - 100, price: PRICE)
  end
end
"""


@pytest.mark.parametrize(("event", "wanted"), [("invoice.upcoming", LATE), ("invoice.created", set())])
def test_the_same_on_rails(tmp_path: Path, event: str, wanted: set[str]) -> None:
    tree = {
        "config/routes.rb": "Rails.application.routes.draw do\n  post '/hook', to: 'hooks#create'\nend\n",
        "app/controllers/hooks_controller.rb": RUBY.replace("EVENT", event),
        "app/services/overage_billing.rb": SERVICE,
    }
    assert codes(audited(tmp_path, tree)) == wanted


PYTHON = """import stripe
from fastapi import FastAPI, Request
app = FastAPI()

async def bill_overage(invoice):
    used = await rows(invoice)
    stripe.InvoiceItem.create(customer=invoice["customer"], quantity=used - 100, price=PRICE)

HANDLERS = {"customer.updated": sync, "EVENT": bill_overage}

@app.post("/hook")
async def hook(request: Request):
    event = stripe.Webhook.construct_event(await request.body(), request.headers["stripe-signature"], SECRET)
    CHOSEN
    return {"ok": True}
"""


@pytest.mark.parametrize(("event", "wanted"), [("invoice.upcoming", LATE), ("invoice.created", set())])
@pytest.mark.parametrize(
    "chosen",
    [
        'if event["type"] == "EVENT":\n        await bill_overage(event["data"]["object"])',
        'await HANDLERS[event["type"]](event["data"]["object"])',
    ],
)
def test_the_same_in_python(tmp_path: Path, chosen: str, event: str, wanted: set[str]) -> None:
    text = PYTHON.replace("CHOSEN", chosen).replace("EVENT", event)
    assert codes(audited(tmp_path, {"main.py": text})) == wanted
