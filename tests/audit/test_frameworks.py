# ruff: noqa: E501
"""Each framework: the route is found, a server's number passes, a client's number fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

from tallystick.audit.model import Verdict

SEND = (
    "await stripe.billing.meterEvents.create({ event_name: 'calls', identifier: crypto.randomUUID(), "
    "payload: { stripe_customer_id: account.customer, value: QUANTITY } });"
)
LOOK = "const account = await db.accounts.findUnique({ where: { key } });"
WORK = f"{LOOK}\n  const done = await work();\n  {SEND}"
HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"

SCRIPT = {
    "next-app": ("app/api/run/route.ts", f"export async function POST(req: Request) {{\n  const body = await req.json();\n  {WORK}\n}}", "body.n"),
    "next-app wrapped": ("app/api/run/route.ts", f"export const POST = withAuth(async (req: Request) => {{\n  const {{ n }} = await req.json();\n  {WORK}\n}});", "n"),
    "next-pages": ("pages/api/run.ts", f"export default async function handler(req, res) {{\n  {WORK}\n  res.json(done);\n}}", "req.body.n"),
    "next-action": ("app/actions.ts", f"export async function run(n: number) {{\n  'use server';\n  {WORK}\n}}", "n"),
    "express": ("server.js", f"const app = express();\napp.post('/run', async (req, res) => {{\n  {WORK}\n  res.json(done);\n}});", "req.body.n"),
    "express named": ("server.js", f"const router = express.Router();\nasync function run(req, res) {{\n  {WORK}\n  res.json(done);\n}}\nrouter.post('/run', guard, run);", "req.body.n"),
    "fastify": ("server.ts", f"fastify.post('/run', async (request, reply) => {{\n  {WORK}\n  return done;\n}});", "request.body.n"),
    "hono": ("src/index.ts", f"const app = new Hono();\napp.post('/run', async (c) => {{\n  const body = await c.req.json();\n  {WORK}\n  return c.json(done);\n}});", "body.n"),
    "koa": ("server.js", f"const router = new Router();\nrouter.post('/run', async (ctx) => {{\n  {WORK}\n  ctx.body = done;\n}});", "ctx.request.body.n"),
    "nest": ("src/run.controller.ts", f"@Controller('run')\nexport class RunController {{\n  @Post()\n  async run(@Req() req) {{\n  {WORK}\n  return done;\n  }}\n}}", "req.body.n"),
    "trpc": ("src/router.ts", f"export const appRouter = router({{\n  run: protectedProcedure.input(z.object({{ n: z.number() }})).mutation(async ({{ input, ctx }}) => {{\n  {WORK}\n  return done;\n  }}),\n}});", "input.n"),
    "sveltekit": ("src/routes/run/+server.ts", f"export async function POST({{ request }}) {{\n  const body = await request.json();\n  {WORK}\n  return json(done);\n}}", "body.n"),
    "nitro": ("server/api/run.post.ts", f"export default defineEventHandler(async (event) => {{\n  const body = await readBody(event);\n  {WORK}\n  return done;\n}});", "body.n"),
    "remix": ("app/routes/run.tsx", f"export async function action({{ request }}) {{\n  const form = await request.formData();\n  {WORK}\n  return json(done);\n}}", "form.get('n')"),
    "supabase": ("supabase/functions/run/index.ts", f"Deno.serve(async (req) => {{\n  const {{ n }} = await req.json();\n  {WORK}\n  return new Response(done);\n}});", "n"),
    "workers": ("src/worker.ts", f"export default {{\n  async fetch(request, env) {{\n  const body = await request.json();\n  {WORK}\n  return new Response(done);\n  }},\n}};", "body.n"),
    "firebase": ("functions/src/index.ts", f"export const run = onCall(async (request) => {{\n  {WORK}\n  return done;\n}});", "request.data.n"),
    "convex": ("convex/run.ts", f"export const run = action({{\n  args: {{ n: v.number() }},\n  handler: async (ctx, args) => {{\n  {WORK}\n  return done;\n  }},\n}});", "args.n"),
    "lambda": ("src/run.ts", f"export const handler = async (event) => {{\n  const body = JSON.parse(event.body);\n  {WORK}\n  return {{ statusCode: 200 }};\n}};", "body.n"),
}  # fmt: skip

PY_WORK = """    account = lookup(key)
    done = work()
    stripe.billing.MeterEvent.create(
        event_name="calls", identifier=done.id, payload={"stripe_customer_id": account.customer, "value": QUANTITY}
    )
    return done
