# ruff: noqa: E501
"""Who is let in to say how much is billed: the application's own services, an order, or anybody with an account."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import audited, codes

REPORT = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\nexport async function report(customer, n, id) { await stripe.billing.meterEvents.create({ event_name: 'calls', identifier: id, payload: { stripe_customer_id: customer, value: String(n) } }); }\n"
HANDLER = (
    "async (req, res) => { await report(req.user.customer, req.body.tokens, req.body.id); res.json({}); }"
)
HEAD = "import { report } from './report';\nimport { guard } from './guard';\n"
FORGED = {"client_supplied_quantity"}

STANDING: dict[str, tuple[str, set[str]]] = {
    "own by its name": ("app.post('/usage', internalOnly, HANDLER);", set()),
    "a user": ("app.post('/usage', requireUser, HANDLER);", FORGED),
    "errors of the inside": ("app.post('/usage', internalErrorHandler, HANDLER);", FORGED),
    "below a path": ("app.use('/internal/*', bearerAuth({ token: process.env.METER_TOKEN }));\napp.post('/internal/usage', HANDLER);", set()),
    "below another path": ("app.use('/internal/*', bearerAuth({ token: process.env.METER_TOKEN }));\napp.post('/usage', HANDLER);", FORGED),
    "of another router": ("inner.use(bearerAuth({ token: process.env.METER_TOKEN }));\napp.post('/usage', HANDLER);", FORGED),
    "a secret that signs sessions": ("app.use(session({ secret: process.env.APP_SECRET }));\napp.post('/usage', HANDLER);", FORGED),
    "in the options": ("fastify.post('/usage', { preHandler: [internalOnly] }, HANDLER);", set()),
    "in the options, a user": ("fastify.post('/usage', { preHandler: [requireUser] }, HANDLER);", FORGED),
    "a hook": ("fastify.addHook('onRequest', internalOnly);\nfastify.post('/usage', HANDLER);", set()),
    "a chain": ("new Hono().use(internalOnly).post('/usage', HANDLER);", set()),
    "the office": ("app.post('/admin/usage', requireAdmin, HANDLER);", set()),
    "the customer's own office": ("app.post('/admin/usage', requireOrgAdmin, HANDLER);", FORGED),
    "a procedure": ("export const meter = router({ track: internalProcedure.input(z.object({})).mutation(async ({ ctx, input }) => { await report(ctx.user.customer, input.tokens, input.id); }) });", set()),
    "a procedure for users": ("export const meter = router({ track: protectedProcedure.input(z.object({})).mutation(async ({ ctx, input }) => { await report(ctx.user.customer, input.tokens, input.id); }) });", FORGED),
}  # fmt: skip


@pytest.mark.parametrize("route", STANDING)
def test_what_stands_before_a_route_says_who_may_count(tmp_path: Path, route: str) -> None:
    said, wanted = STANDING[route]
    tree = {"report.ts": REPORT, "server.ts": HEAD + said.replace("HANDLER", HANDLER) + "\n"}
    assert codes(audited(tmp_path, tree)) == wanted


GUARDS: dict[str, set[str]] = {
    "if (req.headers['x-key'] !== process.env.METERING_SECRET) return res.status(401).end(); next();": set(),
    "const user = await db.user.findFirst({ where: { key: hash(req.headers['x-key'], process.env.HASHING_SECRET) } }); if (!user) return res.status(401).end(); req.user = user; next();": FORGED,
    "req.user = jwt.verify(req.headers.authorization, process.env.ACCESS_TOKEN); next();": FORGED,
    "const { ok } = await limit(req.headers['x-ip'], process.env.UPSTASH_REDIS_REST_TOKEN); if (!ok) return res.status(429).end(); next();": FORGED,
}
MOUNTS = {
    "app.post('/usage', guard, HANDLER);": "",
    "router.post('/usage', HANDLER);\nexport default router;": "import usage from './server';\nimport { guard } from './guard';\napp.use('/usage', guard, usage);\n",
}


@pytest.mark.parametrize("body", GUARDS)
@pytest.mark.parametrize("route", MOUNTS)
def test_a_guard_is_known_by_what_it_asks_for(tmp_path: Path, body: str, route: str) -> None:
    tree = {
        "report.ts": REPORT,
        "guard.ts": f"export async function guard(req, res, next) {{ {body} }}\n",
        "server.ts": HEAD + route.replace("HANDLER", HANDLER) + "\n",
        "app.ts": MOUNTS[route],
    }
    assert codes(audited(tmp_path, tree)) == GUARDS[body]


CLASSES = [("InternalKeyGuard", set()), ("JwtAuthGuard", FORGED)]


@pytest.mark.parametrize(("guard", "wanted"), CLASSES)
@pytest.mark.parametrize("above", ["class", "method"])
def test_a_class_has_a_guard_for_all_its_methods(
    tmp_path: Path, guard: str, wanted: set[str], above: str
) -> None:
    used = f"@UseGuards({guard})\n"
    own, one = (used, "") if above == "class" else ("", used)
    made = f"import {{ Controller, Post, Body, UseGuards }} from '@nestjs/common';\n{HEAD}@Controller('usage')\n{own}export class Usage {{\n  {one}@Post()\n  async track(@Body() dto: Track, @Req() req) {{ await report(req.user.customer, dto.tokens, dto.id); }}\n}}\n"
    assert codes(audited(tmp_path, {"report.ts": REPORT, "server.ts": made})) == wanted


ASKED = [
    ("if key != os.environ['METERING_SECRET']: raise HTTPException(401)", set()),
    ("return find_user(key)", FORGED),
]


@pytest.mark.parametrize(("asked", "wanted"), ASKED)
def test_a_dependency_may_ask_for_a_secret(tmp_path: Path, asked: str, wanted: set[str]) -> None:
    made = f"""import os
