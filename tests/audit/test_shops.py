# ruff: noqa: E501
"""Small shops as one person writes them: the forms that each were overlooked in, wrong and right."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

from tallystick.audit.model import Verdict

HEAD = "import Stripe from 'stripe';\nexport const stripe = new Stripe(process.env.KEY!);\n"
EVENT = "{ event_name: 'calls', identifier: id, payload: { stripe_customer_id: customer, value: '1' } }"
METER = f"{HEAD}export const meter = (customer, id) => stripe.billing.meterEvents.create({EVENT});\n"
RUN = "export async function analyze(text) { return openai.chat.completions.create({ messages: [text] }); }\n"

ROUTERS = {
    "express": ("import { Router } from 'express';", "Router()"),
    "hono": ("import { Hono } from 'hono';", "new Hono()"),
    "koa": ("import Router from '@koa/router';", "new Router({ prefix: '/v2' })"),
    "elysia": ("import { Elysia } from 'elysia';", "new Elysia()"),
}


@pytest.mark.parametrize("kit", ROUTERS)
def test_a_router_by_a_name_of_its_own(tmp_path: Path, kit: str) -> None:
    """`const v2 = Router()` is a router, and what it serves without the meter is a way round it."""
    line, made = ROUTERS[kit]
    head = f"{line}\nimport {{ analyze }} from './analyze';\nimport {{ meter }} from './meter';\nconst v1 = {made};\nconst v2 = {made};\n"
    sold = "v1.post('/texts', requireKey, async (c) => { const out = await analyze(c.body); await meter(c.account.customer, out.id); return out; });\n"
    batch = "v2.post('/texts/batch', requireKey, async (c) => { const all = await Promise.all(c.items.map((one) => analyze(one))); METER return all; });\n"
    tree = {"analyze.ts": RUN, "meter.ts": METER}
    wrong = audited(tmp_path / "wrong", {**tree, "app.ts": head + sold + batch.replace("METER", "")})
    assert codes(wrong) == {"unmetered_endpoint"}
    counted = batch.replace("METER", "for (const one of all) await meter(c.account.customer, one.id);")
    right = audited(tmp_path / "right", {**tree, "app.ts": head + sold + counted})
    assert right.verdict is Verdict.PASS, right.findings


@pytest.mark.parametrize(
    ("handler", "wanted"),
    [
        ("async (data, context) => { await record(context.auth.uid, data.amount); }", {"client_supplied_quantity"}),
        ("async (request) => { await record(request.auth.uid, request.data.amount); }", {"client_supplied_quantity"}),
        ("async (data, context) => { await record(context.auth.uid, 1); }", set()),
    ],
)  # fmt: skip
def test_a_callable_of_firebase(tmp_path: Path, handler: str, wanted: set[str]) -> None:
    record = "const record = async (uid, quantity) => { const doc = await db.doc(`users/${uid}`).get(); await stripe.subscriptionItems.createUsageRecord(doc.data().item, { quantity, action: 'increment' }); };\n"
    tree = {"index.js": f"{HEAD}{record}exports.run = functions.https.onCall({handler});\n"}
    assert codes(audited(tmp_path, tree)) == wanted


@pytest.mark.parametrize(("dated", "gone"), [("2024-06-20", False), ("2025-03-31.basil", True)])
def test_a_version_of_the_interface_without_usage_records(tmp_path: Path, dated: str, gone: bool) -> None:
    client = f"export const stripe = new Stripe(process.env.KEY!, {{ apiVersion: '{dated}' as any }});\n"
    route = "app.post('/run', requireUser, async (req, res) => { await stripe.subscriptionItems.createUsageRecord(req.user.item, { quantity: 1 }); res.json({}); });\n"
    tree = {
        "package.json": '{"dependencies": {"stripe": "^17.7.0"}}',
        "app.ts": f"import Stripe from 'stripe';\n{client}{route}",
    }
    assert ("legacy_api_removed" in codes(audited(tmp_path, tree))) is gone


def test_a_bare_request_does_not_go_by_the_kit(tmp_path: Path) -> None:
    """It asks for the version of the account, whatever kit is installed."""
    sent = "await fetch(`https://api.stripe.com/v1/subscription_items/${req.user.item}/usage_records`, { method: 'POST', body: 'quantity=1' });"
    route = f"app.post('/run', requireUser, async (req, res) => {{ const answer = {sent} if (!answer.ok) throw new Error('refused'); res.json({{}}); }});\n"
    tree = {"package.json": '{"dependencies": {"stripe": "^20"}}', "app.ts": f"{HEAD}{route}"}
    report = audited(tmp_path, tree)
    assert report.endpoints
    assert "legacy_api_removed" not in codes(report)


PINS = {
    "a lock file of npm": {"package-lock.json": '{"packages": {"node_modules/stripe": {\n "version": "VERSION.1.0" }}}'},
    "a lock file of pnpm": {"pnpm-lock.yaml": "packages:\n  stripe@VERSION.1.0:\n    engines: {}\n"},
    "a lock file of yarn": {"yarn.lock": 'stripe@latest:\n  version "VERSION.1.0"\n'},
    "an import of Deno": {"kit.ts": "import Stripe from 'npm:stripe@VERSION.1.0';\n"},
}  # fmt: skip


@pytest.mark.parametrize("how", PINS)
@pytest.mark.parametrize(("version", "gone"), [("17", False), ("19", True)])
def test_where_else_a_kit_is_pinned(tmp_path: Path, how: str, version: str, gone: bool) -> None:
    route = f"{HEAD}app.post('/run', requireUser, async (req, res) => {{ await stripe.subscriptionItems.createUsageRecord(req.user.item, {{ quantity: 1 }}); res.json({{}}); }});\n"
    pins = {name: text.replace("VERSION", version) for name, text in PINS[how].items()}
    tree = {"package.json": '{"dependencies": {"stripe": "latest"}}', "app.ts": route, **pins}
    assert ("legacy_api_removed" in codes(audited(tmp_path, tree))) is gone


FETCHED = {
    "await fetch(url, event);": {"errors_swallowed"},
    "const sent = await fetch(url, event);\n console.log('sent');": {"errors_swallowed"},
    "const sent = await fetch(url, event);\n if (!sent.ok) throw new Error(`refused: ${sent.status}`);": set(),
    "return fetch(url, event);": set(),
    "await axios.post(url, event);": set(),
}


@pytest.mark.parametrize("body", FETCHED)
def test_an_answer_that_nobody_looks_at(tmp_path: Path, body: str) -> None:
    """What fetch is refused raises nothing."""
    emit = f"const url = 'https://api.getlago.com/api/v1/events';\nexport async function emit(customer) {{\n const event = {{ method: 'POST', body: JSON.stringify({{ event: {{ transaction_id: id(), external_subscription_id: customer, code: 'calls' }} }}) }};\n {body}\n}}\n"
    route = "import { emit } from './emit';\napp.post('/run', requireUser, async (req, res) => { const out = await work(); await emit(req.user.customer); res.json(out); });\n"
    assert codes(audited(tmp_path, {"emit.ts": emit, "app.ts": route})) == FETCHED[body]


@pytest.mark.parametrize("wrapper", ["safe", "tryCatch", "catchError", "bestEffort"])
def test_a_wrapper_makes_an_answer_of_an_error(tmp_path: Path, wrapper: str) -> None:
    route = "import { meter } from './meter';\napp.post('/run', requireUser, async (req, res) => { const out = await work(); SENT res.json(out); });\n"
    sent = f"{wrapper}(meter(req.user.customer, out.id))"
    for line, wanted in (
        (f"await {sent};", {"errors_swallowed"}),
        (f"const [, error] = await {sent};\n if (error) throw error;", set()),
    ):
        tree = {"meter.ts": METER, "app.ts": route.replace("SENT", line)}
        assert codes(audited(tmp_path / str(len(line)), tree)) == wanted, line


LOOP = """const rows = await prisma.check.findMany({ where: { reported: false } });
    for (const { id, customer } of rows) {
      BEFORE
      try {
        await meter(customer, id);
        AFTER
      } catch (e) { console.error(e); CAUGHT }
    }"""
CLAIM = "const taken = await prisma.check.updateMany({ where: { id, reported: false }, data: { reported: true } });\n      if (taken.count === 0) continue;"
CLAIMS = {
    "marked before it is sent": ((CLAIM, "", ""), {"errors_swallowed"}),
    "marked when it is sent": (("if (!customer) continue;", "await prisma.check.update({ where: { id }, data: { reported: true } });", ""), set()),
    "given back": ((CLAIM, "", "await prisma.check.update({ where: { id }, data: { reported: false } });"), set()),
}  # fmt: skip


@pytest.mark.parametrize("how", CLAIMS)
def test_rows_claimed_before_the_send(tmp_path: Path, how: str) -> None:
    (before, after, caught), wanted = CLAIMS[how]
    loop = LOOP.replace("BEFORE", before).replace("AFTER", after).replace("CAUGHT", caught)
    job = f"import cron from 'node-cron';\nimport {{ meter }} from './meter';\ncron.schedule('*/10 * * * *', async () => {{\n    {loop}\n}});\n"
    route = "app.post('/check', requireUser, async (req, res) => { const out = await work(); await prisma.check.create({ data: { userId: req.user.id, reported: false } }); res.json(out); });\n"
    assert codes(audited(tmp_path, {"meter.ts": METER, "job.ts": job, "app.ts": route})) == wanted


def test_settled_and_marked_all_the_same(tmp_path: Path) -> None:
    job = "import cron from 'node-cron';\nimport { meter } from './meter';\ncron.schedule('*/15 * * * *', async () => {\n const { rows } = await pool.query('SELECT id, customer FROM token_usage WHERE flushed = false');\n SENT\n});\n"
    route = "app.post('/run', requireUser, async (req, res) => { const out = await work(); await pool.query('INSERT INTO token_usage (customer_id, tokens) VALUES ($1, $2)', [req.user.customer, out.usage.total_tokens]); res.json(out); });\n"
    marked = "await pool.query('UPDATE token_usage SET flushed = true WHERE id = ANY($1)', [rows.map((r) => r.id)]);"
    settled = f"await Promise.allSettled(rows.map((r) => meter(r.customer, r.id)));\n {marked}"
    single = "for (const r of rows) { await meter(r.customer, r.id); await pool.query('UPDATE token_usage SET flushed = true WHERE id = $1', [r.id]); }"
    for text, wanted in ((settled, {"errors_swallowed"}), (single, set())):
        tree = {"meter.ts": METER, "job.ts": job.replace("SENT", text), "app.ts": route}
        assert codes(audited(tmp_path / str(len(text)), tree)) == wanted


KEPT = {
    "kysely": ("await db.insertInto('failed_reports').values({ customer, id }).execute();", "await db.selectFrom('failed_reports').selectAll().execute()"),
    "drizzle": ("await db.insert(failedReports).values({ customer, id });", "await db.select().from(failedReports)"),
    "knex": ("await knex('failed_reports').insert({ customer, id });", "await knex('failed_reports').select()"),
    "mongo": ("await db.collection('failed_reports').insertOne({ customer, id });", "await db.collection('failed_reports').find().toArray()"),
}  # fmt: skip


@pytest.mark.parametrize("store", KEPT)
def test_failed_reports_that_nothing_sends_again(tmp_path: Path, store: str) -> None:
    kept, read = KEPT[store]
    helper = f"{HEAD}export async function meter(customer, id) {{\n try {{ await stripe.billing.meterEvents.create({EVENT}); }}\n catch (e) {{ {kept} }}\n}}\n"
    route = "import { meter } from './meter';\napp.post('/run', requireUser, async (req, res) => { const out = await work(); await meter(req.user.customer, out.id); res.json(out); });\n"
    tree = {"meter.ts": helper, "app.ts": route}
    assert codes(audited(tmp_path / "wrong", tree)) == {"errors_swallowed"}
    again = f"{HEAD}cron.schedule('*/5 * * * *', async () => {{ for (const {{ customer, id }} of {read}) await stripe.billing.meterEvents.create({EVENT}); }});\n"
    assert codes(audited(tmp_path / "right", {**tree, "again.ts": again})) == set()


def test_a_quick_job_for_another_meter_sends_nothing_again(tmp_path: Path) -> None:
    """Two meters of one provider: what the one loses the other does not find."""
    job = f"{HEAD}import cron from 'node-cron';\ncron.schedule('0 * * * *', async () => {{ for (const {{ id, customer }} of await pending()) await stripe.billing.meterEvents.create({EVENT.replace('calls', 'runs')}); }});\n"
    route = f"{HEAD}app.post('/run', requireUser, async (req, res) => {{ const out = await work(); const customer = req.user.customer; const id = out.id;\n try {{ await stripe.billing.meterEvents.create({EVENT}); }} catch (e) {{ console.error(e); }}\n res.json(out); }});\n"
    assert codes(audited(tmp_path / "wrong", {"job.ts": job, "app.ts": route})) == {"errors_swallowed"}
    same = job.replace("'runs'", "'calls'")
    assert codes(audited(tmp_path / "right", {"job.ts": same, "app.ts": route})) == set()


BY_HAND = {
    "only a command of its own": ('{"scripts": {"report-usage": "tsx scripts/report-usage.ts"}}', {}, False),
    "what starts the service": ('{"scripts": {"start": "tsx scripts/report-usage.ts"}}', {}, True),
    "a command that a process file runs": ('{"scripts": {"usage": "tsx scripts/report-usage.ts"}}', {"Procfile": "worker: npm run usage\n"}, True),
}  # fmt: skip


@pytest.mark.parametrize("how", BY_HAND)
def test_a_command_that_somebody_has_to_run(tmp_path: Path, how: str) -> None:
    package, beside, runs = BY_HAND[how]
    script = "import { meter } from '../meter';\nasync function main() { for (const { customer, id } of await pending()) await meter(customer, id); }\nmain();\n"
    tree = {"package.json": package, "meter.ts": METER, "scripts/report-usage.ts": script, **beside}
    assert ("scheduled_reporting" in codes(audited(tmp_path, tree))) is not runs


@pytest.mark.parametrize("wrapper", ["verifySignatureAppRouter", "withQStash", "requireWebhookSignature"])
def test_a_handler_inside_a_check_of_signatures(tmp_path: Path, wrapper: str) -> None:
    """What a signed caller says is the application's own word."""
    route = "import { meter } from '@/meter';\nexport const POST = WRAPPED;\n"
    handler = "async (req: Request) => { const { customer, id } = await req.json(); await meter(customer, id); return Response.json({}); }"
    tree = {"tsconfig.json": '{"compilerOptions": {"paths": {"@/*": ["./*"]}}}', "meter.ts": METER}
    path = "app/api/meter/route.ts"
    signed = audited(tmp_path / "right", {**tree, path: route.replace("WRAPPED", f"{wrapper}({handler})")})
    assert codes(signed) == set()
    bare = audited(tmp_path / "wrong", {**tree, path: route.replace("WRAPPED", handler)})
    assert codes(bare) == {"client_supplied_customer"}


