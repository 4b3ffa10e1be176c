# ruff: noqa: E501
"""Meters that are no call in the handler: middleware, wrappers, decorators; and work that goes round them."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, audited, codes

from tallystick.audit.model import Verdict

SEND = "await stripe.billing.meterEvents.create({ event_name: 'calls', identifier: crypto.randomUUID(), payload: { stripe_customer_id: CUSTOMER, value: String(NUMBER) } });"
HEAD = "import Stripe from 'stripe';\nconst stripe = new Stripe(process.env.KEY!);\n"
WORK = "app.post('/run', METERasync (req, res) => { res.json(await openai.responses.create({})); });\n"


def sent(customer: str, number: str = "NUMBER") -> str:
    """A report."""
    return SEND.replace("CUSTOMER", customer).replace("NUMBER", number)


EXPRESS = f"async (req, res, next) => {{ {sent('req.user.customer')} next(); }}"
SCRIPT: dict[str, tuple[Tree, str]] = {
    "express use": ({"server.ts": f"{HEAD}const meter = {EXPRESS};\napp.use(meter);\n{WORK.replace('METER', '')}"}, "req.body.n"),
    "express named": ({"server.ts": f"{HEAD}const meter = {EXPRESS};\n{WORK.replace('METER', 'meter, ')}"}, "req.body.n"),
    "express factory": ({"server.ts": f"{HEAD}function meter(name) {{ return {EXPRESS}; }}\n{WORK.replace('METER', 'meter(1), ')}"}, "req.body.n"),
    "hono": ({"src/index.ts": f"{HEAD}const app = new Hono();\nconst meter = createMiddleware(async (c, next) => {{ const body = await c.req.json(); await next(); {sent('c.var.user.customer')} }});\napp.use('/api/*', meter);\napp.post('/api/run', async (c) => c.json(await openai.responses.create({{}})));\n"}, "body.n"),
    "fastify hook": ({"server.ts": f"{HEAD}fastify.addHook('preHandler', async (request, reply) => {{ {sent('request.user.customer')} }});\nfastify.post('/run', async (request) => openai.responses.create({{}}));\n"}, "request.body.n"),
    "nest interceptor": ({"src/meter.interceptor.ts": f"{HEAD}@Injectable()\nexport class MeterInterceptor implements NestInterceptor {{\n  async intercept(context: ExecutionContext, next: CallHandler) {{\n    const req = context.switchToHttp().getRequest();\n    {sent('req.user.customer')}\n    return next.handle();\n  }}\n}}\n", "src/run.controller.ts": "@Controller('run')\n@UseInterceptors(MeterInterceptor)\nexport class RunController { @Post() async run(@Body() body) { return openai.responses.create({}); } }\n"}, "req.body.n"),
    "next wrapper": ({"lib/meter.ts": f"{HEAD}export function withMeter(handler) {{ return async (req: Request) => {{ const body = await req.json(); const session = await auth(); const res = await handler(req); {sent('session.user.customer')} return res; }}; }}\n", "app/api/run/route.ts": "import { withMeter } from '../../../lib/meter';\nexport const POST = withMeter(async (req: Request) => Response.json(await openai.responses.create({})));\n"}, "body.n"),
}  # fmt: skip
REPORT = "stripe.billing.MeterEvent.create(event_name='c', identifier=rid, payload={'stripe_customer_id': request.state.customer, 'value': NUMBER})"
API = "\n@app.post('/run')\ndef run(body: Body):\n    return client.responses.create(input=body.prompt)\n"
PYTHON: dict[str, tuple[Tree, str]] = {
    "fastapi": ({"main.py": f"import stripe\nfrom fastapi import FastAPI, Request\napp = FastAPI()\n\n@app.middleware('http')\nasync def meter(request: Request, call_next):\n    response = await call_next(request)\n    {REPORT}\n    return response\n{API}"}, "request.query_params['n']"),
    "starlette": ({"main.py": f"import stripe\nclass Meter(BaseHTTPMiddleware):\n    async def dispatch(self, request, call_next):\n        response = await call_next(request)\n        {REPORT}\n        return response\n\napp.add_middleware(Meter)\n{API}"}, "request.query_params['n']"),
    "django": ({"shop/middleware.py": f"import stripe\nclass MeterMiddleware:\n    def __init__(self, get_response):\n        self.get_response = get_response\n    def __call__(self, request):\n        response = self.get_response(request)\n        {REPORT}\n        return response\n"}, "request.POST['n']"),
    "flask": ({"main.py": f"import stripe\nfrom flask import Flask\n@app.after_request\ndef meter(response):\n    {REPORT.replace('request.state', 'g')}\n    return response\n"}, "request.json['n']"),
    "decorator": ({"metering.py": f"import stripe, functools\ndef metered(name):\n    def outer(f):\n        @functools.wraps(f)\n        async def inner(request, *args, **kwargs):\n            result = await f(request, *args, **kwargs)\n            {REPORT}\n            return result\n        return inner\n    return outer\n", "main.py": "from fastapi import FastAPI\nfrom metering import metered\napp = FastAPI()\n@app.post('/run')\n@metered('calls')\nasync def run(request, body: Body):\n    return await client.responses.create(input=body.prompt)\n"}, "request.query_params['n']"),
}  # fmt: skip


@pytest.mark.parametrize("name", [*SCRIPT, *PYTHON])
def test_a_meter_before_the_handler(tmp_path: Path, name: str) -> None:
    """It is live, it is in the request, and its number is judged like any other."""
    tree, field = (SCRIPT | PYTHON)[name]
    for folder, number, wanted in (("right", "1", set()), ("wrong", field, {"client_supplied_quantity"})):
        report = audited(
            tmp_path / folder, {path: text.replace("NUMBER", number) for path, text in tree.items()}
        )
        assert codes(report) == wanted, (folder, report.findings)
        assert report.verdict is (Verdict.FAIL if wanted else Verdict.PASS)
        assert {one.grade for one in report.endpoints if one.reports} == {"sync-reported"}


def test_a_meter_after_the_response(tmp_path: Path) -> None:
    """A listener on the end of the response is too late to be sure."""
    text = f"{HEAD}app.use((req, res, next) => {{ res.on('finish', async () => {{ {sent('req.user.customer', '1')} }}); next(); }});\n"
    assert codes(audited(tmp_path, {"server.ts": text + WORK.replace("METER", "")})) == {"fire_and_forget"}


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("from starlette.routing import Route\nasync def run(request):\n    body = await request.json()\n    REPORT\napp = Starlette(routes=[Route('/run', run, methods=['POST'])])\n", "body['n']"),
        ("from litestar import Litestar, post\n@post('/run')\nasync def run(data: Body, request: Request) -> dict:\n    REPORT\n    return {}\n", "data.n"),
        ("from litestar import Controller, post\nclass Run(Controller):\n    path = '/run'\n    @post()\n    async def run(self, data: Body, request: Request) -> dict:\n        REPORT\n        return {}\n", "data.n"),
        ("from flask import request\ndef run():\n    data = request.get_json()\n    REPORT\napp.add_url_rule('/run', view_func=run, methods=['POST'])\n", "data['n']"),
    ],
    ids=["starlette", "litestar", "litestar controller", "flask rule"],
)  # fmt: skip
def test_more_python_frameworks(tmp_path: Path, text: str, field: str) -> None:
    """The route is found, the server's number passes, the client's number is named."""
    for folder, number, wanted in (("right", "1", set()), ("wrong", field, {"client_supplied_quantity"})):
        report = audited(tmp_path / folder, {"main.py": "import stripe\n" + text.replace("REPORT", REPORT.replace("NUMBER", number))})  # fmt: skip
        assert codes(report) == wanted, (folder, report.findings, report.endpoints)


def test_astro(tmp_path: Path) -> None:
    """An endpoint file that exports an arrow function."""
    for number, wanted in (("1", set()), ("body.n", {"client_supplied_quantity"})):
        text = f"{HEAD}export const POST: APIRoute = async ({{ request, locals }}) => {{ const body = await request.json(); {sent('locals.user.customer', number)} return new Response('ok'); }};\n"
        assert codes(audited(tmp_path / number, {"src/pages/api/run.ts": text})) == wanted


METERED = "import { report } from '../../../lib/meter';\nexport async function POST(req: Request) { const s = await auth(); const a = await openai.responses.create({});\n  await report(s.user.customer, a.usage.total_tokens);\n  return Response.json(a); }\n"
SIBLINGS = {
    "lib/meter.ts": f"{HEAD}export async function report(customer, n) {{ {sent('customer', 'n')} }}\n",
    "app/api/one/route.ts": METERED,
}


@pytest.mark.parametrize(
    ("second", "fails"),
    [
        (METERED, False),
        (METERED.replace("await report", "// await report"), True),
        (METERED.replace("  await report(s.user.customer, a.usage.total_tokens);\n", ""), True),
        ("export async function GET() { return Response.json(await prisma.document.findMany()); }\n", False),
    ],
    ids=["metered", "commented out", "left out", "other work"],
)
def test_a_sibling_without_the_meter(tmp_path: Path, second: str, fails: bool) -> None:
    """The same call in a second route, with its report, without, and commented out."""
    report = audited(tmp_path, SIBLINGS | {"app/api/two/route.ts": second})
    assert codes(report) == ({"unmetered_endpoint"} if fails else set()), report.findings
    if fails:
        assert report.findings[0].place.path == "app/api/two/route.ts"
        assert "1 of 2" in report.detail


PAGE = "'use client';\nexport function Editor() {\n  async function run() {\n    const out = await fetch('/api/complete', { method: 'POST' });\n    REPORT\n  }\n  return <button onClick={run}>go</button>;\n}\n"


def test_a_page_that_reports(tmp_path: Path) -> None:
    """A route that only reports, called by the page after the work: the customer leaves the call out."""
    usage = f"{HEAD}export async function POST(req: Request) {{ const session = await auth(); {sent('session.user.customer', '1')} return Response.json({{}}); }}\n"
    work = "export async function POST(req: Request) { return Response.json(await openai.responses.create({})); }\n"
    call = "await fetch('/api/usage', { method: 'POST' });"
    tree = {"app/api/usage/route.ts": usage, "app/api/complete/route.ts": work}
    wrong = audited(tmp_path / "wrong", tree | {"components/editor.tsx": PAGE.replace("REPORT", call)})
    assert "client_side_only" in codes(wrong)
    server = "export async function POST(req: Request) { const session = await auth(); const a = await openai.responses.create({}); SEND return Response.json(a); }\n"
    right = {
        "app/api/complete/route.ts": HEAD
        + server.replace("SEND", sent("session.user.customer", "a.usage.total_tokens"))
    }
    report = audited(tmp_path / "right", right | {"components/editor.tsx": PAGE.replace("REPORT", "")})
    assert report.verdict is Verdict.PASS, report.findings


@pytest.mark.parametrize(
    ("look", "fails"),
    [
        ("const org = await prisma.organization.findUnique({ where: { id: body.orgId } });", True),
        ("const org = await loadOrg(body.orgId);", True),
        ("const session = await auth(); const org = await prisma.organization.findFirst({ where: { id: body.orgId, members: { some: { userId: session.user.id } } } });", False),
        ("await requireMember(req, body.orgId); const org = await prisma.organization.findUnique({ where: { id: body.orgId } });", False),
        ("const org = await prisma.apiKey.findUnique({ where: { hash: sha256(req.headers.get('x-api-key')) } });", False),
    ],
    ids=["by id", "by id in a helper", "with the session", "after a check", "by key"],
)  # fmt: skip
def test_a_stored_customer_that_the_client_names(tmp_path: Path, look: str, fails: bool) -> None:
    """A look-up by the client's id bills whom the client likes, unless something asks who is calling."""
    tree = {
        "lib/org.ts": "export async function loadOrg(id: string) { return await prisma.organization.findUnique({ where: { id } }); }\n",
        "app/api/run/route.ts": f"import {{ loadOrg }} from '../../../lib/org';\n{HEAD}export async function POST(req: Request) {{ const body = await req.json(); {look} const a = await openai.responses.create({{}}); {sent('org.stripeCustomerId', 'a.usage.total_tokens')} return Response.json(a); }}\n",
    }
    report = audited(tmp_path, tree)
    assert codes(report) == ({"client_supplied_customer"} if fails else set()), report.findings