import stripe
from fastapi import Depends, FastAPI, Header, HTTPException
app = FastAPI()
def service(key: str = Header(alias="x-key")):
    {asked}
@app.post("/usage", dependencies=[Depends(service)])
def usage(body: Usage, user = Depends(current_user)):
    stripe.billing.MeterEvent.create(event_name="calls", identifier=body.id, payload={{"stripe_customer_id": user.customer, "value": str(body.tokens)}})
"""
    assert codes(audited(tmp_path, {"server.py": made})) == wanted


ORDERS: dict[str, set[str]] = {
    "const { prompt, pictures } = req.body; const made = await openai.images.generate({ prompt, n: pictures }); await report(req.user.customer, pictures, made.id);": set(),
    "const { prompt, pictures } = req.body; const made = await openai.images.generate({ prompt }); await report(req.user.customer, pictures, made.id);": FORGED,
    "const { prompt, pictures } = req.body; const made = await draw(prompt, pictures); await report(req.user.customer, pictures, made.id);": set(),
    "const { prompt, pictures } = req.body; const made = await note(prompt, pictures); await report(req.user.customer, pictures, made.id);": FORGED,
    "const { seats } = req.body; await report(req.user.customer, seats, req.body.id);": set(),
    "const { calls } = req.body; await report(req.user.customer, calls, req.body.id);": FORGED,
}


@pytest.mark.parametrize("body", ORDERS)
def test_what_was_ordered_of_the_work_itself_is_no_forged_count(tmp_path: Path, body: str) -> None:
    own = "async function draw(prompt, n) { return await openai.images.generate({ prompt, n }); }\nasync function note(prompt, n) { return await db.notes.insert({ prompt, n }); }\n"
    made = f"{HEAD}{own}app.post('/usage', requireUser, async (req, res) => {{ {body} res.json(made); }});\n"
    assert codes(audited(tmp_path, {"report.ts": REPORT, "server.ts": made})) == ORDERS[body]


COUNTS: dict[str, set[str]] = {
    "const { count } = req.body;": FORGED,
    "const rows = await search(req.body.prompt); const count = rows.length;": set(),
    "const started = Date.now(); await search(req.body.prompt); const count = Date.now() - started;": set(),
    "const { count } = await search(req.body.prompt);": set(),
}


@pytest.mark.parametrize("counted", COUNTS)
def test_a_count_is_what_it_was_given(tmp_path: Path, counted: str) -> None:
    report = REPORT.replace("(customer, n, id)", "(customer, count, id)").replace(
        "String(n)", "String(count)"
    )
    made = f"{HEAD}app.post('/usage', requireUser, async (req, res) => {{ {counted} await report(req.user.customer, count, crypto.randomUUID()); res.json({{}}); }});\n"
    assert codes(audited(tmp_path, {"report.ts": report, "server.ts": made})) == COUNTS[counted]


MADE: dict[str, set[str]] = {
    "Usage.create(req.user.customer, req.body.tokens)": FORGED,
    "new Usage(req.user.customer, req.body.tokens)": FORGED,
    "Usage.create(req.user.customer, answer.usage.total_tokens)": set(),
    "Usage.create(req.body.tokens, 1)": set(),
}


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("kept", ["readonly token: number) {}", "token: number) { this.token = token; }"])
def test_a_field_is_what_the_constructor_was_given(tmp_path: Path, made: str, kept: str) -> None:
    model = f"export class Usage {{\n  constructor(readonly owner: string, {kept}\n  static create(owner: string, n: number) {{\n    return new Usage(owner, n);\n  }}\n}}\n"
    route = f"{HEAD}import {{ Usage }} from './usage';\napp.post('/usage', requireUser, async (req, res) => {{ const answer = await search(req.body.prompt); const kept = {made}; await report(req.user.customer, kept.token, crypto.randomUUID()); res.json({{}}); }});\n"
    tree = {"report.ts": REPORT, "usage.ts": model, "server.ts": route}
    assert codes(audited(tmp_path, tree)) == MADE[made]


OFFICE = {
    "if (req.user.role !== 'admin') return res.status(403).end();": "medium",
    "await assertAdmin(req.user);": "medium",
    "if (!req.user) return res.status(401).end();": "high",
}
MEASURED = "app.post('/run', requireUser, async (req, res) => { const answer = await openai.responses.create({ input: req.body.prompt }); await report(req.user.customer, answer.usage.total_tokens, answer.id); res.json(answer); });\n"


@pytest.mark.parametrize("asked", OFFICE)
def test_what_the_staff_types_in_is_not_the_customers_word(tmp_path: Path, asked: str) -> None:
    """Alone it measures nothing; beside what is measured it is a correction."""
    handler = HANDLER.replace("=> { await", f"=> {{ {asked} await")
    office = HEAD + f"app.post('/admin/usage', requireUser, {handler});\n"
    alone = audited(tmp_path / "alone", {"report.ts": REPORT, "server.ts": office})
    assert [one.confidence for one in alone.findings if one.decides] == [OFFICE[asked]]
    both = audited(tmp_path / "both", {"report.ts": REPORT, "server.ts": office + MEASURED})
    assert codes(both) == (FORGED if OFFICE[asked] == "high" else set())


PYTHON = """import stripe
from fastapi import Depends, FastAPI
from pydantic import BaseModel
app = FastAPI()