def test_words_are_a_name_for_a_job(tmp_path: Path) -> None:
    jobs = "import { meter } from './meter';\nexport default (agenda) => { agenda.define('bill the calls', async () => { for (const { customer, id } of await pending()) await meter(customer, id); }); };\n"
    start = "import Agenda from 'agenda';\nimport jobs from './jobs';\nconst agenda = new Agenda();\njobs(agenda);\nagenda.every('EVERY', 'bill the calls');\n"
    for every, wanted in (("24 hours", {"scheduled_reporting"}), ("5 minutes", set())):
        tree = {"meter.ts": METER, "jobs.js": jobs, "app.js": start.replace("EVERY", every)}
        assert codes(audited(tmp_path / every, tree)) == wanted


HELD = "class Billing {\n  #stripe = new Stripe(process.env.KEY!);\n  async record(customer, id) { return this.#attempt(() => this.#stripe.billing.meterEvents.create(EVENT)); }\n  async #attempt(work) { try { return await work(); } catch (e) { console.error(e); CAUGHT } }\n}\nexport const billing = new Billing();\n"


@pytest.mark.parametrize(("caught", "wanted"), [("return null;", {"errors_swallowed"}), ("throw e;", set())])
def test_what_a_class_keeps_for_itself(tmp_path: Path, caught: str, wanted: set[str]) -> None:
    held = f"import Stripe from 'stripe';\n{HELD.replace('EVENT', EVENT).replace('CAUGHT', caught)}"
    route = "import { billing } from './billing';\napp.post('/run', requireUser, async (req, res) => { const out = await work(); await billing.record(req.user.customer, out.id); res.json(out); });\n"
    assert codes(audited(tmp_path, {"billing.ts": held, "app.ts": route})) == wanted


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("parsedInput.labels", {"client_supplied_quantity"}),
        ("ctx.labels", set()),
        ("ctx.batch.length", set()),
    ],
)
def test_what_a_safe_action_is_given(tmp_path: Path, given: str, wanted: set[str]) -> None:
    """The client fills the input; the middleware fills the rest."""
    action = f"'use server';\nimport {{ stripe }} from '@/stripe';\nexport const finish = authed.schema(batch).action(async ({{ parsedInput, ctx }}) => {{\n  const done = await save(parsedInput.batchId);\n  await stripe.billing.meterEvents.create({{ event_name: 'labels', identifier: done.id, payload: {{ stripe_customer_id: ctx.customer, value: String({given}) }} }});\n}});\n"
    tree = {"tsconfig.json": '{"compilerOptions": {"paths": {"@/*": ["./*"]}}}', "stripe.ts": HEAD}
    found = codes(audited(tmp_path, {**tree, "app/actions.ts": action}))
    assert found - {"client_side_only"} == wanted