NEST = """import { BillingService } from './billing.service';
@Controller('run')
export class RunController {
  constructor(private readonly billing: BillingService) {}
  @Post()
  async run(@Body() body: RunDto, @CurrentUser() user: User) {
    const out = await this.ai.run(body.prompt);
    await this.billing.reportUsage(user.stripeCustomerId, NUMBER);
    return out;
  }
}
"""


def test_an_injected_service(tmp_path: Path) -> None:
    """The method is found by its name, and a parameter that `@Body()` fills is the client's."""
    service = f"{HEAD}@Injectable()\nexport class BillingService {{\n  async reportUsage(customer: string, n: number) {{ {sent('customer', 'n')} }}\n}}\n"
    for number, wanted in (("out.tokens", set()), ("body.tokens", {"client_supplied_quantity"})):
        tree = {"src/billing.service.ts": service, "src/run.controller.ts": NEST.replace("NUMBER", number)}
        assert codes(audited(tmp_path / number, tree)) == wanted


PASSES: dict[str, Tree] = {
    "tried again in place": {"app/api/a/route.ts": f"{HEAD}export async function POST(req: Request) {{ const s = await auth(); const a = await generateText({{}}); await pRetry(async () => {{ {sent('s.user.customer', 'a.usage.totalTokens')} }}); return Response.json(a); }}\n"},
    "at the end of a stream": {"app/api/a/route.ts": f"{HEAD}export async function POST(req: Request) {{ const s = await auth(); const r = streamText({{ onFinish: async ({{ usage }}) => {{ {sent('s.user.customer', 'usage.totalTokens')} }} }}); return r.toDataStreamResponse(); }}\n"},
    "rows of the body counted": {"server.ts": f"{HEAD}app.post('/rows', async (req, res) => {{ await insertAll(req.body.rows); {sent('req.user.customer', 'req.body.rows.length')} res.json({{}}); }});\n"},
    "a file measured": {"server.ts": f"{HEAD}app.post('/up', upload.single('f'), async (req, res) => {{ {sent('req.user.customer', 'req.file.size')} res.json({{}}); }});\n"},
    "behind a service secret": {"app/api/internal/usage/route.ts": f"{HEAD}export async function POST(req: Request) {{ if (req.headers.get('x-internal-key') !== process.env.INTERNAL_KEY) return new Response('no', {{ status: 401 }}); const body = await req.json(); {sent('body.customerId', 'body.quantity')} return Response.json({{}}); }}\n"},
    "all awaited together": {"server.ts": f"{HEAD}app.post('/run', async (req, res) => {{ const done = await work(); await Promise.all(done.items.map(async (item) => {{ {sent('req.user.customer', '1')} }})); res.json(done); }});\n"},
    "work and report put off together": {"server.ts": f"{HEAD}async function text(customer) {{ await twilio.messages.create({{}}); {sent('customer', '1')} }}\napp.post('/run', async (req, res) => {{ after(() => text(req.user.customer)); res.json({{}}); }});\n"},
}  # fmt: skip


@pytest.mark.parametrize("name", PASSES)
def test_a_sound_way_is_not_called_a_flaw(tmp_path: Path, name: str) -> None:
    """What looks like a flaw and is none."""
    report = audited(tmp_path, PASSES[name])
    assert report.verdict is Verdict.PASS, report.findings
