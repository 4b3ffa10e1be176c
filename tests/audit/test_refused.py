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