class Reply(BaseModel):
    body: str
    units: int

@app.post("/reply")
async def reply(body: Reply, user=Depends(current_user)):
    n = COUNT
    sent = await twilio.messages.create(to=user.phone, body=body.body)
    stripe.billing.MeterEvent.create(event_name="texts", identifier=sent.sid, payload={"stripe_customer_id": user.customer_id, "value": n})
"""


@pytest.mark.parametrize(("count", "wanted"), [("segments(body.body)", set()), ("body.units", FORGED)])
def test_a_number_made_of_the_text_that_is_sent(tmp_path: Path, count: str, wanted: set[str]) -> None:
    assert codes(audited(tmp_path, {"main.py": PYTHON.replace("COUNT", count)})) == wanted


@pytest.mark.parametrize(("sent", "wanted"), [("segments(req.body.message)", set()), ("req.body", FORGED)])
def test_the_text_of_a_request_and_all_of_it(tmp_path: Path, sent: str, wanted: set[str]) -> None:
    handler = HANDLER.replace("req.body.tokens", sent).replace("req.body.id", "made()")
    tree = {"report.ts": REPORT, "server.ts": HEAD + f"app.post('/text', requireUser, {handler});\n"}
    assert codes(audited(tmp_path, tree)) == wanted


DISPATCHER = """async function hook(req, env) {
  if (req.headers.get("x-secret") !== env.HOOK_SECRET) return new Response("no", { status: 401 });
  return new Response("ok");
}
async function run(req, env) {
  const body = await req.json();
  const out = await work(body.text);
  await stripe.billing.meterEvents.create({ event_name: "runs", identifier: out.id, payload: { stripe_customer_id: body.customer, value: "1" } });
  return Response.json(out);
}
export default {
  async fetch(req, env) {
    const path = new URL(req.url).pathname;
    GUARD
    if (path === "/hook") return hook(req, env);
    return run(req, env);
  },
};
"""  # fmt: skip


def test_the_secret_of_one_path_guards_no_other(tmp_path: Path) -> None:
    """A dispatcher hands each request to one function; what stands before all of them guards all."""
    head = 'function check(req, env) { if (req.headers.get("x-secret") !== env.HOOK_SECRET) throw new Error("no"); }\n'
    open_, shut = (DISPATCHER.replace("GUARD", one) for one in ("", "check(req, env);"))
    tree = {"wrangler.toml": 'name = "runs"\nmain = "src/index.ts"\n'}
    assert "client_supplied_customer" in codes(audited(tmp_path / "open", {**tree, "src/index.ts": open_}))
    assert "client_supplied_customer" not in codes(
        audited(tmp_path / "shut", {**tree, "src/index.ts": head + shut})
    )
