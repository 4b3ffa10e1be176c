# ruff: noqa: E501
"""Reports that answer that they failed, and rows that say so. Twins."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

SEND = "await stripe.billing.meterEvents.create({ event_name: 'tokens', identifier: row.id, payload: { stripe_customer_id: row.customer, value: String(row.tokens) } });"
METER = f"import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\nexport async function report(row) {{ try {{ {SEND} return {{ ok: true }}; }} catch (e) {{ return {{ ok: false, error: String(e) }}; }} }}\n"
ROUTE = """import { auth } from '@/auth';
import { report } from '@/lib/meter';
export async function POST(req: Request) {
  const session = await auth();
  const answer = await openai.responses.create({ input: 'x' });
  const row = await db.usage.create({ data: { id: answer.id, customer: session.user.customer, tokens: answer.usage.total_tokens } });
  ASKED
  return Response.json(answer);
}
"""
SWALLOWED = {"errors_swallowed"}
ASKED: dict[str, set[str]] = {
    "const sent = await report(row);\n  if (!sent.ok) throw new Error(sent.error);": set(),
    "const sent = await report(row);\n  if (!sent.ok) { return Response.json({ error: 'billing' }, { status: 502 }); }": set(),
    "const sent = await report(row);\n  if (sent.ok === false) { await queue.add('report', row); }": set(),
    "const { ok } = await report(row);\n  if (!ok) throw new Error('billing');": set(),
    "const sent = await report(row);\n  if (!sent.ok) console.error(sent.error);": SWALLOWED,
    "const sent = await report(row);\n  if (sent.ok) { count(row); } else { console.error(sent.error); }": SWALLOWED,
    "const { error } = await report(row);\n  if (error) { logger.warn(error); }": SWALLOWED,
    "const sent = await report(row);\n  if (sent.error !== undefined) { failures += 1; }": SWALLOWED,
}  # fmt: skip
MARKED = "const sent = await report(row);\n  if (!sent.ok) { await db.usage.update({ where: { id: row.id }, data: { status: 'failed' } }); }"
CRON: Tree = {
    "vercel.json": '{"crons": [{"path": "/api/cron/again", "schedule": "*/5 * * * *"}]}',
    "app/api/cron/again/route.ts": "import { report } from '@/lib/meter';\nexport async function GET() { const rows = await db.usage.findMany({ where: { status: 'failed' } }); for (const row of rows) { const sent = await report(row); if (sent.ok) await db.usage.update({ where: { id: row.id }, data: { status: 'sent' } }); } return Response.json({}); }\n",
}


def shop(asked: str) -> Tree:
    return {
        "package.json": '{"dependencies": {"next": "15", "stripe": "18"}}',
        "lib/meter.ts": METER,
        "app/api/run/route.ts": ROUTE.replace("ASKED", asked),
    }


@pytest.mark.parametrize("asked", ASKED)
def test_what_is_done_with_the_answer_of_a_failed_report(tmp_path: Path, asked: str) -> None:
    assert codes(audited(tmp_path, shop(asked))) == ASKED[asked]


def test_a_mark_is_of_use_where_something_takes_marked_rows_up_again(tmp_path: Path) -> None:
    assert codes(audited(tmp_path / "alone", shop(MARKED))) == SWALLOWED
    assert codes(audited(tmp_path / "drained", {**shop(MARKED), **CRON})) == set()


STORE = "export async function record(user, tokens) {\n  const { error } = await supabase.from('usage_events').insert({ user_id: user.id, customer: user.customer, tokens, sent: false });\n  ASKED\n}\n"
STORING = "import { record } from '@/lib/usage';\nimport { auth } from '@/auth';\nexport async function POST(req: Request) {\n  const session = await auth();\n  const answer = await openai.responses.create({ input: 'x' });\n  await record(session.user, answer.usage.total_tokens);\n  return Response.json(answer);\n}\n"
DRAIN = f"import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\nexport async function GET() {{ const {{ data: rows }} = await supabase.from('usage_events').select('*').eq('sent', false); for (const row of rows) {{ {SEND} await supabase.from('usage_events').update({{ sent: true }}).eq('id', row.id); }} return Response.json({{}}); }}\n"
STORED: dict[str, set[str]] = {
    "if (error) throw error;": set(),
    "if (error) { console.error('usage', error); throw new Error('usage'); }": set(),
    "if (error) console.error('usage', error);": SWALLOWED,
    "if (error) { logger.warn({ error }, 'no usage row'); return; }": SWALLOWED,
}


@pytest.mark.parametrize("asked", STORED)
def test_a_row_that_is_refused_without_being_raised(tmp_path: Path, asked: str) -> None:
    tree = {
        "package.json": '{"dependencies": {"next": "15", "stripe": "18"}}',
        "vercel.json": '{"crons": [{"path": "/api/cron/send", "schedule": "*/5 * * * *"}]}',
        "lib/usage.ts": STORE.replace("ASKED", asked),
        "app/api/run/route.ts": STORING,
        "app/api/cron/send/route.ts": DRAIN,
    }
    assert codes(audited(tmp_path, tree)) == STORED[asked]


POSTED = "export async function report(row) {\n  const res = await fetch('https://api.stripe.com/v1/billing/meter_events', { method: 'POST', headers: { Authorization: `Bearer ${process.env.KEY}` }, body: new URLSearchParams({ event_name: 'tokens', identifier: row.id, 'payload[stripe_customer_id]': row.customer, 'payload[value]': String(row.tokens) }) });\n  ASKED\n}\n"


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("if (!res.ok) throw new Error(await res.text());", set()),
        ("if (!res.ok) console.error('refused', await res.text());", SWALLOWED),
        (
            "if (!res.ok) { failures.push(row.id); }\n  if (failures.length) throw new Error('refused');",
            set(),
        ),
    ],
)
def test_a_request_that_is_refused_without_being_raised(tmp_path: Path, asked: str, wanted: set[str]) -> None:
    tree = {**shop("await report(row);"), "lib/meter.ts": POSTED.replace("ASKED", asked)}
    assert codes(audited(tmp_path, tree)) == wanted


BUFFER = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\nlet waiting = [];\nexport async function report(row) {{ {0} }}\nsetInterval(async () => {{ {1} for (const row of rows) {{ {2} }} }}, 60_000);\n"
ROWS = "const rows = await db.usage.findMany({ where: { sentAt: null } });"


def test_usage_in_a_variable_of_the_file_waits_in_memory(tmp_path: Path) -> None:
    kept = BUFFER.format("waiting.push(row);", "const rows = waiting; waiting = [];", SEND)
    spliced = BUFFER.format("waiting.push(row);", "const rows = waiting.splice(0, 100);", SEND)
    stored = BUFFER.format("await db.usage.create({ data: row });", f"const seen = []; {ROWS}", SEND)
    for name, meter, wanted in (
        ("kept", kept, {"fire_and_forget"}),
        ("spliced", spliced, {"fire_and_forget"}),
        ("stored", stored, set()),
    ):
        tree = {**shop("await report(row);"), "lib/meter.ts": meter}
        assert codes(audited(tmp_path / name, tree)) == wanted, name


DAILY = f"import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\nexport async function GET() {{ const rows = await db.usage.findMany({{ where: {{ reported: false }} }}); for (const row of rows) {{ try {{ {SEND}\n INSIDE }} catch (e) {{ console.error(e); }}\n AFTER }} return Response.json({{}}); }}\n"
MARK = "await db.usage.update({ where: { id: row.id }, data: { reported: true } });"


def test_a_slow_run_that_marks_what_it_sent_swallows_nothing(tmp_path: Path) -> None:
    """It is slow all the same; one that marks the failed as well, or marks nothing, loses them."""
    for name, inside, after, wanted in (
        ("kept", MARK, "", set()),
        ("lost", "", MARK, SWALLOWED),
        ("unmarked", "", "", SWALLOWED),
    ):
        job = DAILY.replace("INSIDE", inside).replace("AFTER", after)
        tree = {
            "vercel.json": '{"crons": [{"path": "/api/cron/send", "schedule": "0 2 * * *"}]}',
            "app/api/cron/send/route.ts": job,
            "app/api/run/route.ts": "export async function POST() { const user = await requireUser(); await db.usage.create({ data: { customer: user.customer, tokens: 1 } }); return Response.json({}); }\n",
        }
        assert codes(audited(tmp_path / name, tree)) == {"scheduled_reporting", *wanted}, name


FIRST = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\nexport async function GET() {\n  const rows = await db.usage.findMany({ where: { reported: false } });\n  for (const row of rows) {\n    MARKED\n    try {\n      SEND\n      SENT\n    } catch (e) { console.error(e); }\n  }\n  return Response.json({});\n}\n".replace(
    "SEND", SEND
)
FIRSTS = {
    (MARK, ""): SWALLOWED,
    (f"if (row.tokens === 0) {{\n      {MARK}\n      continue;\n    }}", MARK): set(),
    ("", MARK): set(),
}


@pytest.mark.parametrize("first", FIRSTS)
def test_a_row_that_is_marked_before_it_is_sent(tmp_path: Path, first: tuple[str, str]) -> None:
    tree = {
        "vercel.json": '{"crons": [{"path": "/api/cron/send", "schedule": "*/5 * * * *"}]}',
        "app/api/cron/send/route.ts": FIRST.replace("MARKED", first[0]).replace("SENT", first[1]),
        "app/api/run/route.ts": "export async function POST() { const user = await requireUser(); await db.usage.create({ data: { customer: user.customer, tokens: 1 } }); return Response.json({}); }\n",
    }
    assert codes(audited(tmp_path, tree)) == FIRSTS[first]


MONTH = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\nexport async function GET() {\n  GIVEN\n  const rows = await db.usage.findMany({ where: { createdAt: { ASKED } } });\n  for (const row of rows) { SEND }\n  return Response.json({});\n}\n".replace("SEND", SEND)  # fmt: skip
MONTHS = {
    ("const first = new Date(); first.setDate(1);", "gte: first"): {"scheduled_reporting"},
    ("const now = new Date(); const first = new Date(now.getFullYear(), now.getMonth(), 1);", "gte: first"): {"scheduled_reporting"},
    ("const now = new Date(); const first = new Date(now.getFullYear(), now.getMonth() - 1, 1);", "gte: first"): set(),
    ("const first = new Date(); first.setDate(1); first.setMonth(first.getMonth() - 1);", "gte: first"): set(),
    ("const first = new Date(); first.setDate(1);", "lt: first"): set(),
}  # fmt: skip


@pytest.mark.parametrize("month", MONTHS)
def test_the_month_that_runs_is_an_open_period(tmp_path: Path, month: tuple[str, str]) -> None:
    tree = {
        "vercel.json": '{"crons": [{"path": "/api/cron/send", "schedule": "0 * * * *"}]}',
        "app/api/cron/send/route.ts": MONTH.replace("GIVEN", month[0]).replace("ASKED", month[1]),
        "app/api/run/route.ts": "export async function POST() { const user = await requireUser(); await db.usage.create({ data: { customer: user.customer, tokens: 1 } }); return Response.json({}); }\n",
    }
    assert codes(audited(tmp_path, tree)) == MONTHS[month]
