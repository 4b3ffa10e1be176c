# ruff: noqa: E501
"""How JavaScript projects are put together: CommonJS, kits behind a field of their own, flat plans, rows of D1."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.model import Verdict

HEAD = "const stripe = require('stripe')(process.env.KEY);\n"
SEND = "await stripe.billing.meterEvents.create({ event_name: 'pages', identifier: id, payload: { stripe_customer_id: customer, value: String(1) } });"
REPORT = f"{HEAD}async function report(customer, id) {{ {SEND} }}\n"
SERVER = "const express = require('express');\nconst app = express();\nconst handlers = require('./handlers');\napp.post('/render', requireUser, handlers.render);\n"
RENDER = "async function render(req, res) { const page = await draw(req.body.url); await report(NUMBER, page.id); res.json(page); }\nmodule.exports = render;\n"
GIVING = {
    "the module is the function": ({"usage/report.js": REPORT + "module.exports = report;\n"}, "const report = require('../usage/report');\n"),
    "an object of names": ({"usage/report.js": REPORT + "module.exports = { report };\n"}, "const { report } = require('../usage/report');\n"),
    "a field of exports": ({"usage/report.js": REPORT + "exports.report = report;\n"}, "const usage = require('../usage/report');\nconst report = (customer, id) => usage.report(customer, id);\n"),
    "an index of files": ({"usage/report.js": REPORT + "module.exports = report;\n", "usage/index.js": "const report = require('./report');\nmodule.exports = { report };\n"}, "const { report } = require('../usage');\n"),
    "an index of requires": ({"usage/report.js": REPORT + "module.exports = report;\n", "usage/index.js": "module.exports = { report: require('./report') };\n"}, "const { report } = require('../usage');\n"),
    "a spread index": ({"usage/stripe/report.js": REPORT + "module.exports = report;\n", "usage/stripe/index.js": "const report = require('./report');\nmodule.exports = { report };\n", "usage/index.js": "const stripe = require('./stripe');\nmodule.exports = { ...stripe };\n"}, "const { report } = require('../usage');\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(GIVING))
def test_what_a_commonjs_module_gives(tmp_path: Path, name: str) -> None:
    """The report behind it is live, and the customer is judged where the request is."""
    files, taking = GIVING[name]
    for folder, customer, wanted in (
        ("right", "req.user.customer", set()),
        ("wrong", "req.body.customer", {"client_supplied_customer"}),
    ):
        tree = {
            **files,
            "server.js": SERVER,
            "handlers/index.js": "const render = require('./render');\nmodule.exports = { render };\n",
            "handlers/render.js": taking + RENDER.replace("NUMBER", customer),
        }
        report = audited(tmp_path / folder, tree)
        assert codes(report) == wanted, report.findings
        assert [one.route for one in report.endpoints] == ["POST /render"]


KITS = {
    "polar": ("import { Polar } from '@polar-sh/sdk';\n", "this.client.events.ingest({ events: [{ name: 'pages', externalCustomerId: CUSTOMER, metadata: { pages: 1 } }] })"),
    "openmeter": ("import { OpenMeter } from '@openmeter/sdk';\n", "this.client.ingestEvents({ subject: CUSTOMER, data: { pages: 1 } })"),
    "orb": ("import Orb from 'orb-billing';\n", "this.client.events.ingest({ events: [{ external_customer_id: CUSTOMER, properties: { pages: 1 } }] })"),
    "metronome": ("import Metronome from '@metronome/sdk';\n", "this.client.v1.usage.ingest({ usage: [{ customer_id: CUSTOMER, properties: { pages: 1 } }] })"),
    "lemon-squeezy": ("import { createUsageRecord } from '@lemonsqueezy/lemonsqueezy.js';\n", "createUsageRecord({ subscriptionItemId: CUSTOMER, quantity: 1, action: 'increment' })"),
    "lago by a helper": ("", "lagoRequest('/events', { method: 'POST', body: { event: { external_subscription_id: CUSTOMER, properties: { pages: 1 } } } })"),
    "stripe by a helper": ("", "stripeRequest('/v1/billing/meter_events', { 'payload[stripe_customer_id]': CUSTOMER, 'payload[value]': '1' })"),
    "autumn": ("", "ofetch('https://api.useautumn.com/v1/track', { method: 'POST', body: JSON.stringify({ customer_id: CUSTOMER, value: 1 }) })"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(KITS))
def test_a_kit_behind_a_field(tmp_path: Path, name: str) -> None:
    """What a class keeps under a name of its own is the kit that its file imports; without the import it is nobody's."""
    kit, call = KITS[name]
    tree = {
        "lib/billing.ts": f"{kit}export class Billing {{ async record(account: string) {{ await {call.replace('CUSTOMER', 'account')}; }} }}\nexport const billing = new Billing();\n",
        "app/api/draw/route.ts": "import { billing } from '../../../lib/billing';\nexport async function POST(req: Request) { const { user } = await auth(); const page = await draw(await req.text()); await billing.record(user.id); return Response.json(page); }\n",
    }
    report = audited(tmp_path / "kit", tree)
    assert (report.verdict, [one.reports for one in report.endpoints]) == (Verdict.PASS, [True]), report
    if kit:
        bare = audited(tmp_path / "bare", {**tree, "lib/billing.ts": tree["lib/billing.ts"].replace(kit, "")})
        assert bare.verdict is Verdict.SKIP, bare