"""
PYTHON = {
    "fastapi": ("main.py", "@app.post('/run')\ndef run(n: int):\n" + PY_WORK, "n"),
    "fastapi model": ("main.py", "@router.post('/run')\ndef run(body: Body):\n" + PY_WORK, "body.n"),
    "flask": ("main.py", "@app.route('/run', methods=['POST'])\ndef run():\n    data = request.get_json()\n" + PY_WORK, "data['n']"),
    "django": ("shop/views.py", "@require_POST\ndef run(request):\n" + PY_WORK, "request.POST['n']"),
    "strawberry": ("app/mutations.py", "@strawberry.type\nclass RunMutations:\n    @strawberry.mutation(description='x')\n    async def run(self, n: int, info: Info) -> Run:\n" + PY_WORK.replace("    ", "        "), "n"),
    "ariadne": ("app/mutations.py", "@mutation.field('run')\ndef resolve_run(_, info, n):\n" + PY_WORK, "n"),
    "graphene": ("app/mutations.py", "class Run(graphene.Mutation):\n    def mutate(self, info, n):\n" + PY_WORK.replace("    ", "        "), "n"),
    "django class": ("shop/views.py", "class RunView(APIView):\n    def post(self, request):\n" + PY_WORK.replace("    ", "        "), "request.data['n']"),
}  # fmt: skip


@pytest.mark.parametrize("name", [*SCRIPT, *PYTHON])
def test_a_framework(tmp_path: Path, name: str) -> None:
    """The twin with the server's own number passes; the client's number is named."""
    path, text, field = (SCRIPT | PYTHON)[name]
    head = HEAD if name in SCRIPT else "import stripe\n"
    for folder, quantity, verdict in (("right", "1", Verdict.PASS), ("wrong", field, Verdict.FAIL)):
        report = audited(tmp_path / folder, {path: head + text.replace("QUANTITY", quantity)})
        assert report.verdict is verdict, (folder, report.findings, report.endpoints)
        assert codes(report) == ({"client_supplied_quantity"} if verdict is Verdict.FAIL else set())
        assert [one.reports for one in report.endpoints] == [True]


ELSEWHERE = f"{HEAD}async function run(req, res) {{\n  {WORK}\n  res.json(done);\n}}\n".replace(
    "QUANTITY", "1"
)
HELD = {
    "named": ({"lib/run.ts": f"{ELSEWHERE}export {{ run }};\n", "app/api/run/route.ts": "import { run } from '../../../lib/run';\nexport const POST = run;\n"}, "POST /api/run"),
    "default": ({"lib/run.ts": f"{ELSEWHERE}export default run;\n", "pages/api/run.ts": "import run from '../../lib/run';\nexport default run;\n"}, "ANY /api/run"),
    "wrapped": ({"lib/run.ts": f"{ELSEWHERE}export {{ run }};\n", "pages/api/run.ts": "import { run } from '../../lib/run';\nexport default withMethods({ POST: run });\n"}, "ANY /api/run"),
    "literal": ({"pages/api/run.ts": f"{HEAD}export default withMethods({{ POST: route({{ fn: async (req, res) => {{\n  {WORK}\n  res.json(done);\n}} }}) }});\n".replace("QUANTITY", "1")}, "ANY /api/run"),
}  # fmt: skip


@pytest.mark.parametrize("name", HELD)
def test_a_handler_that_the_route_only_names(tmp_path: Path, name: str) -> None:
    """The route's file exports what another file, or a literal within a wrapper, holds."""
    tree, route = HELD[name]
    report = audited(tmp_path, tree)
    assert [(one.route, one.reports) for one in report.endpoints] == [(route, True)]
    assert report.verdict is Verdict.PASS
