# ruff: noqa: E501
"""A platform's clock asks with GET: what a route does when it is asked with POST is not what the clock starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
DRAIN = """  for (const row of await prisma.usageEvent.findMany({ where: { reportedAt: null } })) {
    await stripe.billing.meterEvents.create({ event_name: 'c', identifier: row.id, payload: { stripe_customer_id: row.customer, value: String(row.quantity) } });
    await prisma.usageEvent.update({ where: { id: row.id }, data: { reportedAt: new Date() } });
  }
"""
RUN = "export async function POST(req: Request) {\n  const session = await auth();\n  const out = await openai.responses.create({});\n  await prisma.usageEvent.create({ data: { customerId: session.user.customer, quantity: out.usage.total_tokens } });\n  return Response.json(out);\n}\n"
SECRET = "  if (req.headers.get('authorization') !== `Bearer ${process.env.CRON_SECRET}`) return new Response('', { status: 401 });\n"
STATUS = (
    "export async function GET() { return Response.json({ unsent: await prisma.usageEvent.count() }); }\n"
)


def told(name: str) -> str:
    return (
        f"export async function {name}(req: Request) {{\n{SECRET}{DRAIN}  return Response.json({{}});\n}}\n"
    )


def tree(path: str, text: str, schedule: str = "*/10 * * * *") -> Tree:
    crons = f'{{"crons": [{{"path": "/api/cron/usage", "schedule": "{schedule}"}}]}}'
    return {"vercel.json": crons, path: HEAD + text, "app/api/run/route.ts": RUN}


NEXT = "app/api/cron/usage/route.ts"
HANDLER = told("handler").removeprefix("export ")
PAGE = "export default async function handler(req, res) {{\n  {}\n{}  res.json({{}});\n}}\n"
ANSWER = {
    "GET": told("GET"),
    "an alias": told("POST") + "export const GET = POST;\n",
    "a list": HANDLER + "export { handler as POST, handler as GET };\n",
    "a call": told("POST") + "export async function GET(req: Request) { return POST(req); }\n",
    "one below": HANDLER.replace("handler", "run")
    + "export const GET = async (req: Request) => run(req);\nexport const POST = async (req: Request) => run(req);\n",
}
SILENT = {
    "alone": told("POST"),
    "beside a status": STATUS + told("POST"),
    "wrapped": f"export const POST = withCron(async (req: Request) => {{\n{DRAIN}  return Response.json({{}});\n}});\n",
}  # fmt: skip


@pytest.mark.parametrize("name", [*ANSWER, *SILENT])
def test_a_clock_that_asks_with_get(tmp_path: Path, name: str) -> None:
    wanted = {"never_reported"} if name in SILENT else set()
    report = audited(tmp_path, tree(NEXT, (ANSWER | SILENT)[name]))
    assert codes(report) == wanted, report.findings
    if wanted:
        assert [one.place.path for one in report.findings if one.decides] == ["vercel.json"]


@pytest.mark.parametrize(
    ("path", "text", "wanted"),
    [
        ("pages/api/cron/usage.ts", PAGE.format("if (req.method !== 'POST') return res.status(405).end();", DRAIN), {"never_reported"}),
        ("pages/api/cron/usage.ts", PAGE.format("if (req.method !== 'POST' && req.method !== 'GET') return res.status(405).end();", DRAIN), set()),
        ("pages/api/cron/usage.ts", PAGE.format("", DRAIN), set()),
        ("src/routes/api/cron/usage/+server.ts", told("POST").replace("req:", "{ request: req }:"), {"never_reported"}),
        ("src/routes/api/cron/usage/+server.ts", told("GET").replace("req:", "{ request: req }:"), set()),
        ("src/pages/api/cron/usage.ts", told("GET"), set()),
        ("server/api/cron/usage.post.ts", f"export default defineEventHandler(async (event) => {{\n{DRAIN}}});\n", {"never_reported"}),
        ("server/api/cron/usage.get.ts", f"export default defineEventHandler(async (event) => {{\n{DRAIN}}});\n", set()),
        ("server/api/cron/usage.ts", f"export default defineEventHandler(async (event) => {{\n{DRAIN}}});\n", set()),
        ("app/routes/api.cron.usage.ts", f"export async function loader({{ request: req }}) {{\n{DRAIN}}}\n", set()),
        ("src/server.ts", f"app.post('/api/cron/usage', async (req, res) => {{\n{DRAIN}  res.json({{}});\n}});\n", {"never_reported"}),
        ("src/server.ts", f"app.all('/api/cron/usage', async (req, res) => {{\n{DRAIN}  res.json({{}});\n}});\n", set()),
    ],
)  # fmt: skip
def test_routes_of_other_frameworks(tmp_path: Path, path: str, text: str, wanted: set[str]) -> None:
    report = audited(tmp_path, tree(path, text))
    assert codes(report) == wanted, (report.findings, report.endpoints)


def test_what_else_may_call_it(tmp_path: Path) -> None:
    """A workflow that posts is a clock too; a slow one is too slow; a request that reports needs no clock."""
    files = tree(NEXT, told("POST"))
    posts = "on:\n  schedule:\n    - cron: '*/10 * * * *'\njobs:\n  run:\n    steps:\n      - run: curl -X POST https://example.com/api/cron/usage\n"
    assert codes(audited(tmp_path / "both", {**files, ".github/workflows/usage.yml": posts})) == set()
    slow = audited(tmp_path / "slow", tree(NEXT, told("POST"), "0 3 * * *"))
    assert codes(slow) == {"scheduled_reporting"}
    direct = HEAD + RUN.replace(
        "  return",
        "  await stripe.billing.meterEvents.create({ event_name: 'c', identifier: out.id, payload: { stripe_customer_id: session.user.customer, value: String(out.usage.total_tokens) } });\n  return",
    )
    assert codes(audited(tmp_path / "direct", {**files, "app/api/run/route.ts": direct})) == set()
