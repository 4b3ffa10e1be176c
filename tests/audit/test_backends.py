# ruff: noqa: E501
"""Servers without pages: providers reached by a statement or an address, tables of files, timers, queues. Twins."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.model import Verdict

HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY);\n"
SEND = "await stripe.billing.meterEvents.create({ event_name: 'calls', identifier: JOB.id, payload: { stripe_customer_id: JOB.customer, value: String(JOB.tokens) } });"
ROUTE = "import { bill } from './billing';\napp.post('/run', requireUser, async (req, res) => {\n  const answer = await openai.responses.create({ input: req.body.prompt });\n  await bill(req.user, answer.usage.total_tokens, answer.id);\n  res.json(answer);\n});\n"
CHARGE = 'mutation Charge($line: ID!, $price: MoneyInput!) { appUsageRecordCreate(subscriptionLineItemId: $line, price: $price, description: "calls") { userErrors { message } } }'
PROVIDERS = {
    "a statement of its own": f"const CHARGE = `{CHARGE}`;\nexport async function bill(user, n, id) {{ SEND(admin.graphql(CHARGE, {{ variables: {{ subscriptionLineItemId: user.line, price: {{ amount: n * 0.01 }} }} }})) }}\n",
    "a statement within": f"export async function bill(user, n, id) {{ const query = `{CHARGE}`; SEND(client.query({{ data: {{ query, variables: {{ subscriptionLineItemId: user.line, price: {{ amount: n }} }} }} }})) }}\n",
    "a method of the kit": "import { shopify } from './shopify.server';\nexport async function bill(user, n, id) { SEND(user.billing.createUsageRecord({ subscriptionLineItemId: user.line, price: { amount: n }, idempotencyKey: id })) }\n",
    "a dotted address": "const BASE = 'https://api.useautumn.com/v1';\nasync function autumnRequest(input) { const answer = await fetch(`${BASE}/${input.path}`, { method: 'POST', body: JSON.stringify(input.body) }); if (!answer.ok) throw new Error('refused'); }\nexport async function bill(user, n, id) { SEND(autumnRequest({ path: 'balances.track', body: { customer_id: user.id, feature_id: 'calls', value: n } })) }\n",
    "a field of a class": "export class OpenMeter {\n  base = process.env.OPENMETER_URL;\n  async send(event) { const answer = await fetch(`${this.base}/events`, { method: 'POST', body: JSON.stringify(event) }); if (!answer.ok) throw new Error('refused'); }\n}\nconst meter = new OpenMeter();\nexport async function bill(user, n, id) { SEND(meter.send({ id, subject: user.id, type: 'calls', data: { n } })) }\n",
}


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_a_provider_is_known_by_what_is_sent(tmp_path: Path, name: str) -> None:
    for folder, send, wanted in (
        ("right", "await (", set()),
        ("caught", "try { await (", {"errors_swallowed"}),
        ("left", "void (", {"fire_and_forget"}),
    ):
        end = "); } catch (error) { console.error(error); }" if folder == "caught" else ");"
        text = PROVIDERS[name].replace("SEND(", send).replace(")) }\n", f"){end} }}\n")
        report = audited(tmp_path / folder, {"billing.js": text, "server.js": ROUTE})
        assert codes(report) == wanted, (folder, text)
        assert report.verdict is (Verdict.FAIL if wanted else Verdict.PASS), text


def test_a_question_about_charges_is_no_charge(tmp_path: Path) -> None:
    asks = "const LINES = `query { currentAppInstallation { activeSubscriptions { lineItems { id usageRecords(first: 5) { edges { node { id } } } } } } }`;\nexport async function bill(user) { return await admin.graphql(LINES); }\n"
    assert audited(tmp_path, {"billing.js": asks, "server.js": ROUTE}).verdict is Verdict.SKIP


QUEUE = f"{HEAD}export const handler = async (event) => {{\n  const batchItemFailures = [];\n  for (const record of event.Records) {{\n    try {{ const job = JSON.parse(record.body); {SEND.replace('JOB', 'job')} }}\n    catch (error) {{ console.error(error); TOLD }}\n  }}\n  return {{ batchItemFailures }};\n}};\n"


@pytest.mark.parametrize(
    ("told", "wanted"),
    [("batchItemFailures.push({ itemIdentifier: record.messageId });", set()), ("", {"errors_swallowed"})],
)
def test_a_message_that_is_named_as_failed_comes_again(tmp_path: Path, told: str, wanted: set[str]) -> None:
    assert codes(audited(tmp_path, {"src/worker.js": QUEUE.replace("TOLD", told)})) == wanted


WAITING = f"{HEAD}class Buffer {{\n  waiting = [];\n  add(event) {{ this.waiting.push(event); }}\n  async flush() {{\n    const batch = this.waiting.splice(0, this.waiting.length);\n    try {{ for (const one of batch) {{ {SEND.replace('JOB', 'one')} }} }}\n    catch (error) {{ console.error(error); BACK }}\n  }}\n}}\nconst buffer = new Buffer();\napp.post('/run', requireUser, async (req, res) => {{ const answer = await openai.responses.create({{}}); buffer.add({{ id: answer.id, customer: req.user.customer, tokens: answer.usage.total_tokens }}); res.json(answer); }});\nsetInterval(() => buffer.flush(), 5000);\n"


@pytest.mark.parametrize(
    ("back", "swallowed"),
    [
        ("this.waiting.unshift(...batch);", False),
        ("this.waiting = [...batch, ...this.waiting];", False),
        ("", True),
    ],
)
def test_what_is_put_back_is_not_swallowed(tmp_path: Path, back: str, swallowed: bool) -> None:
    """It still waits in memory, and that is said either way."""
    found = codes(audited(tmp_path, {"src/server.js": WAITING.replace("BACK", back)}))
    assert "fire_and_forget" in found
    assert ("errors_swallowed" in found) is swallowed


JOBS: Tree = {
    "jobs/bill.js": "const stripe = require('stripe')(process.env.KEY);\nmodule.exports = async (job) => { "
    + SEND.replace("JOB", "job.data")
    + " };\n",
    "worker.js": "const jobs = require('./jobs');\nfor (const name of Object.keys(jobs)) new Worker(name, (job) => jobs[name](job), { connection });\n",
}


def test_a_folder_of_handlers(tmp_path: Path) -> None:
    """Its index hands each file on; a file that the index leaves out is not live."""
    live = audited(
        tmp_path / "live", {**JOBS, "jobs/index.js": "module.exports = { bill: require('./bill') };\n"}
    )
    assert (live.verdict, [one.route for one in live.endpoints]) == (Verdict.PASS, ["job bill"])
    dead = audited(
        tmp_path / "dead", {**JOBS, "jobs/index.js": "module.exports = { mail: require('./mail') };\n"}
    )
    assert dead.verdict is not Verdict.PASS


TIMED = "import { internalAction } from './_generated/server';\nimport { internal } from './_generated/api';\nimport { autumn } from './autumn';\nexport const track = internalAction({ handler: async (ctx, args) => { const { error } = await autumn.track(ctx, { customer_id: args.org, value: 1 }); if (error) throw new Error(error.message); } });\nexport const run = internalAction({ handler: async (ctx, args) => { BODY } });\n"
CREATE = "import { mutation } from './_generated/server';\nimport { internal } from './_generated/api';\nexport const create = mutation({ handler: async (ctx, args) => { const user = await ctx.auth.getUserIdentity(); const id = await ctx.db.insert('runs', { owner: user.subject }); await ctx.scheduler.runAfter(0, internal.jobs.run, { id, org: user.subject }); } });\n"
TRACKS = "await ctx.runAction(internal.jobs.track, { org: args.org });"
WORKS = "await ctx.runAction(internal.jobs.work, { id: args.id });"


@pytest.mark.parametrize(
    ("body", "wanted"),
    [(f"{TRACKS} {WORKS}", set()), (TRACKS, {"fire_and_forget"}), (f"{WORKS} {TRACKS}", {"fire_and_forget"})],
)
def test_a_timer_that_reports_before_it_works(tmp_path: Path, body: str, wanted: set[str]) -> None:
    """Lost before the report, nothing was done either; after the work, usage is lost."""
    tree = {"convex/jobs.ts": TIMED.replace("BODY", body), "convex/runs.ts": CREATE}
    assert codes(audited(tmp_path, tree)) == wanted


DRAIN = f"{HEAD}import {{ db }} from './db';\napp.post('/jobs/billing', async (req, res) => {{\n  if (req.headers.authorization !== process.env.JOB_SECRET) return res.sendStatus(401);\n  for (const row of await db.usageRows.findMany({{ where: {{ reported: false }} }})) {{ {SEND.replace('JOB', 'row')} await db.usageRows.update({{ where: {{ id: row.id }}, data: {{ reported: true }} }}); }}\n  res.json({{}});\n}});\napp.post('/run', requireUser, async (req, res) => {{ const answer = await openai.responses.create({{}}); await db.usageRows.create({{ data: {{ customer: req.user.customer, tokens: answer.usage.total_tokens }} }}); res.json(answer); }});\n"
CLOCKS = {
    "quick": ("const EVERY = 60 * 1000;\nconst JOBS = ['/jobs/mail', '/jobs/billing'];\nsetInterval(() => { for (const one of JOBS) void fetch(new URL(one, BASE), { method: 'POST' }); }, EVERY);\n", set()),
    "by a setting": ("setInterval(async () => { await fetch(`${BASE}/jobs/billing`, { method: 'POST' }); }, settings.everyMs);\n", set()),
    "slow": ("cron.schedule('0 3 * * *', () => fetch(`${BASE}/jobs/billing`, { method: 'POST' }));\n", {"scheduled_reporting"}),
    "of another route": ("setInterval(() => fetch(`${BASE}/jobs/mail`), 60000);\n", {"scheduled_reporting"}),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CLOCKS))
def test_a_route_that_another_program_calls_by_the_clock(tmp_path: Path, name: str) -> None:
    text, wanted = CLOCKS[name]
    assert codes(audited(tmp_path, {"src/server.js": DRAIN, "src/scheduler.js": text})) == wanted


ORDER = f"{HEAD}export class OWNER {{\n  async add(customer, n, id) {{ await stripe.billing.meterEvents.create({{ event_name: 'n', identifier: id, payload: {{ stripe_customer_id: customer, value: String(n) }} }}); }}\n}}\n"
ORDERS = "import { OWNER } from './orders';\napp.post('/order', CHECK async (req, res) => { const customer = await customerOf(CALLER); await new OWNER().add(customer, req.body.quantity, req.id); res.json({}); });\n"


@pytest.mark.parametrize(
    ("owner", "check", "caller", "wanted"),
    [
        ("SeatOrders", "requireUser,", "req.user.id", set()),
        ("TokenUsage", "requireUser,", "req.user.id", {"client_supplied_quantity"}),
        ("SeatOrders", "", "config.place", {"client_supplied_quantity"}),
    ],
)
def test_seats_are_ordered(tmp_path: Path, owner: str, check: str, caller: str, wanted: set[str]) -> None:
    """Whoever is known chooses how many to pay for; a count of what was used is not the caller's to say."""
    tree = {"orders.js": ORDER, "server.js": ORDERS.replace("CHECK", check).replace("CALLER", caller)}
    tree = {name: text.replace("OWNER", owner) for name, text in tree.items()}
    assert codes(audited(tmp_path, tree)) == wanted


