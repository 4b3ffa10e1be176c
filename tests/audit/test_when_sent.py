# ruff: noqa: E501
"""When usage is sent: totals of a period that begin again, rows of the period that runs, routes that wait for a clock."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
SEND = "await stripe.billing.meterEvents.create({ event_name: 'calls', identifier: `${org.id}-${hour}`, timestamp: at, payload: { stripe_customer_id: org.customer, value: String(VALUE) } });"
QUICK = '{"crons": [{"path": "/api/cron/send", "schedule": "0 * * * *"}]}'
CALL = "export async function POST() { const user = await requireUser(); await db.usage.create({ data: { customer: user.customer, calls: 1 } }); return Response.json({}); }\n"

TOTAL = f"""{HEAD}
async function totals(since: string) {{
  return await clickhouse.query(`SELECT org, sum(calls) AS calls FROM calls_per_day WHERE day >= '${{since}}' GROUP BY org`);
}}
function left(state, used: number) {{
  return Math.max(0, used - state.reported);
}}
export async function GET() {{
  const hour = new Date().toISOString().slice(0, 13), at = now();
  SINCE
  for (const org of await totals(since)) {{
    const state = parseWatermark(await kv.get(`watermark:${{org.id}}`));
    const more = left(state, org.calls);
    {SEND.replace("VALUE", "more")}
    await kv.put(`watermark:${{org.id}}`, {{ reported: org.calls }});
  }}
  return Response.json({{}});
}}
"""
TOTALS = {
    "since the month began": ("since: string", "WHERE day >= '${monthStart}'", {"scheduled_reporting"}),
    "since ever": ("since: string", "WHERE kind = 'call'", set()),
    "of the month before as well": ("since: string, previous: string", "WHERE day >= '${monthStart}'", set()),
}  # fmt: skip


@pytest.mark.parametrize("how", TOTALS)
def test_a_running_total_that_begins_again_with_the_month(tmp_path: Path, how: str) -> None:
    """What is counted after the last run of a month is in no later total; a watermark does not keep it."""
    asked, where, wanted = TOTALS[how]
    text = TOTAL.replace("since: string", asked).replace("WHERE day >= '${since}'", where)
    text = text.replace("SINCE", "const since = monthStartOf(new Date());")
    tree = {"vercel.json": QUICK, "app/api/cron/send/route.ts": text, "app/api/call/route.ts": CALL}
    assert codes(audited(tmp_path, tree)) == wanted


COUNTING = f"""{HEAD}
async function monthToDate() {{
  const monthStart = `${{new Date().toISOString().slice(0, 7)}}-01`;
  return await db.select().from(usage).where(gte(usage.day, monthStart));
}}
async function sendAll() {{
  const hour = 'h', at = now(), used = await monthToDate();
  for (const org of await orgs()) {SEND.replace("VALUE", "used.get(org.id)")}
}}
export async function GET() {{
  let metered = 0;
  metered = await sendAll();
  return Response.json({{ metered }});
}}
"""


def test_a_number_that_is_only_begun_with_asks_for_no_rows(tmp_path: Path) -> None:
    """`let metered = 0` is no question for what was not sent yet."""
    tree = {
        "vercel.json": QUICK,
        "app/api/cron/send/route.ts": COUNTING,
        "app/api/call/route.ts": CALL,
    }
    assert codes(audited(tmp_path, tree)) == {"scheduled_reporting"}


ROW = f"""{HEAD}
export async function GET() {{
  for (const org of await prisma.org.findMany()) {{
    const hour = 'h', at = now();
    const period = currentBillingPeriod(org);
    const row = await prisma.usage.findUnique({{ where: {{ orgId_periodKey: {{ orgId: org.id, periodKey: KEY }} }} }});
    const more = row.calls - MARK;
    {SEND.replace("VALUE", "more")}
    await prisma.usage.update({{ where: {{ id: row.id }}, data: {{ chargedCalls: row.calls }} }});
  }}
  return Response.json({{}});
}}
"""
ROWS = {
    ("period.key", "row.chargedCalls"): {"scheduled_reporting"},
    ("org.currentPeriod", "row.chargedCalls"): {"scheduled_reporting"},
    ("'all'", "row.chargedCalls"): set(),
    ("period.key", "row.includedCalls"): set(),
}


@pytest.mark.parametrize("row", ROWS)
def test_the_row_of_the_period_that_runs(tmp_path: Path, row: tuple[str, str]) -> None:
    text = ROW.replace("KEY", row[0]).replace("MARK", row[1])
    tree = {"vercel.json": QUICK, "app/api/cron/send/route.ts": text, "app/api/call/route.ts": CALL}
    assert codes(audited(tmp_path, tree)) == ROWS[row]


SWEEP = f"""REMARK
{HEAD}
function mayCome(req) {{ return req.headers.get('authorization') === `Bearer ${{process.env.SECRET_NAME}}`; }}
export async function GET(req: Request) {{
  if (!mayCome(req)) return new Response('no', {{ status: 403 }});
  const hour = 'h', at = now();
  for (const org of await db.usage.findMany({{ where: {{ sentAt: null }} }})) {{
    {SEND.replace("VALUE", "org.calls")}
    await db.usage.update({{ where: {{ id: org.id }}, data: {{ sentAt: at }} }});
  }}
  return Response.json({{}});
}}
"""
CURL = "on:\n  schedule:\n    - cron: '*/5 * * * *'\njobs:\n  sweep:\n    steps:\n      - run: curl https://shop.example/api/usage/sweep\n"
SWEEPS = {
    ("CRON_SECRET", "", ""): {"scheduled_reporting"},
    ("CRON_SECRET", "", CURL): set(),
    
    ("PARTNER_SECRET", "// Called every five minutes by our scheduler.", ""): {"scheduled_reporting"},
}  # fmt: skip


@pytest.mark.parametrize("sweep", SWEEPS)
def test_a_sweep_that_no_clock_in_the_tree_calls(tmp_path: Path, sweep: tuple[str, str, str]) -> None:
    """A route that asks for the clock's secret, or says of itself that a clock calls it, waits for one."""
    secret, remark, workflow = sweep
    text = SWEEP.replace("SECRET_NAME", secret).replace("REMARK", remark)
    tree = {"app/api/usage/sweep/route.ts": text, "app/api/call/route.ts": CALL}
    tree |= {".github/workflows/sweep.yml": workflow} if workflow else {}
    assert codes(audited(tmp_path / "alone", tree)) == SWEEPS[sweep]
    tree["lib/after.ts"] = "export const after = () => fetch(`${HERE}/api/usage/sweep`, { headers });\n"
    assert codes(audited(tmp_path / "called", tree)) == set()


