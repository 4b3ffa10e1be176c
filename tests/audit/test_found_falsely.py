# ruff: noqa: E501
"""What looks like a mistake in reporting and is none: each beside the mistake it looks like."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

PACKAGE = '{"name": "shop", "dependencies": {"stripe": "18.0.0"}}'
HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
EVENT = (
    "{ event_name: 'calls', identifier: id, payload: { stripe_customer_id: customer, value: String(count) } }"
)
REPORT = f"{HEAD}export async function report(customer: string, count: number, id: string) {{\n  await stripe.billing.meterEvents.create({EVENT});\n}}\n"
ROUTE = "import { report } from './report';\napp.post('/run', requireUser, async (req, res) => {\n  const answer = await openai.responses.create({ input: req.body.prompt });\n  await report(req.user.customer, answer.usage.total_tokens, answer.id);\n  res.json(answer);\n});\n"

WORKFLOW = """import { WorkflowEntrypoint } from 'cloudflare:workers';
import { report } from './report';
const METERING = { retries: { limit: LIMIT, delay: '5 seconds' } } as const;
export class Answer extends WorkflowEntrypoint {
  async run(event, step) {
    const answer = await step.do('ask', async () => await ask(event.payload.prompt));
    try {
      await TOLD;
    } catch (error) {
      console.error(error);
    }
  }
}
"""
STEP = "step.do('report', METERING, () => report(answer.customer, answer.usage.total_tokens, answer.id))"
BARE = "report(answer.customer, answer.usage.total_tokens, answer.id)"


@pytest.mark.parametrize(
    ("told", "limit", "wanted"),
    [(STEP, "5", set()), (STEP, "1", {"errors_swallowed"}), (BARE, "5", {"errors_swallowed"})],
)
def test_a_durable_step_has_tried_again_before_its_error_is_caught(
    tmp_path: Path, told: str, limit: str, wanted: set[str]
) -> None:
    text = WORKFLOW.replace("TOLD", told).replace("LIMIT", limit)
    assert codes(audited(tmp_path, {"src/report.ts": REPORT, "src/answer.ts": text})) == wanted


CONSUMER = """package billing

type Handler struct { stripeMeterEvent *meterevent.Client }

func NewHandler(meter *meterevent.Client) (*Handler, error) { return &Handler{stripeMeterEvent: meter}, nil }