OBSERVED = """import { action, internalMutation } from './_generated/server';
import { internal } from './_generated/api';
import { autumn } from './autumn';
export const observed = internalMutation({ handler: async (ctx, args) => {
  const since = await ctx.db.get(args.sandbox);
  await ctx.db.insert('observations', { sandbox: args.sandbox, hours: args.hours });
  return { hours: WHAT, owner: since.owner };
} });
export const observe = action({ args: { sandbox: v.id('sandboxes'), hours: v.number(), secret: v.string() }, handler: async (ctx, args) => {
  CHECK
  const event = await ctx.runMutation(internal.usage.observed, { sandbox: args.sandbox, hours: args.hours });
  const { error } = await autumn.track(ctx, { customer_id: event.owner, value: event.hours });
  if (error) throw new Error(error.message);
} });
"""
SEEN = "const user = await ctx.auth.getUserIdentity(); if (!user) throw new Error('no');"


@pytest.mark.parametrize(
    ("what", "check", "wanted"),
    [
        ("args.hours", SEEN, {"client_supplied_quantity"}),
        ("since.hours", SEEN, set()),
        ("args.hours", "requireWorkerSecret(args.secret);", set()),
    ],
)
def test_what_a_mutation_of_convex_answers(tmp_path: Path, what: str, check: str, wanted: set[str]) -> None:
    """What comes back from it may still be the caller's own number; a worker's secret makes it a service's."""
    text = OBSERVED.replace("WHAT", what).replace("CHECK", check)
    assert codes(audited(tmp_path, {"convex/usage.ts": text})) == wanted