ASKED_FOR = f"""{HEAD}
import {{ workspaceOf }} from '../../../lib/session';
import {{ usageOf, limitOf }} from '../../../lib/usage';
export async function POST() {{
  const workspace = await workspaceOf();
  const usage = await usageOf(workspace.id), limit = await limitOf(workspace.id);
  const org = workspace, hour = 'h', at = now();
  {SEND.replace("VALUE", "usage.totalTokens - limit")}
  return Response.json({{}});
}}
"""
ASKING = "export const Button = () => <button onClick={() => fetch('/api/billing/PATH', { method: 'POST' })}>x</button>;\n"


@pytest.mark.parametrize(
    ("path", "called", "wanted"),
    [("usage-report", "elsewhere", {"scheduled_reporting"}), ("usage-report", "usage-report", set()), ("answers", "elsewhere", set())],
)  # fmt: skip
def test_a_route_that_tells_a_total_and_that_nobody_asks(
    tmp_path: Path, path: str, called: str, wanted: set[str]
) -> None:
    """Somebody's session, and his tokens so far, and no work that was done for him: it waits for whoever calls it."""
    tree = {f"app/api/{path}/route.ts": ASKED_FOR, "app/button.tsx": ASKING.replace("billing/PATH", called)}
    assert codes(audited(tmp_path, tree)) - {"client_side_only"} == wanted