func (h Handler) Handle(ctx context.Context, m Message) error {
	if _, err := h.stripeMeterEvent.New(&stripe.BillingMeterEventParams{Identifier: stripe.String(m.ID), Payload: map[string]string{"value": fmt.Sprintf("%d", m.Hours), "stripe_customer_id": m.Customer}}); err != nil {
		FAILED
	}
	return nil
}
"""
OTHER = "package mail\n\ntype Handler struct{}\n\nfunc NewHandler() (*Handler, error) { return &Handler{}, nil }\n\nfunc (h Handler) Handle(ctx context.Context, m Message) error { return nil }\n"
MAIN = "package main\n\nfunc main() {\n\thandler := MADE\n\tconsumer := queue.NewConsumer[billing.Message](ctx, name, 30, handler.Handle)\n\tgo consumer.Start(ctx)\n}\n"


@pytest.mark.parametrize(
    "made",
    [
        "must(log, func() (*billing.Handler, error) { return billing.NewHandler(meter) })",
        "must(billing.NewHandler(meter))",
    ],
)
def test_a_consumer_that_is_told_of_the_error_keeps_its_message(tmp_path: Path, made: str) -> None:
    for failed, wanted in (
        ("return err", set()),
        ('slog.Error("meter", "err", err)', {"errors_swallowed"}),
    ):
        tree = {
            "go.mod": "module shop\nrequire github.com/stripe/stripe-go/v82 v82.0.0\n",
            "main.go": MAIN.replace("MADE", made),
            "lib/billing/handler.go": CONSUMER.replace("FAILED", failed),
            "lib/mail/handler.go": OTHER,
        }
        report = audited(tmp_path / str(len(failed)), tree)
        assert codes(report) == wanted
        assert [one.grade for one in report.endpoints if one.reports][:1] == ["queued"]


PLATFORM = {
    "with its type": "export default { fetch: app.fetch, async scheduled(event, env) { await drain(env); } } satisfies ExportedHandler<Env>;",
    "by its name": "async function scheduled(event, env) { await drain(env); }\nexport default { fetch: app.fetch, scheduled };",
    "under a key": "export default { fetch: app.fetch, scheduled: drain };",
    "as a constant": "const worker: ExportedHandler<Env> = { fetch: app.fetch, async scheduled(event, env) { await drain(env); } };\nexport default worker;",
    "in a wrapper": "export default Sentry.withSentry(options, { fetch: app.fetch, scheduled: drain });",
}


@pytest.mark.parametrize("how", PLATFORM)
def test_what_a_platform_calls_by_its_key(tmp_path: Path, how: str) -> None:
    drain = "import { report } from './report';\nasync function drain(env) {\n  for (const row of await env.DB.prepare('select * from usage where reported = 0').all()) await report(row.customer, row.count, row.id);\n}\n"
    for cron, wanted in (("*/5 * * * *", set()), ("0 3 * * *", {"scheduled_reporting"})):
        tree = {
            "wrangler.toml": f'name = "shop"\nmain = "src/worker.ts"\n[triggers]\ncrons = ["{cron}"]\n',
            "src/report.ts": REPORT,
            "src/worker.ts": drain + PLATFORM[how],
        }
        report = audited(tmp_path / cron[0].replace("*", "often"), tree)
        assert codes(report) == wanted
        assert report.endpoints


def test_a_program_run_by_hand_beside_the_report(tmp_path: Path) -> None:
    checked = f"{HEAD}const id = process.argv[2], customer = await newest(), count = await missing(customer);\nawait stripe.billing.meterEvents.create({EVENT});\n"
    tree: Tree = {"package.json": PACKAGE, "scripts/make-up.ts": checked}
    assert codes(audited(tmp_path / "alone", tree)) == {"scheduled_reporting"}
    tree |= {"src/report.ts": REPORT, "src/server.ts": ROUTE}
    assert codes(audited(tmp_path / "beside", tree)) == set()
    tree["scripts/make-up.ts"] = checked.replace("await stripe", "try { await stripe").replace(
        ");\n", "); } catch (error) { console.log('skipped', id); }\n"
    )
    assert codes(audited(tmp_path / "skipping", tree)) == set()


def test_an_agents_tools_are_no_programs(tmp_path: Path) -> None:
    tool = "import { report } from '../report';\nexport const searchTool = createTool({\n  id: 'search',\n  execute: async ({ context, account }) => {\n    const found = await search(context.query);\n    await report(account.customer, found.length, found.id);\n    return found;\n  },\n});\n"
    agent = "import { searchTool } from '../tools/search-tool';\nexport const agent = new Agent({ tools: { searchTool } });\n"
    tree: Tree = {"src/report.ts": REPORT, "src/tools/search-tool.ts": tool}
    assert codes(audited(tmp_path / "alone", tree)) == set()
    assert codes(audited(tmp_path / "loaded", {**tree, "src/agents/agent.ts": agent})) == set()


NAMED = "import { report } from './report';\nimport { count } from './count';\napp.post('/run', async (req, res) => {\n  const { projectId, prompt } = req.body;\nCHECK\n  const answer = await openai.responses.create({ input: prompt });\n  await report(projectId, answer.usage.total_tokens, answer.id);\n  res.json(answer);\n});\n"
CHECKS = {
    "": {"client_supplied_customer"},
    "  const other = await prisma.project.findFirst({ where: { id: projectId } });": {
        "client_supplied_customer"
    },
    "  if (projectId !== req.session.user.projectId) {\n    return res.status(401).json({ error: 'Unauthorized' });\n  }": set(),
    "  if (session.user.projectId !== projectId) throw new Error('no');": set(),
    "  const own = await prisma.project.findFirst({ where: { id: projectId, ownerId: userId } });\n  if (!own) return res.sendStatus(404);": set(),
    "  const { data } = await supabase.from('projects').select('*').eq('id', projectId).eq('owner', session.user.id).single();": set(),
    "  const own = await db.query.projects.findFirst({ where: and(eq(projects.id, projectId), eq(projects.userId, session.user.id)) });": set(),
}


@pytest.mark.parametrize("check", CHECKS)
def test_what_is_named_is_looked_up_among_what_the_caller_has(tmp_path: Path, check: str) -> None:
    tree = {"src/report.ts": REPORT, "src/server.ts": NAMED.replace("CHECK", check)}
    assert codes(audited(tmp_path, tree)) == CHECKS[check]


def test_a_look_up_further_down_the_way(tmp_path: Path) -> None:
    route = "import { finish } from './finish';\napp.post('/jobs/:id/stop', async (req, res) => {\n  const userId = req.session.userId;\n  await finish(req.params.id, userId);\n  res.json({});\n});\n"
    service = "import { report } from './report';\nexport async function finish(jobId, userId) {\n  const job = await prisma.job.findFirst({ where: WHERE });\n  if (!job) throw new Error('none');\n  await report(jobId, Date.now() - job.started, job.id);\n}\n"
    for where, wanted in (
        ("{ id: jobId, assignedUserId: userId }", set()),
        ("{ id: jobId }", {"client_supplied_customer"}),
    ):
        tree = {
            "src/report.ts": REPORT,
            "src/server.ts": route,
            "src/finish.ts": service.replace("WHERE", where),
        }
        assert codes(audited(tmp_path / str(len(where)), tree)) == wanted


def test_the_clock_of_a_program_has_nobody_to_wait(tmp_path: Path) -> None:
    program = "import { report } from './report';\nasync function drain() {\n  for (const row of await db.usage.findMany({ where: { reported: false } })) {\n    await report(row.customer, row.count, row.id);\n    await db.usage.update({ where: { id: row.id }, data: { reported: true } });\n  }\n}\nSTART\n"
    for start, wanted in (
        (
            "setInterval(() => { drain().catch(console.error); }, 60_000);\nsetTimeout(() => { drain(); }, 5_000);",
            set(),
        ),
        ("app.post('/drain', requireAdmin, (req, res) => { drain(); res.json({}); });", {"fire_and_forget"}),
    ):
        tree = {"src/report.ts": REPORT, "src/worker.ts": program.replace("START", start)}
        assert codes(audited(tmp_path / str(len(start)), tree)) == wanted


def test_the_amount_of_a_providers_event_is_no_clients_word(tmp_path: Path) -> None:
    won = "import Stripe from 'stripe';\nimport { report } from './report';\nexport async function won(event: TYPE, customer: string) {\n  await report(customer, event.body.amount, event.id);\n}\n"
    route = "import { won } from './won';\napp.post('/sync', requireUser, async (req, res) => {\n  for (const dispute of await stripe.disputes.list()) await won(made(dispute), req.user.customer);\n  res.json({});\n});\n"
    for kind, wanted in (("Stripe.Event", set()), ("any", {"client_supplied_quantity"})):
        tree = {"src/report.ts": REPORT, "src/won.ts": won.replace("TYPE", kind), "src/server.ts": route}
        assert codes(audited(tmp_path / kind, tree)) == wanted


CELERY = "import stripe\nfrom celery import Celery, group\nfrom fastapi import Depends, FastAPI\napp = FastAPI()\ncelery = Celery()\n\ndef cards(text):\n    return openai.chat.completions.create(messages=[text])\n\n@celery.task\ndef chunk(text):\n    return cards(text)\n\n@app.post('/cards')\ndef make(ask: Ask, user=Depends(current_user)):\n    done = MADE\n    stripe.billing.MeterEvent.create(event_name='cards', identifier=done.id, payload={'stripe_customer_id': user.customer, 'value': str(len(done))})\n    return done\n"
NIGHTLY = "\n@app.post('/batch')\ndef batch(ask: Ask, user=Depends(current_user)):\n    chunk.delay(ask.text)\n    return {}\n"


def test_a_part_of_the_work_that_a_metered_route_puts_on_a_queue(tmp_path: Path) -> None:
    parted = "group(chunk.s(one) for one in ask.parts).apply_async().get() if ask.long else cards(ask.text)"
    assert codes(audited(tmp_path / "part", {"app.py": CELERY.replace("MADE", parted)})) == set()
    apart = CELERY.replace("MADE", "cards(ask.text)") + NIGHTLY
    assert codes(audited(tmp_path / "apart", {"app.py": apart})) == {"unmetered_endpoint"}


def test_a_count_in_the_browser_that_is_no_usage(tmp_path: Path) -> None:
    setup = "import Stripe from 'stripe';\nawait stripe.prices.create({ recurring: { interval: 'month', usage_type: 'metered' }, currency: 'usd' });\n"
    for key, wanted in (
        ("pendingFileCount", {"never_reported"}),
        ("usageCount", {"never_reported", "client_side_only"}),
    ):
        page = f"'use client';\nexport function Picked({{ files }}) {{\n  localStorage.setItem('{key}', files.length);\n}}\n"
        tree = {"setup.js": setup, "web/page.tsx": page}
        assert codes(audited(tmp_path / key, tree)) == wanted


def test_the_work_put_off_with_its_report_at_the_end(tmp_path: Path) -> None:
    job = "import { report } from './report';\nasync function workOn(job) {\n  await db.jobs.update({ id: job.id, state: 'running' });\n  const answer = await openai.responses.create({ input: job.prompt });\n  await db.jobs.update({ id: job.id, state: 'done' });\n  await report(job.customer, answer.usage.total_tokens, answer.id);\n}\napp.post('/run', requireUser, async (req, res) => {\n  const job = await db.jobs.create({ prompt: req.body.prompt, customer: req.user.customer });\n  PUT\n  res.json(job);\n});\n"
    for put, wanted in (
        ("setImmediate(async () => { await workOn(job); });", set()),
        (
            "setImmediate(async () => { await report(job.customer, await tokensOf(job), job.id); });",
            {"fire_and_forget"},
        ),
    ):
        tree = {"src/report.ts": REPORT, "src/server.ts": job.replace("PUT", put)}
        assert codes(audited(tmp_path / str(len(put)), tree)) == wanted


AUTUMN = "import { Autumn } from '@useautumn/convex';\nimport { components } from './_generated/api';\nexport const autumn = new Autumn(components.autumn, { identify });\nOPENED\n"
ASK = "import { action } from './_generated/server';\nimport { autumn } from './autumn';\nexport const ask = action({ handler: async (ctx, args) => {\n  const answer = await openai.responses.create({ input: args.prompt });\n  const { error } = await autumn.track(ctx, { featureId: 'messages', value: 1 });\n  if (error) throw new Error(error.message);\n  return answer.text;\n} });\n"


@pytest.mark.parametrize(
    ("opened", "wanted"),
    [
        ("export const { check, cancel } = autumn.api();", set()),
        ("export const {\n  track,\n  check,\n} = autumn.api();", {"client_supplied_quantity"}),
        ("const api = autumn.api();\nexport const track = autumnApi.track;", {"client_supplied_quantity"}),
    ],
)
def test_a_providers_report_open_to_every_client(tmp_path: Path, opened: str, wanted: set[str]) -> None:
    """It is shown, and does not decide: the kit's own guide has it so."""
    tree = {"convex/autumn.ts": AUTUMN.replace("OPENED", opened), "convex/ask.ts": ASK}
    report = audited(tmp_path, tree)
    assert {one.code for one in report.findings if one.decides and one.code != "no_idempotency"} == wanted
    assert codes(report) == set()