@pytest.mark.parametrize(
    ("again", "wanted"), [("", {"unmetered_endpoint"}), ("await charge(user.customer, id);", set())]
)
def test_short_names_at_hand_in_a_server_of_nitro(tmp_path: Path, again: str, wanted: set[str]) -> None:
    tree = {
        "package.json": '{"dependencies": {"nuxt": "3.14.0"}}',
        "server/utils/draw.ts": "export async function draw(prompt) { return replicate.run('a/b', { input: { prompt } }); }\n",
        "server/utils/charge.ts": f"{HEAD}export async function charge(customer, id) {{ await stripe.billing.meterEvents.create({EVENT}); }}\n",
        "server/api/sketches/index.post.ts": "export default defineEventHandler(async (event) => { const { user } = await requireUserSession(event); const { prompt } = await readBody(event); const url = await draw(prompt); const id = save(url); await charge(user.customer, id); return url; });\n",
        "server/api/sketches/again.post.ts": f"export default defineEventHandler(async (event) => {{ const {{ user }} = await requireUserSession(event); const {{ id, prompt }} = await load(event); const url = await draw(prompt); {again} return url; }});\n",
    }
    assert codes(audited(tmp_path, tree)) == wanted


@pytest.mark.parametrize(
    ("often", "wanted"), [("0 5 * * *", {"scheduled_reporting"}), ("*/10 * * * *", set())]
)
def test_a_service_that_railway_starts_with_its_package(tmp_path: Path, often: str, wanted: set[str]) -> None:
    job = f"{HEAD}const {{ rows }} = await pool.query('select id, customer from usage where billed_at is null');\nfor (const {{ id, customer }} of rows) {{\n  await stripe.billing.meterEvents.create({EVENT});\n  await pool.query('update usage set billed_at = now() where id = $1', [id]);\n}}\n"
    route = "app.post('/hash', requireKey, async (req, res) => { const out = await work(); await pool.query('insert into usage (account_id, units) values ($1, 1)', [req.key.account_id]); res.json(out); });\n"
    tree = {
        "apps/api/index.js": route,
        "apps/meter/index.js": job,
        "apps/meter/package.json": '{"scripts": {"start": "node index.js"}}',
        "apps/meter/railway.json": f'{{"deploy": {{"startCommand": "npm start", "cronSchedule": "{often}"}}}}',
    }
    assert codes(audited(tmp_path, tree)) == wanted