EDGE = """/**
 * Sends what each subscriber stores to Polar. REMARK
 */
import { createClient } from 'https://esm.sh/@supabase/supabase-js@2';
Deno.serve(async (req) => {
  const supabase = createClient(Deno.env.get('SUPABASE_URL'), Deno.env.get('SUPABASE_SERVICE_ROLE_KEY'));
  const { data: rows, error } = await supabase.from('projects').select('owner, strings');
  if (error) throw error;
  const events = rows.map((row) => ({ name: 'strings', externalId: row.owner + day, externalCustomerId: row.owner, metadata: { count: row.strings } }));
  const answer = await fetch('https://api.polar.sh/v1/events/ingest', { method: 'POST', headers, body: JSON.stringify({ events }) });
  if (!answer.ok) return new Response('failed', { status: 502 });
  return new Response('ok');
});
"""
CLOCK = "Designed to be called on a daily schedule (cron)."
PRESS = "export const send = () => supabase.functions.invoke('polar-usage');\n"
HOURLY = "select cron.schedule('usage', '7 * * * *', $$ select net.http_post(url := 'https://x.supabase.co/functions/v1/polar-usage') $$);\n"
EDGES = {
    "nothing calls it": (CLOCK, {}, {"scheduled_reporting"}),
    "it speaks of no clock": ("", {}, set()),
    "a page calls it": (CLOCK, {"src/send.ts": PRESS}, set()),
    "the database calls it": (CLOCK, {"supabase/migrations/1.sql": HOURLY}, set()),
}  # fmt: skip


@pytest.mark.parametrize("how", EDGES)
def test_a_function_of_the_edge_that_is_only_deployed(tmp_path: Path, how: str) -> None:
    remark, others, wanted = EDGES[how]
    tree = {"supabase/functions/polar-usage/index.ts": EDGE.replace("REMARK", remark), **others}
    assert codes(audited(tmp_path, tree)) == wanted


WORKER = f"""import cron from 'node-cron';
{HEAD}
async function sendAll() {{
  const hour = 'h', at = now();
  for (const org of await db.usage.findMany({{ where: {{ sentAt: null }} }})) {{
    {SEND.replace("VALUE", "org.calls")}
    await db.usage.update({{ where: {{ id: org.id }}, data: {{ sentAt: at }} }});
  }}
}}
function start() {{
  cron.schedule('*/10 * * * *', () => {{ sendAll().catch((error) => console.error(error)); }});
  FIRST
}}
start();
"""
FIRSTS = {
    "setTimeout(() => { sendAll().catch((error) => console.error(error)); }, 30_000);": set(),
    "setTimeout(() => { void sendAll(); }, 30_000);": set(),
}


@pytest.mark.parametrize("first", FIRSTS)
def test_a_programs_own_timer_has_nobody_who_waits(tmp_path: Path, first: str) -> None:
    """A first run a little after the start of a worker, which goes on."""
    tree = {"worker.ts": WORKER.replace("FIRST", first), "app/api/call/route.ts": CALL}
    assert codes(audited(tmp_path, tree)) == FIRSTS[first]


CLOCKED_OFF = {
    ".github/workflows/usage.yml": "on:\n  schedule:\n    - cron: '*/5 * * * *'\njobs:\n  usage:\n    steps:\n      - run: curl https://shop.example/api/cron/usage\n",
    "infra/clock.tf": 'resource "google_cloud_scheduler_job" "usage" {\n  schedule = "*/5 * * * *"\n  uri = "https://shop.example/api/cron/usage"\n}\n',
}


@pytest.mark.parametrize("clock", CLOCKED_OFF)
def test_a_clock_that_is_commented_out(tmp_path: Path, clock: str) -> None:
    """What stands in a remark starts nothing."""
    text = SWEEP.replace("SECRET_NAME", "CRON_SECRET").replace("REMARK", "")
    tree = {"app/api/cron/usage/route.ts": text, "app/api/call/route.ts": CALL}
    assert codes(audited(tmp_path / "on", {**tree, clock: CLOCKED_OFF[clock]})) == set()
    off = "".join(f"# {line}\n" for line in CLOCKED_OFF[clock].splitlines())
    assert codes(audited(tmp_path / "off", {**tree, clock: off})) == {"scheduled_reporting"}


