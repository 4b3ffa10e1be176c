# ruff: noqa: E501
"""What counts as sending again: a clock that takes unsent rows, wherever it is kept; and what only does the same work."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
METER = f"""{HEAD}export async function report(customer, count, id) {{
  await stripe.billing.meterEvents.create({{ event_name: 'calls', identifier: id, payload: {{ stripe_customer_id: customer, value: String(count) }} }});
}}
"""
STORED = """import { report } from './meter';
export async function count(db, customer, tokens, id) {
  const { data, error } = await db.from('usage_events').insert({ customer_id: customer, quantity: tokens, id }).select('id');
  if (error) throw new Error(error.message);
  try { await report(customer, tokens, id); } catch (cause) { console.error(cause); return; }
  await db.from('usage_events').update({ stripe_reported_at: new Date() }).eq('id', data[0].id);
}
"""
AGAIN = """import { report } from './meter';
export async function reportUnreported(env) {
  const { data } = await env.db.from('usage_events').select('id,quantity,customer_id').is('stripe_reported_at', null);
  for (const row of data) {
    try { await report(row.customer_id, row.quantity, row.id); } catch (cause) { console.error(cause); continue; }
    await env.db.from('usage_events').update({ stripe_reported_at: new Date() }).eq('id', row.id);
  }
}
"""
TABLE = """import { reportUnreported } from './again';
import { tidy } from './tidy';
const CRON_JOBS = { '0 4 * * *': [tidy], 'WHEN': [reportUnreported] };
export default {
  async scheduled(event, env, ctx) { for (const job of CRON_JOBS[event.cron] ?? []) await job(env); },
};
"""
ROUTE = "import { count } from './count';\napp.post('/run', requireUser, async (req, res) => {\n  const answer = await openai.responses.create({ input: req.body.prompt });\n  await count(db, req.user.customer, answer.usage.total_tokens, answer.id);\n  res.json(answer);\n});\n"
RESENT: Tree = {"meter.ts": METER, "count.ts": STORED, "again.ts": AGAIN, "tidy.ts": "export async function tidy(env) { await env.db.clean(); }\n", "server.ts": ROUTE}  # fmt: skip


def test_a_table_by_the_clock_starts_what_sends_again(tmp_path: Path) -> None:
    """A catch that leaves the row unsent loses nothing where a table of jobs by their clocks takes such rows every hour."""
    assert not codes(audited(tmp_path / "hourly", {**RESENT, "index.ts": TABLE.replace("WHEN", "0 * * * *")}))
    assert codes(audited(tmp_path / "alone", {**RESENT, "again.ts": ""})) == {"errors_swallowed"}


def test_a_slow_table_is_a_slow_schedule(tmp_path: Path) -> None:
    tree = {**RESENT, "count.ts": STORED.replace("  try { await report(customer, tokens, id); } catch (cause) { console.error(cause); return; }\n", "")}  # fmt: skip
    for when, wanted in (("0 2 * * *", {"scheduled_reporting"}), ("*/10 * * * *", set())):
        found = audited(tmp_path / when[0], {**tree, "index.ts": TABLE.replace("WHEN", when)})
        assert codes(found) == wanted, when


@pytest.mark.parametrize(("crons", "wanted"), [('"0 3 * * *", "*/15 * * * *"', set()), ('"0 3 * * *", "0 4 * * *"', {"scheduled_reporting"})])  # fmt: skip
def test_a_worker_with_several_clocks_runs_by_the_quickest(
    tmp_path: Path, crons: str, wanted: set[str]
) -> None:
    worker = "import { reportUnreported } from './again';\nexport default { async scheduled(event, env, ctx) { await reportUnreported(env); } };\n"
    rows = "app.post('/run', requireUser, async (req, res) => {\n  const answer = await openai.responses.create({ input: req.body.prompt });\n  await db.from('usage_events').insert({ customer_id: req.user.customer, quantity: answer.usage.total_tokens, id: answer.id });\n  res.json(answer);\n});\n"
    tree = {"meter.ts": METER, "again.ts": AGAIN, "index.ts": worker, "server.ts": rows, "wrangler.toml": f"[triggers]\ncrons = [{crons}]\n"}  # fmt: skip
    assert codes(audited(tmp_path, tree)) == wanted


SENT = f"""{HEAD}export async function send(customer) {{
  await stripe.billing.meterEvents.create({{ event_name: 'messages', payload: {{ stripe_customer_id: customer, value: '1' }} }});
}}
export async function reportOne(customer) {{
  try {{ await send(customer); }} catch (error) {{ console.error(error); }} // don't throw
}}
"""
COUNTED = """import { reportOne } from './sent';
export async function countMessage(userId) {
  const user = await db.from('users').select('sent, customer').eq('id', userId).single();
  await db.from('users').update({ sent: user.sent + 1 }).eq('id', userId);
  if (user.sent >= 100) await reportOne(user.customer);
}
"""
SENDING = "import { countMessage } from '@/lib/counted';\nexport async function POST(req: Request) {\n  const user = await requireUser(req);\n  await twilio.messages.create({ to: user.phone, body: 'hello' });\n  await countMessage(user.id);\n  return Response.json({ ok: true });\n}\n"
REMINDING = "import { countMessage } from '@/lib/counted';\nexport async function GET(req: Request) {\n  for (const one of await db.from('reminders').select('*').eq('status', 'pending')) {\n    await twilio.messages.create({ to: one.phone, body: 'pay' });\n    await countMessage(one.user_id);\n  }\n  return Response.json({ ok: true });\n}\n"
RESENDING = "import { send } from '@/lib/sent';\nexport async function GET(req: Request) {\n  for (const one of await db.from('message_usage').select('*').eq('reported', false)) {\n    await send(one.customer);\n    await db.from('message_usage').update({ reported: true }).eq('id', one.id);\n  }\n  return Response.json({ ok: true });\n}\n"


@pytest.mark.parametrize(("cron", "wanted"), [(REMINDING, {"errors_swallowed"}), (RESENDING, set())])
def test_the_same_work_by_the_clock_sends_nothing_again(tmp_path: Path, cron: str, wanted: set[str]) -> None:
    """Reminders that are sent every two hours count their own messages; what a request lost stays lost."""
    tree = {
        "package.json": '{"dependencies": {"next": "15", "stripe": "18.0.0"}}',
        "tsconfig.json": '{"compilerOptions": {"paths": {"@/*": ["./src/*"]}}}',
        "src/lib/sent.ts": SENT,
        "src/lib/counted.ts": COUNTED,
        "src/app/api/send/route.ts": SENDING,
        "src/app/api/cron/remind/route.ts": cron,
        "vercel.json": '{"crons": [{"path": "/api/cron/remind", "schedule": "0 */2 * * *"}]}',
    }
    assert codes(audited(tmp_path, tree)) == wanted


BILLED = """export const billed = async (customer, value, operation) => {
  await track(customer, value);
  return await operation();
};
async function track(customer, value) {
  const response = await fetch("https://api.useautumn.com/v1/track", { method: "POST", body: JSON.stringify({ customer_id: customer, feature_id: "apps", value }) });
  if (!response.ok) throw new Error(response.statusText);
}
"""
STARTING = """import { internalAction, mutation } from "./_generated/server";
import { internal } from "./_generated/api";
import { billed } from "./billed";
export const start = mutation({ handler: async (ctx, args) => {
  const { userId } = await requireAuth(ctx);
  await ctx.scheduler.runAfter(0, internal.apps.create, { userId });
} });
export const create = internalAction({ handler: async (ctx, args) => { RUN } });
"""


@pytest.mark.parametrize(
    ("run", "wanted"),
    [
        ("await billed(args.userId, 1, async () => { await machines.start(args.userId); });", set()),
        ("await billed(args.userId, 1);", {"fire_and_forget"}),
    ],
)
def test_a_timer_that_bills_and_then_runs_what_it_was_given(
    tmp_path: Path, run: str, wanted: set[str]
) -> None:
    """A lost timer loses the work with the report; where the report is all it does, the usage is lost."""
    billing = BILLED if not wanted else BILLED.replace("  return await operation();\n", "")
    tree = {"convex/billed.ts": billing, "convex/apps.ts": STARTING.replace("RUN", run)}
    assert codes(audited(tmp_path, tree)) == wanted