HELPER = f"{HEAD}export async function reportUsage(customer, id) {{ {SEND} }}\n"
CHECKOUT = "export async function POST() { const s = await stripe.checkout.sessions.create({ mode: 'subscription', line_items: [{ price: PLAN, quantity: 1 }] }); return Response.json(s); }\n"


@pytest.mark.parametrize(
    ("page", "checkout", "wanted"),
    [
        ("export const plans = [{ name: 'Pro', price: 20 }];\n", CHECKOUT, Verdict.SKIP),
        ("export const plans = [{ name: 'Pro', text: '1,000 calls, then $0.01 per call' }];\n", CHECKOUT, Verdict.FAIL),
        ("export const plans = [{ name: 'Pro', price: 20 }];\n", "", Verdict.FAIL),
    ],
)  # fmt: skip
def test_a_helper_without_callers(tmp_path: Path, page: str, checkout: str, wanted: Verdict) -> None:
    """Beside flat plans it is a leftover; where usage is sold, or nothing says what is sold, it is a hole."""
    tree = {"lib/usage.js": HELPER, "app/pricing/page.tsx": page, "app/api/checkout/route.ts": checkout}
    report = audited(tmp_path, tree)
    assert report.verdict is wanted, report
    assert [one.code for one in report.findings if one.code == "never_reported"] == ["never_reported"]


@pytest.mark.parametrize(("meter", "fails"), [("pages", False), ("mails", True)])
def test_a_reminder_is_no_second_sale(tmp_path: Path, meter: str, fails: bool) -> None:
    """Mail is the sold work only where the meter counts mail."""
    send = SEND.replace("pages", meter)
    tree = {
        "lib/mail.ts": "export async function invite(to: string) { return await resend.emails.send({ to }); }\n",
        "app/api/order/route.ts": f"import {{ invite }} from '../../../lib/mail';\n{HEAD}export async function POST(req: Request) {{ const {{ user }} = await auth(); const customer = user.customer; const id = await order(user); await invite(user.address); {send} return Response.json(id); }}\n",
        "app/api/remind/route.ts": "import { invite } from '../../../lib/mail';\nexport async function POST(req: Request) { const { user } = await auth(); return Response.json(await invite(user.address)); }\n",
    }
    assert codes(audited(tmp_path, tree)) == ({"unmetered_endpoint"} if fails else set())


WORKER: Tree = {
    "wrangler.toml": '[triggers]\ncrons = ["*/5 * * * *"]\n',
    "src/index.ts": """import Stripe from 'stripe';
const stripe = new Stripe('k');
async function drain(env: Env) {
  const { results } = await env.DB.prepare('SELECT * FROM usage_events WHERE sent_at IS NULL LIMIT 100').all();
  for (const row of results) {
    await stripe.billing.meterEvents.create({ event_name: 'c', identifier: row.id, payload: { stripe_customer_id: row.customer_id, value: String(row.quantity) } });
    await env.DB.prepare('UPDATE usage_events SET sent_at = 1 WHERE id = ?').bind(row.id).run();
  }
}
const app = new Hono();
app.post('/api/run', async (c) => {
  const body = await c.req.json();
  const user = await authenticate(c);
  const answer = await openai.responses.create({ input: body.prompt });
  await c.env.DB.prepare('INSERT OR IGNORE INTO usage_events (id, customer_id, quantity) VALUES (?, ?, ?)').bind(answer.id, user.customer, NUMBER).run();
  return c.json(answer);
});
export default { fetch: app.fetch, async scheduled(event, env, ctx) { ctx.waitUntil(drain(env)); } };
""",
}