@pytest.mark.parametrize(
    ("often", "wanted"), [("{ days: 1 }", {"scheduled_reporting"}), ("{ minutes: 5 }", set())]
)
def test_a_task_that_a_job_runs_by_the_clock(tmp_path: Path, often: str, wanted: set[str]) -> None:
    job = f"import {{ AsyncTask, SimpleIntervalJob }} from 'toad-scheduler';\nimport {{ meter }} from './meter';\nasync function send() {{ for (const {{ id, customer }} of await unsent()) await meter(customer, id); }}\nconst task = new AsyncTask('send', send, (e) => log.error(e));\nscheduler.addSimpleIntervalJob(new SimpleIntervalJob({often}, task));\n"
    assert codes(audited(tmp_path, {"meter.ts": METER, "job.ts": job})) == wanted


def test_a_request_by_another_kit_of_requests(tmp_path: Path) -> None:
    """The provider is told by the address, whoever sends there."""
    emit = "import { request } from 'undici';\nexport async function emit(subscription, id) {\n  const { statusCode } = await request(`${process.env.LAGO_URL}/api/v1/events`, { method: 'POST', body: JSON.stringify({ event: { transaction_id: id, external_subscription_id: subscription, code: 'stops' } }) });\n  if (statusCode >= 300) throw new Error('lago');\n}\n"
    route = "import { emit } from './emit';\napp.post('/run', requireUser, async (req, res) => { const out = await work(); await emit(req.user.subscription, out.id); res.json(out); });\n"
    report = audited(tmp_path, {"emit.ts": emit, "app.ts": route})
    assert report.verdict is Verdict.PASS, report.findings


