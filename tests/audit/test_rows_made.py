# ruff: noqa: E501
"""An outbox that is read together with its customers, and whose rows a function makes of named values."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

DRAIN = "import { stripe } from './stripe';\nimport { db, usageEvents, orgs } from './db';\nexport async function GET(req) {\n  if (req.headers.get('authorization') !== `Bearer ${process.env.CRON_SECRET}`) return new Response('no', { status: 401 });\n  const pending = await db\n    .select({ id: usageEvents.id, at: usageEvents.at, units: usageEvents.units, customer: orgs.customer })\n    .from(usageEvents)\n    .leftJoin(orgs, eq(usageEvents.orgId, orgs.id))\n    .where(isNull(usageEvents.reportedAt))\n    .limit(500);\n  for (const one of pending) {\n    await stripe.billing.meterEvents.create({ event_name: 'posts', identifier: one.id, timestamp: one.at, payload: { stripe_customer_id: one.customer, value: one.units } });\n    await db.update(usageEvents).set({ reportedAt: new Date() }).where(eq(usageEvents.id, one.id));\n  }\n  return Response.json({ ok: true });\n}\n"
CLOCK = '{"crons": [{"path": "/api/cron/report", "schedule": "*/10 * * * *"}]}'
ROUTE = "import { auth } from './auth';\nimport { db, usageEvents } from './db';\nexport async function POST(req) {\n  const session = await auth();\n  const out = await publish(await req.json());\n  WRITTEN\n  return Response.json(out);\n}\n"
INSERT = "await db.insert(usageEvents).values(buildEvent({ orgId: session.user.orgId, units: out.posts, at: new Date() })).onConflictDoNothing();"


@pytest.mark.parametrize(
    ("written", "wanted"),
    [(INSERT, set()), (f"try {{ {INSERT} }} catch (e) {{ console.error(e); }}", {"errors_swallowed"})],
)
def test_an_outbox_with_rows_that_are_made(tmp_path: Path, written: str, wanted: set[str]) -> None:
    files = {
        "package.json": '{"dependencies": {"next": "15", "stripe": "18.0.0", "drizzle-orm": "1"}}',
        "vercel.json": CLOCK,
        "app/api/cron/report/route.ts": DRAIN,
        "app/api/publish/route.ts": ROUTE.replace("WRITTEN", written),
    }
    report = audited(tmp_path, files)
    assert codes(report) == wanted
    assert "POST /api/publish" in {one.route for one in report.endpoints}