@pytest.mark.parametrize(
    ("number", "wanted"),
    [("answer.usage.total_tokens", set()), ("body.tokens", {"client_supplied_quantity"})],
)
def test_rows_of_d1(tmp_path: Path, number: str, wanted: set[str]) -> None:
    """The parameters of a prepared statement are its columns; a run by the clock may wait by waitUntil."""
    report = audited(tmp_path, {name: text.replace("NUMBER", number) for name, text in WORKER.items()})
    assert codes(report) == wanted, report.findings
    assert "POST /api/run" in [one.route for one in report.endpoints]


def test_a_schedule_with_comments(tmp_path: Path) -> None:
    """Comments between the arguments of `cron.schedule` are no part of it."""
    tree = {
        "supabase/migrations/1.sql": "-- once a day\nSELECT cron.schedule(\n  'report',  -- the job's name\n  '0 3 * * *',  -- at three\n  $$ SELECT net.http_post(url := base() || '/functions/v1/report-usage') $$\n);\n",
        "supabase/functions/report-usage/index.ts": f"{HEAD}Deno.serve(async () => {{ for (const {{ customer, id }} of await unsent()) {{ {SEND} }} return new Response('ok'); }});\n",
    }
    assert "scheduled_reporting" in codes(audited(tmp_path, tree))


COUNTING = "export async function POST() { const { user } = await auth(); await db.usage.update({ where: { userId: user.id }, data: { calls: { increment: 1 } } }); return Response.json(await work()); }\n"


@pytest.mark.parametrize(
    ("plan", "counting", "wanted"),
    [
        ("{ units: 5000, overagePerUnit: 0.004 }", COUNTING, Verdict.FAIL),
        ("{ units: 5000, overagePerUnit: 0 }", COUNTING, Verdict.SKIP),
        ("{ units: 5000, overagePerUnit: null }", COUNTING, Verdict.SKIP),
        ("{ units: 5000, overagePerUnit: 0.004 }", "", Verdict.FAIL),
        ("{ units: 5000, coveragePerUnit: 0.004 }", COUNTING, Verdict.SKIP),
    ],
)
def test_an_overage_price_that_nothing_reports(
    tmp_path: Path, plan: str, counting: str, wanted: Verdict
) -> None:
    """A price for what exceeds the plan: without a report the excess is free, counted or not."""
    tree = {
        "lib/plans.ts": f"import Stripe from 'stripe';\nexport const PLANS = {{ pro: {plan} }};\n",
        "app/api/run/route.ts": counting,
    }
    assert audited(tmp_path, tree).verdict is wanted


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ("body.data", {"client_supplied_quantity"}),
        ("{ ...body.data }", {"client_supplied_quantity"}),
        ("{ pages: page.length, model: body.model }", set()),
    ],
)
def test_properties_that_are_handed_on_whole(tmp_path: Path, data: str, wanted: set[str]) -> None:
    """What a helper passes on as it is, is what its caller was given."""
    tree = {
        "lib/track.ts": "import { OpenMeter } from '@openmeter/sdk';\nconst openmeter = new OpenMeter();\nexport async function track({ subject, data }) { await openmeter.events.ingest({ subject, data, id: crypto.randomUUID() }); }\n",
        "app/api/draw/route.ts": f"import {{ track }} from '../../../lib/track';\nexport async function POST(req: Request) {{ const {{ user }} = await auth(); const body = await req.json(); const page = await draw(body.url); await track({{ subject: user.id, data: {data} }}); return Response.json(page); }}\n",
    }
    assert codes(audited(tmp_path, tree)) == wanted


@pytest.mark.parametrize(("word", "verdict"), [("overage", Verdict.PASS), ("setup fee", Verdict.SKIP)])
def test_an_invoice_item_behind_a_wrapper(tmp_path: Path, word: str, verdict: Verdict) -> None:
    """What a wrapper bills is said by the function that calls it."""
    tree = {
        "lib/stripe.ts": "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\nexport async function charge(customer: string, amount: number) { return stripe.invoiceItems.create({ customer, amount }); }\n",
        "app/api/run/route.ts": f"import {{ charge }} from '../../../lib/stripe';\nexport async function POST() {{ const {{ user }} = await auth(); const made = await work(); /* the {word} */ await charge(user.customer, made.length); return Response.json(made); }}\n",
    }
    assert audited(tmp_path, tree).verdict is verdict