@pytest.mark.parametrize(
    ("customer", "wanted"),
    [("await env.KEYS.get(request.headers.get('x-api-key') ?? '')", set()), ("request.headers.get('x-customer')", {"client_supplied_customer"})],
)  # fmt: skip
def test_a_key_looked_up_in_a_store_of_workers(tmp_path: Path, customer: str, wanted: set[str]) -> None:
    route = f"import {{ meter }} from './meter';\nrouter.get('/preview', async (request, env) => {{ const customer = {customer}; if (!customer) return error(401); const out = await work(); await meter(customer, out.id); return out; }});\n"
    assert codes(audited(tmp_path, {"meter.ts": METER, "index.ts": route})) == wanted


@pytest.mark.parametrize(("page", "wanted"), [(True, {"client_side_only"}), (False, set())])
def test_a_function_of_the_edge_that_a_page_asks_to_report(
    tmp_path: Path, page: bool, wanted: set[str]
) -> None:
    """A page that reports after the work can leave it out."""
    handler = f"{HEAD}Deno.serve(async (req) => {{ const {{ data: {{ user }} }} = await admin.auth.getUser(req.headers.get('Authorization')); const {{ data: profile }} = await admin.from('profiles').select('customer').eq('id', user.id).single(); await stripe.billing.meterEvents.create({{ event_name: 'logos', identifier: crypto.randomUUID(), payload: {{ stripe_customer_id: profile.customer, value: '1' }} }}); return Response.json({{}}); }});\n"
    called = "export const generate = async () => { await supabase.functions.invoke('generate-logo'); await supabase.functions.invoke('report-usage', { body: {} }); };\n"
    name = "src/pages/Generator.tsx" if page else "server/jobs.ts"
    tree = {"supabase/functions/report-usage/index.ts": handler, name: called}
    assert codes(audited(tmp_path, tree)) == wanted


