# ruff: noqa: E501
"""Usage that is sold and that nothing sends: switches, remarks, prices of what is used beyond a plan."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

from tallystick.audit.model import Verdict

HEAD = "import Stripe from 'stripe';\nexport const stripe = new Stripe(process.env.KEY!);\n"
EVENT = "{ event_name: 'calls', identifier: id, payload: { stripe_customer_id: customer, value: '1' } }"
ROUTE = "import { record } from './record';\napp.post('/run', requireUser, async (req, res) => { const out = await work(); await record(req.user.customer, out.id); res.json(out); });\n"

SWITCHES = {
    "a field that is false": ("export const features = {\n  meteredBilling: false,\n};\n", "if (features.meteredBilling) {\n    SENT\n  }", True),
    "an early return": ("export const METERING_ENABLED = false;\n", "if (!METERING_ENABLED) return;\n  SENT", True),
    "a setting of the environment": ("export const METERING_ENABLED = process.env.METERING === 'on';\n", "if (!METERING_ENABLED) return;\n  SENT", False),
    "set to true elsewhere": ("export const features = {\n  meteredBilling: false,\n};\nif (isProduction) features.meteredBilling = true;\n", "if (features.meteredBilling) {\n    SENT\n  }", False),
    "the other branch": ("export const SKIP_REPORTS = false;\n", "if (SKIP_REPORTS) {\n    return;\n  }\n  SENT", False),
}  # fmt: skip


@pytest.mark.parametrize("how", SWITCHES)
def test_a_switch_that_is_never_on(tmp_path: Path, how: str) -> None:
    flags, body, off = SWITCHES[how]
    sent = f"await stripe.billing.meterEvents.create({EVENT});"
    record = f"{HEAD}import {{ features, METERING_ENABLED, SKIP_REPORTS }} from './flags';\nexport async function record(customer, id) {{\n  await db.insert(row);\n  {body.replace('SENT', sent)}\n}}\n"
    report = audited(tmp_path, {"flags.ts": flags, "record.ts": record, "app.ts": ROUTE})
    assert codes(report) == ({"never_reported"} if off else set()), report.findings


@pytest.mark.parametrize(
    ("readme", "wanted"),
    [
        ("# Proxy\n$1.50 per 1,000 requests, usage-based.\n", Verdict.FAIL),
        ("# Proxy\n$9 a month.\n", Verdict.SKIP),
    ],
)
def test_a_report_that_is_a_remark(tmp_path: Path, readme: str, wanted: Verdict) -> None:
    """A call that is commented out counts where usage is sold, and is a leftover where it is not."""
    record = "import { createUsageRecord } from '@lemonsqueezy/lemonsqueezy.js';\nexport async function record(customer, id) {\n  await subscribers.update(customer);\n  // await createUsageRecord({ quantity: 1, action: 'increment', subscriptionItemId: customer });\n}\n"
    tree = {"README.md": readme, "record.ts": record, "app.ts": ROUTE}
    assert audited(tmp_path, tree).verdict is wanted


def test_a_call_in_a_text_of_documentation_is_no_remark(tmp_path: Path) -> None:
    text = "/**\n * Usage-based plans would call:\n * await stripe.billing.meterEvents.create(event)\n */\n"
    assert audited(tmp_path, {"app.ts": f"{HEAD}{text}{ROUTE}"}).verdict is Verdict.SKIP


COUNTED = "import { Redis } from '@upstash/redis';\nexport const record = (customer) => redis.incrbyfloat(`minutes:${customer}`, 1);\n"
PRICES = {
    "a field of a plan": ({"plans.ts": "export const plans = [{ id: 'pro', monthly: 29, minutes: 60, overagePerMinute: 0.35 }];\n"}, True),
    "an amount for each unit": ({"seed.ts": "await db.insert(plan).values([{ id: 'pro', included: 50, overageUnitAmount: 40 }]);\n"}, True),
    "by the extra thousand": ({"plans.ts": "export const PLANS = { PRO: { price: 29, includedWords: 250_000, extraPer1k: 0.25 } };\n"}, True),
    "a column": ({"init.sql": "create table plans (\n  id text primary key,\n  overage_cents_per_minute numeric(6,3) not null\n);\n"}, True),
    "a page": ({"app/pricing/page.tsx": "export default () => <li>60 minutes included, then $0.35 per minute</li>;\n"}, True),
    "a price with its name": ({"buy.ts": "await stripe.subscriptions.create({ customer, items: [{ price: process.env.METERED_MINUTE_PRICE }] });\n"}, True),
    "an extra piece by its price": ({"tiers.ts": "export const tiers = { starter: { monthly: 900, logos: 10, extraLogo: 120 } };\n"}, True),
    "for each extra piece": ({"app/pricing/page.tsx": "export default () => <p>10 logos a month. $1.20 for each extra logo.</p>;\n"}, True),
    "for each extra member": ({"app/pricing/page.tsx": "export default () => <p>5 people. $4 for each extra member.</p>;\n"}, False),
    "as you go": ({"app/pricing/page.tsx": "export default () => <div>\n  <h1>Pay as you go</h1>\n  <p>$0.01 per headline, billed monthly.</p>\n</div>;\n"}, True),
    "credits as you go": ({"app/pricing/page.tsx": "export default () => <p>Pay as you go: buy 100 credits, $0.10 per headline.</p>;\n"}, False),
    "bought piece by piece": ({"app/pricing/page.tsx": "export default () => <p>4 pages a month, then $3 per page.</p>;\n", "buy.ts": "await stripe.checkout.sessions.create({ mode: 'payment', line_items: [page] });\n"}, False),
    "paid out of a balance": ({"app/pricing/page.tsx": "export default () => <p>$0.20 per hour of sandbox</p>;\n", "app/api/topup/route.ts": "await stripe.checkout.sessions.create({ line_items: [funds] });\n"}, False),
    "what the seller's own people see": ({"app/admin/overage/page.tsx": "export default () => <p>Overage is billed once an invoice item exists.</p>;\n"}, False),
    "bought before": ({"app/pricing/page.tsx": "export default () => <p>Calls from $0.02/min. Top up with as little as $5.</p>;\n"}, False),
    "bought before, and beyond": ({"app/pricing/page.tsx": "export default () => <p>Top up when you like. Minutes that are left at the end of a month stay yours for as long as you have an account with us, whatever plan.</p>\n<p>$0.02/min overage, billed monthly.</p>;\n"}, True),
    "an amount that SQL works out": ({"invoices.sql": "create function f() returns int as $$\ndeclare\n  v_overages_cents int := greatest(0, used - 100);\nbegin return 1; end $$;\n"}, False),
    "none, by default": ({"init.sql": "create table plans (\n  id text primary key,\n  overage_cents_per_minute numeric not null default 0\n);\n"}, False),
    "a month": ({"app/pricing/page.tsx": "export default () => <li>First month free, then $29 per month</li>;\n"}, False),
    "seats": ({"app/pricing/page.tsx": "export default () => <li>5 seats, then $4 per seat. Additional seats $3 each.</li>;\n", "plans.ts": "export const plans = { team: { price: 24, extraSeatPrice: 4 } };\n"}, False),
    "goods": ({"rates.ts": "export const rates = { domestic: { base: 4.9, extraPerKg: 1.2 } };\n"}, False),
}  # fmt: skip


@pytest.mark.parametrize("how", PRICES)
def test_a_price_beyond_the_plan_and_a_counter(tmp_path: Path, how: str) -> None:
    files, sold = PRICES[how]
    report = audited(tmp_path, {"stripe.ts": HEAD, "record.ts": COUNTED, "app.ts": ROUTE, **files})
    assert report.verdict is (Verdict.FAIL if sold else Verdict.SKIP), report.findings
    assert ("never_reported" in codes(report)) is sold


COUNTERS = {
    "mongo": "export const record = (customer) => months.updateOne({ customer }, { $inc: { calls: 1 } }, { upsert: true });\n",
    "a function of the database": "export const record = (customer) => supabase.rpc('increment_calls', { customer });\n",
    "a field that goes up": "export const record = (id) => pb.collection('users').update(id, { 'calls+': 1 });\n",
    "an expression of the database": "export const record = (id) => db.update(users).set({ calls: sql`${users.calls} + 1` });\n",
    "a row of usage": "export const record = (customer) => supabase.from('usage_events').insert({ customer });\n",
    "rows that are counted": "export const used = (customer, start) => prisma.call.count({ where: { customer, createdAt: { gte: start } } }).then((n) => n - plan.included);\n",
}


@pytest.mark.parametrize("how", COUNTERS)
def test_other_counters(tmp_path: Path, how: str) -> None:
    page = {"app/pricing/page.tsx": "export default () => <li>$0.02 per additional call</li>;\n"}
    report = audited(tmp_path, {"stripe.ts": HEAD, "record.ts": COUNTERS[how], "app.ts": ROUTE, **page})
    assert codes(report) == {"never_reported"}


@pytest.mark.parametrize(
    ("left", "wanted"),
    [("sent - account.included_envelopes", {"scheduled_reporting"}), ("membership.joiningFee", set())],
)
def test_invoice_items_for_what_is_beyond_an_allowance(tmp_path: Path, left: str, wanted: set[str]) -> None:
    job = f"{HEAD}export async function GET(req) {{\n  for (const account of await accounts()) {{\n    const sent = await count(account);\n    const quantity = {left};\n    await stripe.invoiceItems.create({{ customer: account.customer, quantity, unit_amount: 120 }});\n  }}\n}}\n"
    tree = {
        "vercel.json": '{"crons": [{"path": "/api/cron/bill", "schedule": "0 6 1 * *"}]}',
        "app/api/cron/bill/route.ts": job,
    }
    assert codes(audited(tmp_path, tree)) == wanted


def test_a_worker_whose_queue_nothing_fills(tmp_path: Path) -> None:
    worker = f"{HEAD}@Processor('usage-reporting')\nexport class UsageProcessor extends WorkerHost {{\n  async process(job: Job) {{\n    const {{ customer, id }} = job.data;\n    await stripe.billing.meterEvents.create({EVENT});\n  }}\n}}\n"
    module = "@Module({ imports: [BullModule.registerQueue({ name: 'usage-reporting' })], providers: [UsageProcessor] })\nexport class UsageModule {}\n"
    tree = {"usage.processor.ts": worker, "usage.module.ts": module}
    assert codes(audited(tmp_path / "wrong", tree)) == {"never_reported"}
    filled = "@Injectable()\nexport class Notes {\n  constructor(@InjectQueue('usage-reporting') private readonly usage: Queue) {}\n  async create(user) { const out = await work(); await this.usage.add('note', { customer: user.customer, id: out.id }); return out; }\n}\n"
    assert "never_reported" not in codes(audited(tmp_path / "right", {**tree, "notes.service.ts": filled}))


LINK = "export async function createLink(workspace, url) { await scan(url); return prisma.link.create({ data: { workspace, url } }); }\n"
METER = f"{HEAD}export async function recordLink(customer, id) {{ await stripe.billing.meterEvents.create({EVENT}); }}\n"
SOLD = "import { createLink } from './links';\nimport { recordLink } from './meter';\napp.post('/links', requireUser, async (req, res) => { const link = await createLink(req.user.workspace, req.body.url); await recordLink(req.user.customer, link.id); res.json(link); });\n"
TWINS = {
    "another route": ("app.post('/v1/links', requireKey, async (req, res) => { res.json(await createLink(req.key.workspace, req.body.url)); });\n", True),
    "a job": ("app.get('/api/cron/due', async (req, res) => { for (const one of await due()) await createLink(one.workspace, one.url); res.json({}); });\n", True),
    "a route that reports": ("app.post('/v1/links', requireKey, async (req, res) => { const link = await createLink(req.key.workspace, req.body.url); await recordLink(req.key.customer, link.id); res.json(link); });\n", False),
    "what is given away": ("app.post('/demo/links', async (req, res) => { res.json(await createLink('demo', req.body.url)); });\n", False),
    "other work": ("app.get('/links', requireUser, async (req, res) => { res.json(await listLinks(req.user.workspace)); });\n", False),
}  # fmt: skip


@pytest.mark.parametrize("how", TWINS)
def test_what_a_report_counts_made_elsewhere(tmp_path: Path, how: str) -> None:
    """The function whose answer tells the report apart is what is sold, whatever it costs the seller."""
    twin, passes_by = TWINS[how]
    head = "import { createLink, listLinks } from './links';\nimport { recordLink } from './meter';\n"
    tree = {"links.ts": LINK, "meter.ts": METER, "app.ts": SOLD, "api.ts": head + twin}
    assert codes(audited(tmp_path, tree)) == ({"unmetered_endpoint"} if passes_by else set())