HOOK = f"""{HEAD}
import {{ checked }} from './checked';
export const tell = checked(schema, async (org) => {{
  const used = await db.call.count({{ where: {{ org: org.id, at: {{ lt: org.periodEnd }} }} }}), hour = org.periodEnd, at = org.periodEnd;
  {SEND.replace("VALUE", "used")}
}});
app.post('/hook', async (req, res) => {{
  const event = stripe.webhooks.constructEvent(req.rawBody, req.headers['stripe-signature'], process.env.HOOK_SECRET);
  if (event.type === 'customer.subscription.updated') {{
    await within(event.data.object.metadata.org, async (org) => {{
      if (org.periodStart !== event.data.object.current_period_start) await tell(org);
      await org.renew();
    }});
  }}
  if (event.type === 'customer.subscription.deleted') {{
    await within(event.data.object.metadata.org, async (org) => {{ LAST await org.close(); }});
  }}
  res.json({{ received: true }});
}});
"""
RELAY = f"{HEAD}import {{ tell }} from './hook';\nexport default {{ async scheduled() {{ for (const org of await due()) await tell(org); }} }};\n"
HOOKS = {
    "only when it is renewed": ("", {}, {"scheduled_reporting"}),
    "when it ends as well": ("await tell(org);", {}, set()),
    "by a clock as well": ("", {"worker.ts": RELAY, "wrangler.toml": 'main = "worker.ts"\n[triggers]\ncrons = ["5 * * * *"]\n'}, set()),
    "by a clock that is off": ("", {"worker.ts": RELAY, "wrangler.toml": 'main = "worker.ts"\n# [triggers]\n# crons = ["5 * * * *"]\n'}, {"scheduled_reporting"}),
}  # fmt: skip


@pytest.mark.parametrize("how", HOOKS)
def test_told_when_a_subscription_is_renewed(tmp_path: Path, how: str) -> None:
    """What the last period of a cancelled subscription used is never told."""
    last, others, wanted = HOOKS[how]
    assert codes(audited(tmp_path, {"hook.ts": HOOK.replace("LAST", last), **others})) == wanted


STARTING = WORKER.replace("FIRST", "").replace("function start() {", "export function startReports() {").replace("start();\n", "START\n")  # fmt: skip
STARTERS = {
    "nothing starts it": ("", {}, {"never_reported"}),
    "a framework finds it by its file": ("export default startReports;", {}, set()),
    "its own file starts it": ("startReports();", {}, set()),
    "a server starts it": ("", {"server.ts": "import { startReports } from './worker';\nstartReports();\napp.listen(1);\n"}, set()),
    "a server starts it by an import": ("", {"server.ts": "import('./worker').then(({ startReports }) => startReports());\napp.listen(1);\n"}, set()),
}  # fmt: skip


@pytest.mark.parametrize("how", STARTERS)
def test_a_clock_in_a_function_that_nothing_calls(tmp_path: Path, how: str) -> None:
    """`startReports` sets the clock; where no code has its name, no clock runs."""
    start, others, wanted = STARTERS[how]
    tree = {"worker.ts": STARTING.replace("START", start), "app/api/call/route.ts": CALL, **others}
    tree["app/pricing/page.tsx"] = "export default () => <li>$0.02 per call, billed by usage</li>;\n"
    assert codes(audited(tmp_path, tree)) == wanted


NAMED = {
    "usage/sweep": {"scheduled_reporting"},
    "sync-usage-to-stripe": {"scheduled_reporting"},
    "meter-flush": {"scheduled_reporting"},
    "usage/export": set(),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_route_that_is_called_after_a_sweep_of_usage(tmp_path: Path, name: str) -> None:
    """Behind a service secret, told of nobody and called by nobody."""
    text = SWEEP.replace("SECRET_NAME", "PARTNER_SECRET").replace("REMARK", "")
    tree = {f"app/api/{name}/route.ts": text, "app/api/call/route.ts": CALL}
    assert codes(audited(tmp_path / "alone", tree)) == NAMED[name]
    tree["app/admin/page.tsx"] = f"export default () => <button onClick={{() => fetch('/api/{name}')}} />;\n"
    assert codes(audited(tmp_path / "called", tree)) == set()