TYPED = {
    "await queue.run<typeof bill>(": set(),
    "await queue.run<{ id: string; n: number }>(": set(),
    "await queue.run<\n  Array<Job>\n>(": set(),
    "void queue.run<typeof bill>(": {"fire_and_forget"},
    "queue.run<typeof bill>(": {"fire_and_forget"},
}


@pytest.mark.parametrize("call", TYPED)
def test_a_call_with_a_type_is_waited_for_all_the_same(tmp_path: Path, call: str) -> None:
    helper = "import { meter } from './meter';\nexport const queue = { async run<T>(customer: string, id: string) { await meter(customer, id); } };\n"
    route = f"import {{ queue }} from './queue';\napp.post('/run', requireUser, async (req, res) => {{ const out = await work(); {call}req.user.customer, out.id); res.json(out); }});\n"
    assert codes(audited(tmp_path, {"meter.ts": METER, "queue.ts": helper, "app.ts": route})) == TYPED[call]


SWEEP = (
    "await db.from('usage_records').update({ reported_at: now() }).is('reported_at', null).eq('seconds', 0);"
)


@pytest.mark.parametrize(
    ("first", "then", "wanted"),
    [(SWEEP, "", set()), ("", "await db.from('usage_records').update({ reported_at: now() }).eq('id', row.id);", {"errors_swallowed"})],
)  # fmt: skip
def test_rows_that_are_swept_are_others_than_those_that_are_sent(
    tmp_path: Path, first: str, then: str, wanted: set[str]
) -> None:
    """What is marked before the rows are asked for is not among them."""
    job = f"import {{ meter }} from './meter';\ncron.schedule('0 * * * *', async () => {{\n  {first}\n  const {{ data }} = await db.from('usage_records').select('id, customer, seconds').is('reported_at', null);\n  for (const row of data) {{\n    {then}\n    try {{\n      await meter(row.customer, row.id);\n    }} catch (e) {{\n      console.error(e);\n      continue;\n    }}\n    await db.from('usage_records').update({{ reported_at: now() }}).eq('id', row.id);\n  }}\n}});\n"
    route = "app.post('/run', requireUser, async (req, res) => { const out = await work(); await db.from('usage_records').insert({ customer_id: req.user.id, seconds: out.seconds }); res.json(out); });\n"
    assert codes(audited(tmp_path, {"meter.ts": METER, "job.ts": job, "app.ts": route})) == wanted
