# ruff: noqa: E501
"""Usage that a page sells by the unit, programs that only show a report, and workers that a factory gives."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

KIT = {"src/lib/stripe.ts": "import Stripe from 'stripe';\nexport const stripe = new Stripe(key);\n"}
PAGES = {
    "by the unit": 'export const rates = [{ label: "Streaming", price: "$0.05", unit: "per GB" }];\n',
    "by the call": "export const plans = [{ name: 'Metered', price: '$.01', period: '/call' }];\n",
    "as used": 'export const faq = [{ answer: "You\'ll only be billed for actual usage." }];\n',
}
OTHERS = {
    "a seat": 'export const rates = [{ label: "Team", price: "$0.50", unit: "per seat" }];\n',
    "a credit": 'export const rates = [{ label: "Pack", price: "$0.05", unit: "per credit" }];\n',
    "a plan": 'export const plans = [{ name: "Pro", price: "$9.99", period: "per month" }];\n',
    "a thought": "// you are billed for actual usage\nexport const plans = [];\n",
}


@pytest.mark.parametrize("page", PAGES)
def test_a_price_per_unit_on_a_page(tmp_path: Path, page: str) -> None:
    assert codes(audited(tmp_path, {**KIT, "src/app/pricing/page.tsx": PAGES[page]})) == {"never_reported"}


@pytest.mark.parametrize("page", OTHERS)
def test_another_price_on_a_page(tmp_path: Path, page: str) -> None:
    assert audited(tmp_path, {**KIT, "src/app/pricing/page.tsx": OTHERS[page]}).verdict == "skip"


def test_overage_where_only_the_customers_number_tells_of_payment(tmp_path: Path) -> None:
    tree = {
        "src/limits.ts": "export const OVERAGE_RATES = { search_cents: 0.2 };\n",
        "src/types.ts": "export interface Org { plan: string; stripe_customer_id: string | null }\n",
    }
    assert codes(audited(tmp_path, tree)) == {"never_reported"}
    (tmp_path / "src/types.ts").unlink()
    del tree["src/types.ts"]
    assert audited(tmp_path, tree).verdict == "skip"


PRICE = "import Stripe from 'stripe';\nconst stripe = new Stripe(key);\napp.post('/price', async (req, res) => {\n  const price = await stripe.prices.create({ currency: 'usd', billing_scheme: 'tiered', tiers: [{ up_to: 'inf', unit_amount: AMOUNT * 100 }] });\n  res.json(price);\n});\n"


def test_a_price_of_a_metered_amount(tmp_path: Path) -> None:
    metered = {"server.ts": PRICE.replace("AMOUNT", "meteredAmount")}
    assert codes(audited(tmp_path / "metered", metered)) == {"never_reported"}
    assert audited(tmp_path / "seats", {"server.ts": PRICE.replace("AMOUNT", "seatAmount")}).verdict == "skip"


SHOWN = """import {{ Polar }} from '@polar-sh/sdk';
const polar = new Polar({{ accessToken }});
async function ingest(customer, units) {{
  await polar.events.ingest({{ events: [{{ name: 'x', externalCustomerId: customer, metadata: {{ units }} }}] }});
}}
async function main() {{
  {}
}}
main().catch(console.error);
"""


def test_a_program_that_shows_a_report(tmp_path: Path) -> None:
    tree = {"packages/polar/src/polar.ts": SHOWN.format("await ingest('cus_123', 2);")}
    assert audited(tmp_path, tree).verdict == "skip"


def test_a_program_that_sends_reports(tmp_path: Path) -> None:
    rows = "for (const row of await db.query('select * from usage where sent is null')) await ingest(row.customer, row.units);"
    assert codes(audited(tmp_path, {"src/drain.ts": SHOWN.format(rows)})) == {"errors_swallowed"}


METER = "import Stripe from 'stripe';\nconst stripe = new Stripe(key);\nasync function process(job) {\n  SENT\n}\nexport function createProcessor() { return process; }\n"
SEND = "await stripe.billing.meterEvents.create({ event_name: 'x', identifier: job.id, payload: { stripe_customer_id: job.data.customer, value: job.data.n } });"
WORKER = "import { Worker } from 'bullmq';\nimport { createProcessor } from './meter';\nnew Worker('usage', createProcessor(), { connection });\n"

ASKED = "import { Queue } from 'bullmq';\nconst usage = new Queue('usage');\napp.post('/run', requireUser, async (req, res) => { const n = await run(req.user); await usage.add('one', { customer: req.user.customer, n }); res.json(n); });\n"


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [(SEND, set()), (f"try {{ {SEND} }} catch (error) {{ console.error(error); }}", {"errors_swallowed"})],
)
def test_a_worker_that_a_factory_gives(tmp_path: Path, sent: str, wanted: set[str]) -> None:
    tree = {"src/meter.ts": METER.replace("SENT", sent), "src/worker.ts": WORKER, "src/app.ts": ASKED}
    assert codes(audited(tmp_path, tree)) == wanted