def test_a_report_that_puts_itself_off_tries_again(tmp_path: Path) -> None:
    again = "import { internalAction } from './_generated/server';\nimport { internal } from './_generated/api';\nexport const tell = internalAction({ handler: async (ctx, args) => {\n  try {\n    await stripe.billing.meterEvents.create({ event_name: 'calls', identifier: args.id, payload: { stripe_customer_id: args.customer, value: '1' } });\n  } catch (error) {\n    await ctx.scheduler.runAfter(300_000, internal.tell.tell, { ...args, tries: args.tries + 1 });\n  }\n} });\n"
    ask = "import { action } from './_generated/server';\nimport { internal } from './_generated/api';\nexport const ask = action({ handler: async (ctx, args) => {\n  const { customer } = await ctx.auth.getUserIdentity();\n  const answer = await openai.responses.create({ input: args.prompt });\n  await TOLD;\n  return answer.text;\n} });\n"
    for told, wanted in (
        ("ctx.runAction(internal.tell.tell, { customer, id: answer.id, tries: 0 })", set()),
        (
            "ctx.scheduler.runAfter(0, internal.tell.tell, { customer, id: answer.id, tries: 0 })",
            {"fire_and_forget"},
        ),
    ):
        tree = {"convex/tell.ts": HEAD + again, "convex/ask.ts": ask.replace("TOLD", told)}
        assert codes(audited(tmp_path / str(len(told)), tree)) == wanted


def test_a_result_of_nothing_is_no_mark_of_what_is_unsent(tmp_path: Path) -> None:
    """Two ways to the same work: the one by the clock sends its own usage, and not what the other lost."""
    tree: Tree = {
        "src/report.ts": REPORT.replace("  await stripe", "  try { await stripe").replace(";\n}", "; } catch (e) { console.error(e); }\n}"),
        "src/use.ts": "import { report } from './report';\nexport async function use(customer, prompt) {\n  if (!prompt) return { billedUsd: 0 };\n  const answer = await openai.responses.create({ input: prompt });\n  await report(customer, answer.usage.total_tokens, answer.id);\n  return { billedUsd: 1 };\n}\n",
        "src/server.ts": "import { use } from './use';\napp.post('/run', requireUser, async (req, res) => { res.json(await use(req.user.customer, req.body.prompt)); });\nsetInterval(async () => { for (const one of await db.session.findMany({})) await use(one.customer, one.prompt); }, 60_000);\n",
    }  # fmt: skip
    assert codes(audited(tmp_path, tree)) == {"errors_swallowed"}
    asked = tree["src/use.ts"].replace("billedUsd: 0", "reported: false")
    assert codes(audited(tmp_path / "asked", {**tree, "src/use.ts": asked})) == set()
