# ruff: noqa: E501
"""A seller who writes his invoices himself, out of rows of use: what counts is that every row is there. Right and wrong twins."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.model import Verdict

LOST = {"errors_swallowed"}
CLOSE = """import { db } from "./db";
export async function closeMonth(teamId: string, from: Date, to: Date) {
  const rows = await db.usageRow.findMany({ where: { teamId, at: { gte: from, lt: to } } });
  const overageCents = rows.reduce((sum, row) => sum + row.units * row.priceCents, 0);
  await db.invoice.create({ data: { teamId, from, to, overageCents } });
}
"""
CLOCK = """import { closeMonth } from "../../../lib/close";
import { db } from "../../../lib/db";
export async function GET(req: Request) {
  if (req.headers.get("authorization") !== `Bearer ${process.env.CRON_SECRET}`) return new Response("no", { status: 401 });
  for (const team of await db.team.findMany()) await closeMonth(team.id, lastMonth(), thisMonth());
  return Response.json({ ok: true });
}
"""
WORK = """import { db } from "../../../lib/db";
import { auth } from "../../../lib/auth";
export async function POST(req: Request) {
  const session = await auth();
  const { text } = await req.json();
  const out = await openai.responses.create({ model: "m", input: text });
  SAVE
  return Response.json(out);
}
"""
ROW = "db.usageRow.create({ data: { teamId: session.user.teamId, units: out.usage.total_tokens, priceCents: 2 } })"
NEXT: Tree = {
    "package.json": '{"dependencies": {"next": "15", "openai": "4"}}',
    "vercel.json": '{"crons": [{"path": "/api/close", "schedule": "10 2 1 * *"}]}',
    "app/api/close/route.ts": CLOCK,
    "lib/close.ts": CLOSE,
    "lib/auth.ts": "export async function auth() { return await readVerifiedCookie(); }\n",
    "lib/db.ts": "import { PrismaClient } from '@prisma/client';\nexport const db = new PrismaClient();\n",
}


def shop(save: str) -> Tree:
    return {**NEXT, "app/api/run/route.ts": WORK.replace("SAVE", save.replace("ROW", ROW))}


@pytest.mark.parametrize(
    ("save", "wanted"),
    [("await ROW;", set()), ("await ROW.catch((problem) => console.error(problem));", LOST), ("void ROW;", {"fire_and_forget"})],
)  # fmt: skip
def test_an_invoice_made_of_rows(tmp_path: Path, save: str, wanted: set[str]) -> None:
    report = audited(tmp_path, shop(save))
    assert codes(report) == wanted, report.findings
    assert report.verdict is (Verdict.FAIL if wanted else Verdict.PASS)


HOW = {
    "drizzle": "await db.insert(invoices).values({ teamId, from, to, overageCents });",
    "supabase": "await db.from('invoices').insert({ team_id: teamId, overage_cents: overageCents });",
    "sql": "await db.query('INSERT INTO billing_invoices (team_id, overage_cents) VALUES ($1, $2)', [teamId, overageCents]);",
    "a class": "const made = new Invoice({ teamId, total: overageCents });\n  await made.save();",
}


@pytest.mark.parametrize("how", HOW)
def test_in_whatever_way_it_is_kept(tmp_path: Path, how: str) -> None:
    tree = shop("await ROW.catch((problem) => console.error(problem));")
    tree["lib/close.ts"] = CLOSE.replace(
        "await db.invoice.create({ data: { teamId, from, to, overageCents } });", HOW[how]
    )
    assert codes(audited(tmp_path, tree)) == LOST


DJANGO: Tree = {
    "requirements.txt": "django\ncelery\n",
    "shop/models.py": "class ApiCall(models.Model):\n    tokens = models.IntegerField()\n\nclass Invoice(models.Model):\n    amount = models.IntegerField()\n",
    "shop/tasks.py": """from celery import shared_task
from shop.models import ApiCall, Invoice, Team

@shared_task
def close_month():
    for team in Team.objects.all():
        usage = ApiCall.objects.filter(team=team, invoice=None).aggregate(Sum("tokens"))["tokens__sum"]
        Invoice.objects.create(team=team, amount=usage * PRICE_CENTS)

app.conf.beat_schedule = {"close": {"task": "shop.tasks.close_month", "schedule": crontab(day_of_month=1)}}
""",
    "shop/views.py": """from shop.models import ApiCall

@api_view(["POST"])
@permission_classes([IsAuthenticated])
def run(request):
    out = client.responses.create(input=request.data["text"])
    try:
        ApiCall.objects.create(team=request.user.team, tokens=out.usage.total_tokens)
    except Exception as problem:
        logger.error(problem)
    return Response(out.output_text)
""",
}


def test_in_a_task(tmp_path: Path) -> None:
    assert codes(audited(tmp_path, DJANGO)) == LOST


TYPED = """import { db } from "../../../lib/db";
import { auth } from "../../../lib/auth";
export async function POST(req: Request) {
  const session = await auth();
  const { client, amount } = await req.json();
  return Response.json(await db.invoice.create({ data: { teamId: session.user.teamId, client, amount } }));
}
"""
ASIDE: dict[str, Tree] = {
    "invoices that people write to their clients": {"app/api/invoices/route.ts": TYPED},
    "hours of people": {"lib/close.ts": CLOSE.replace("usageRow", "timeEntry")},
    "water of a house": {"lib/close.ts": CLOSE.replace("usageRow", "waterUsage")},
    "a plan's price": {"lib/close.ts": CLOSE.replace("rows.reduce((sum, row) => sum + row.units * row.priceCents, 0)", "team.planPrice")},
    "a page that is asked for a bill": {"vercel.json": "{}", "app/api/close/route.ts": CLOCK.replace("GET", "POST").replace("/api/close", "/api/bill").replace("`Bearer ${process.env.CRON_SECRET}`", "token")},
}  # fmt: skip


@pytest.mark.parametrize("name", ASIDE)
def test_other_invoices(tmp_path: Path, name: str) -> None:
    report = audited(
        tmp_path, {**shop("await ROW.catch((problem) => console.error(problem));"), **ASIDE[name]}
    )
    assert report.verdict is Verdict.SKIP, report.findings


METER = "export async function meterUsage(userId: string, amount: number) { await db.counter.create({ data: { userId, amount } }); }\n"


def test_a_function_that_is_called_like_a_marketplaces_own(tmp_path: Path) -> None:
    """`meterUsage` alone is anybody's; a client's is Amazon's where its kit is there."""
    route = "import { meterUsage } from '../../../lib/meter';\nexport async function POST(req: Request) {\n  const { amount } = await req.json();\n  await meterUsage('x', amount);\n  return Response.json({});\n}\n"
    tree = {
        "package.json": '{"dependencies": {"next": "15"}}',
        "app/api/go/route.ts": route,
        "lib/meter.ts": METER,
    }
    assert audited(tmp_path, tree).verdict is Verdict.SKIP
